use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use compact_str::CompactString;

/// An atom: a constant whose name is its value.
///
/// A name has at most 255 characters (1,020 bytes of UTF-8), and may be empty. Names of up to 24 bytes are
/// held inline. Atoms are compared by their text, and are not interned: a hostile peer cannot fill a table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Atom(CompactString);

/// The name is longer than the 255 characters that an atom may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an atom has at most {} characters", Atom::MAX_CHARACTERS)]
pub struct AtomError;

impl Atom {
    /// The most characters that an atom may have.
    pub const MAX_CHARACTERS: usize = 255;

    /// Makes an atom of a name.
    ///
    /// # Errors
    /// If the name has more than 255 characters.
    #[inline]
    pub fn new(name: &str) -> Result<Self, AtomError> {
        if name.len() > Self::MAX_CHARACTERS && name.chars().count() > Self::MAX_CHARACTERS {
            return Err(AtomError);
        }
        Ok(Self(CompactString::new(name)))
    }

    /// Makes an atom of a name that is part of the program.
    ///
    /// # Panics
    /// If the name has more than 255 bytes; in a `const`, that is a compile error.
    #[inline]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(name.len() <= Self::MAX_CHARACTERS);
        Self(CompactString::const_new(name))
    }

    /// Makes an atom of a name that is known to be short enough.
    #[inline]
    pub(crate) fn from_checked(name: &str) -> Self {
        Self(CompactString::new(name))
    }

    /// Says whether the name is held in place.
    #[inline(always)]
    pub(crate) fn is_inline(&self) -> bool {
        !self.0.is_heap_allocated()
    }

    /// The atom's name, unquoted.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Atom {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Atom {
    #[inline]
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Atom {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for Atom {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.0 == **other
    }
}

impl TryFrom<&str> for Atom {
    type Error = AtomError;

    fn try_from(name: &str) -> Result<Self, AtomError> {
        Self::new(name)
    }
}

impl std::str::FromStr for Atom {
    type Err = AtomError;

    fn from_str(name: &str) -> Result<Self, AtomError> {
        Self::new(name)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        Self::from_static(if value { "true" } else { "false" })
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes the atom in Erlang syntax, quoted where it has to be.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain(&self.0) {
            return f.write_str(&self.0);
        }
        f.write_str("'")?;
        for c in self.0.chars() {
            match c {
                '\'' => f.write_str("\\'")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\u{8}' => f.write_str("\\b")?,
                '\u{c}' => f.write_str("\\f")?,
                '\u{b}' => f.write_str("\\v")?,
                '\u{1b}' => f.write_str("\\e")?,
                c if c.is_control() => write!(f, "\\x{{{:X}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// Says whether the name is an atom without quotes: a lower-case Latin-1 letter, then letters, digits,
/// `_` and `@`, and not a reserved word.
fn is_plain(name: &str) -> bool {
    let lower = |c: char| matches!(c, 'a'..='z' | 'ß'..='ö' | 'ø'..='ÿ');
    let upper = |c: char| matches!(c, 'A'..='Z' | 'À'..='Ö' | 'Ø'..='Þ');
    let mut characters = name.chars();
    characters.next().is_some_and(lower)
        && characters.all(|c| lower(c) || upper(c) || matches!(c, '0'..='9' | '_' | '@'))
        && !RESERVED.contains(&name)
}

/// The reserved words of Erlang (Reference Manual, "Reserved Words").
pub(crate) const RESERVED: &[&str] = &[
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond", "div",
    "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try", "when", "xor",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_limited_in_characters_not_bytes() {
        assert!(Atom::new(&"é".repeat(255)).is_ok());
        assert_eq!(Atom::new(&"a".repeat(256)), Err(AtomError));
    }

    #[test]
    fn display_quotes_where_erlang_does() {
        for (name, shown) in [
            ("ok", "ok"),
            ("a@b", "a@b"),
            ("Ok", "'Ok'"),
            ("", "''"),
            ("it's", r"'it\'s'"),
            ("end", "'end'"),
            ("a-b", "'a-b'"),
            ("été", "été"),
            ("日本", "'日本'"),
        ] {
            assert_eq!(Atom::new(name).unwrap().to_string(), shown);
        }
    }
}
