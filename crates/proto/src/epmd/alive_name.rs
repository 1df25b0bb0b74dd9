use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// The part of a node name before the `@`, as EPMD stores it: 1 to 255 characters of UTF-8 without white space or
/// control characters.
///
/// EPMD itself refuses only NUL. White space is refused here too, because the answer to `NAMES` is text, in which a
/// name like `"x at port 1\nname y"` would read as two nodes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AliveName(Box<str>);

impl AliveName {
    /// The longest name in characters.
    pub const MAX_CHARACTERS: usize = 255;

    /// The longest name in bytes: 255 characters of four bytes.
    pub const MAX_BYTES: usize = 4 * Self::MAX_CHARACTERS;

    /// Takes a name as it stands before the `@` of a node name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the name breaks.
    pub fn new(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.contains('\0') {
            return Err(NameError::Nul);
        }
        let characters = name.chars().count();
        if characters > Self::MAX_CHARACTERS {
            return Err(NameError::TooLong { characters });
        }
        match name.chars().find(|c| c.is_whitespace() || c.is_control()) {
            Some(character) => Err(NameError::Unprintable { character }),
            None => Ok(Self(name.into())),
        }
    }

    /// Takes a name as it comes from a socket.
    ///
    /// # Errors
    /// [`NameError`] says which rule the name breaks.
    pub fn from_bytes(name: &[u8]) -> Result<Self, NameError> {
        if name.contains(&0) {
            return Err(NameError::Nul);
        }
        Self::new(std::str::from_utf8(name).map_err(|_| NameError::NotUtf8)?)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text cannot be the name of a node in EPMD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no character.
    #[error("a node name cannot be empty")]
    Empty,
    /// The name is longer than [`AliveName::MAX_CHARACTERS`].
    #[error("a node name has at most 255 characters, this one has {characters}")]
    TooLong {
        /// The characters of the name.
        characters: usize,
    },
    /// The bytes are not UTF-8.
    #[error("a node name must be UTF-8")]
    NotUtf8,
    /// The name has a NUL in it.
    #[error("a node name cannot have a NUL in it")]
    Nul,
    /// The name has white space or a control character in it.
    #[error("a node name cannot have the character {character:?} in it")]
    Unprintable {
        /// The first such character.
        character: char,
    },
}

impl fmt::Debug for AliveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for AliveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Deref for AliveName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AliveName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for AliveName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for AliveName {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for AliveName {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl FromStr for AliveName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for AliveName {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_counted_in_characters() {
        let longest = "å".repeat(255);
        assert_eq!(AliveName::new(&longest).unwrap(), longest.as_str());
        assert_eq!(AliveName::new(&"å".repeat(256)), Err(NameError::TooLong { characters: 256 }));
    }

    #[test]
    fn names_that_would_forge_the_names_list_are_refused() {
        assert_eq!(AliveName::new("x at port 1\nname y"), Err(NameError::Unprintable { character: ' ' }));
        assert_eq!(AliveName::new("x\ny"), Err(NameError::Unprintable { character: '\n' }));
        assert_eq!(AliveName::from_bytes(b"a\0b"), Err(NameError::Nul));
        assert_eq!(AliveName::from_bytes(b"\xff"), Err(NameError::NotUtf8));
        assert_eq!(AliveName::from_bytes(b""), Err(NameError::Empty));
    }
}
