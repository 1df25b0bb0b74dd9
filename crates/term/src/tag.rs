//! The tags of the external term format (erl_ext_dist).

use std::fmt;

/// The byte that tells the kind of the term that follows.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tag(pub u8);

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        impl Tag {
            $($(#[$doc])* pub const $name: Tag = Tag($value);)*

            /// The tag's name in the Erlang documentation.
            pub fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

tags! {
    /// A native record (OTP 29).
    RECORD_EXT = 67,
    /// A float, as an IEEE 754 double.
    NEW_FLOAT_EXT = 70,
    /// A bit string.
    BIT_BINARY_EXT = 77,
    /// A zlib-compressed term; only directly after the version byte.
    COMPRESSED = 80,
    /// An atom of the distribution header, by index.
    ATOM_CACHE_REF = 82,
    /// A pid with a 32-bit creation.
    NEW_PID_EXT = 88,
    /// A port with a 32-bit creation.
    NEW_PORT_EXT = 89,
    /// A reference with a 32-bit creation.
    NEWER_REFERENCE_EXT = 90,
    /// An integer of one unsigned byte.
    SMALL_INTEGER_EXT = 97,
    /// An integer of 32 bits.
    INTEGER_EXT = 98,
    /// A float, as text.
    FLOAT_EXT = 99,
    /// A Latin-1 atom with a 16-bit length.
    ATOM_EXT = 100,
    /// A reference of one word with an 8-bit creation.
    REFERENCE_EXT = 101,
    /// A port with an 8-bit creation.
    PORT_EXT = 102,
    /// A pid with an 8-bit creation.
    PID_EXT = 103,
    /// A tuple with an 8-bit arity.
    SMALL_TUPLE_EXT = 104,
    /// A tuple with a 32-bit arity.
    LARGE_TUPLE_EXT = 105,
    /// The empty list.
    NIL_EXT = 106,
    /// A list of bytes.
    STRING_EXT = 107,
    /// A list.
    LIST_EXT = 108,
    /// A binary.
    BINARY_EXT = 109,
    /// An integer of at most 255 bytes.
    SMALL_BIG_EXT = 110,
    /// An integer of more bytes.
    LARGE_BIG_EXT = 111,
    /// A closure.
    NEW_FUN_EXT = 112,
    /// `fun M:F/A`.
    EXPORT_EXT = 113,
    /// A reference with an 8-bit creation.
    NEW_REFERENCE_EXT = 114,
    /// A Latin-1 atom with an 8-bit length.
    SMALL_ATOM_EXT = 115,
    /// A map.
    MAP_EXT = 116,
    /// A UTF-8 atom with a 16-bit length.
    ATOM_UTF8_EXT = 118,
    /// A UTF-8 atom with an 8-bit length.
    SMALL_ATOM_UTF8_EXT = 119,
    /// A port with a 64-bit id.
    V4_PORT_EXT = 120,
}

impl Tag {
    /// Whether an atom follows, in any of its forms.
    #[inline]
    pub fn is_atom(self) -> bool {
        matches!(
            self,
            Self::SMALL_ATOM_UTF8_EXT
                | Self::ATOM_CACHE_REF
                | Self::ATOM_UTF8_EXT
                | Self::SMALL_ATOM_EXT
                | Self::ATOM_EXT
        )
    }
}

/// The byte before every term outside a distribution frame.
pub(crate) const VERSION: u8 = 131;

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "tag {}", self.0),
        }
    }
}
