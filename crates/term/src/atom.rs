use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use crate::text::alters_display;

/// An atom: a constant whose name is its value.
///
/// A name has at most 255 characters (1,020 bytes of UTF-8), and may be empty. Names of up to 22 bytes are stored
/// inline; clones of longer names share their memory. Atoms are compared by their text and not interned, so a hostile
/// peer cannot fill a table.
pub struct Atom(Repr);

enum Repr {
    /// The name in UTF-8, not checked into a `str`: on receipt, an ASCII check takes a fraction of the time of a
    /// UTF-8 check, and most atoms are never used as text. Zeros follow the name, so that whole arrays can be
    /// compared. Every name that fits is stored this way.
    Inline {
        len: u8,
        bytes: [u8; Atom::INLINE],
    },
    Static(&'static str),
    Shared(Arc<str>),
}

/// The name is longer than the 255 characters that an atom may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an atom has at most {} characters", Atom::MAX_CHARACTERS)]
pub struct AtomError;

impl Atom {
    /// The most characters that an atom may have.
    pub const MAX_CHARACTERS: usize = 255;

    /// The longest name in bytes that is stored inline.
    pub(crate) const INLINE: usize = 22;

    /// Makes an atom of a name.
    ///
    /// # Errors
    /// If the name has more than 255 characters.
    #[inline]
    pub fn new(name: &str) -> Result<Self, AtomError> {
        if name.len() > Self::MAX_CHARACTERS && name.chars().count() > Self::MAX_CHARACTERS {
            return Err(AtomError);
        }
        Ok(Self::from_checked(name))
    }

    /// Makes an atom of a name that is part of the program.
    ///
    /// # Panics
    /// If the name has more than 255 bytes; in a `const`, that is a compile error.
    #[inline]
    pub const fn from_static(name: &'static str) -> Self {
        assert!(name.len() <= Self::MAX_CHARACTERS);
        if name.len() > Self::INLINE {
            return Self(Repr::Static(name));
        }
        let mut bytes = [0; Self::INLINE];
        bytes.split_at_mut(name.len()).0.copy_from_slice(name.as_bytes());
        Self(Repr::Inline { len: name.len() as u8, bytes })
    }

    /// Makes an atom of a name that is known to fit.
    #[inline]
    pub(crate) fn from_checked(name: &str) -> Self {
        if name.len() > Self::INLINE {
            return Self(Repr::Shared(name.into()));
        }
        let mut bytes = [0; Self::INLINE];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Self(Repr::Inline { len: name.len() as u8, bytes })
    }

    /// Makes an atom of the first `len` bytes, if there are as many and they are ASCII. Reads whole words without
    /// dependencies between them.
    #[inline(always)]
    pub(crate) fn from_ascii(len: usize, bytes: &[u8; Self::INLINE]) -> Option<Self> {
        const NOT_ASCII: u64 = 0x8080_8080_8080_8080;
        let word = |at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        let without_rest = |word: u64, len: usize| word & !u64::MAX.unbounded_shl(8 * len as u32);
        let first = without_rest(word(0), len);
        let second = without_rest(word(8), len.saturating_sub(8));
        let third = without_rest(word(Self::INLINE - 8) >> 16, len.saturating_sub(16));
        if len > Self::INLINE || (first | second | third) & NOT_ASCII != 0 {
            return None;
        }
        let mut name = [0; Self::INLINE];
        name[..8].copy_from_slice(&first.to_le_bytes());
        name[8..16].copy_from_slice(&second.to_le_bytes());
        name[16..20].copy_from_slice(&third.to_le_bytes()[..4]);
        name[20..].copy_from_slice(&third.to_le_bytes()[4..6]);
        Some(Self(Repr::Inline { len: len as u8, bytes: name }))
    }

    /// Whether the atom owns no memory.
    #[inline(always)]
    pub(crate) fn is_inline(&self) -> bool {
        !matches!(self.0, Repr::Shared(_))
    }

    /// The bytes of the name, which are UTF-8.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Static(name) => name.as_bytes(),
            Repr::Shared(name) => name.as_bytes(),
        }
    }

    /// A number that differs between most atoms, for a fraction of the cost of a hash.
    #[inline]
    pub fn fingerprint(&self) -> u64 {
        match &self.0 {
            Repr::Inline { len, bytes } => mixed(usize::from(*len), bytes),
            Repr::Static(name) => mixed(name.len(), name.as_bytes()),
            Repr::Shared(name) => mixed(name.len(), name.as_bytes()),
        }
    }

    /// The atom's name, unquoted.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Repr::Static(name) => name,
            Repr::Shared(name) => name,
        }
    }
}

impl Clone for Atom {
    #[inline]
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Repr::Inline { len, bytes } => Repr::Inline { len: *len, bytes: in_pieces(bytes) },
            Repr::Static(name) => Repr::Static(name),
            Repr::Shared(name) => Repr::Shared(name.clone()),
        })
    }
}

impl PartialEq for Atom {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Inline { len: a_len, bytes: a }, Repr::Inline { len: b_len, bytes: b }) => a_len == b_len && a == b,
            (Repr::Inline { .. }, _) | (_, Repr::Inline { .. }) => false,
            _ => self.as_bytes() == other.as_bytes(),
        }
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Inline { len: a_len, bytes: a }, Repr::Inline { len: b_len, bytes: b }) => {
                let first = |name: &[u8; Self::INLINE]| name.first_chunk().map_or(0, |word| u64::from_be_bytes(*word));
                first(a).cmp(&first(b)).then_with(|| a.cmp(b)).then_with(|| a_len.cmp(b_len))
            }
            _ => self.as_bytes().cmp(other.as_bytes()),
        }
    }
}

/// Hashes like the name, so that a map with atom keys can be searched by name: the bytes, then one that occurs in no
/// name.
impl Hash for Atom {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.as_bytes());
        state.write_u8(0xff);
    }
}

impl Deref for Atom {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Atom {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl Borrow<str> for Atom {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Atom {
    #[inline]
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Atom {
    #[inline]
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
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
        let name = self.as_str();
        if is_plain(name) {
            return f.write_str(name);
        }
        f.write_str("'")?;
        for c in name.chars() {
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
                c if alters_display(c) => write!(f, "\\x{{{:X}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("'")
    }
}

/// Mixes the first 16 bytes of a longer slice, and the last 8.
#[inline(always)]
fn mixed(len: usize, bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |word| u64::from_le_bytes(*word));
    let ends = word(bytes.first_chunk()) ^ word(bytes.last_chunk()).rotate_left(27) ^ len as u64;
    (ends.wrapping_mul(ODD) ^ word(bytes[8..].first_chunk())).wrapping_mul(ODD)
}

/// Copies in pieces of register size, which the compiler then keeps in registers.
#[inline(always)]
pub(crate) fn in_pieces(bytes: &[u8; Atom::INLINE]) -> [u8; Atom::INLINE] {
    let mut copy = [0; Atom::INLINE];
    copy[..8].copy_from_slice(&bytes[..8]);
    copy[8..16].copy_from_slice(&bytes[8..16]);
    copy[16..20].copy_from_slice(&bytes[16..20]);
    copy[20..].copy_from_slice(&bytes[20..]);
    copy
}

/// Whether the name is an atom without quotes: a lower-case Latin-1 letter, then letters, digits, `_` and `@`, and
/// not a reserved word.
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
    use std::collections::hash_map::DefaultHasher;

    use super::*;

    #[test]
    fn atoms_are_their_names_however_they_are_held() {
        let hash = |value: &dyn Fn(&mut DefaultHasher)| {
            let mut hasher = DefaultHasher::new();
            value(&mut hasher);
            hasher.finish()
        };
        for name in ["", "ok", "héhé", "of_twenty_two_bytes_ok", "a_name_of_twenty_three_b"] {
            let (atom, fixed) = (Atom::new(name).unwrap(), Atom::from_static(name));
            assert_eq!((atom.as_str(), &atom), (name, &fixed));
            assert_eq!(atom.cmp(&fixed), Ordering::Equal);
            assert_eq!(hash(&|state| atom.hash(state)), hash(&|state| name.hash(state)));
        }
    }

    #[test]
    fn name_ends_where_its_length_says() {
        let chunk = *b"some_name_of_22_bytes_";
        for len in 0..=Atom::INLINE {
            let name = str::from_utf8(&chunk[..len]).unwrap();
            let atom = Atom::from_ascii(len, &chunk).unwrap();
            assert_eq!((atom.as_str(), &atom), (name, &Atom::new(name).unwrap()));
            for place in 0..Atom::INLINE {
                let mut other = chunk;
                other[place] |= 0x80;
                let other = Atom::from_ascii(len, &other);
                assert_eq!(other, (place >= len).then(|| atom.clone()), "{len} {place}");
            }
        }
        assert_eq!(Atom::from_ascii(Atom::INLINE + 1, &chunk), None);
    }

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
