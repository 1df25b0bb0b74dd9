use crate::Tag;

/// An error in encoded bytes: its position, the term, and the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} in {tag} at byte {offset}")]
pub struct DecodeError {
    /// The offset of the tag of the faulty term.
    pub offset: usize,
    /// The tag.
    pub tag: Tag,
    /// The reason.
    pub kind: DecodeErrorKind,
}

impl DecodeError {
    pub(crate) fn new(offset: usize, tag: Tag, kind: DecodeErrorKind) -> Self {
        Self { offset, tag, kind }
    }
}

/// Why bytes are not a well-formed term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The first byte is not 131.
    #[error("the version is not 131")]
    Version,
    /// The bytes end before the term does, or a count exceeds the bytes left.
    #[error("truncated term")]
    Truncated,
    /// Bytes follow the term.
    #[error("trailing bytes")]
    Trailing,
    /// No term starts with this tag.
    #[error("unknown tag")]
    UnknownTag,
    /// Another kind of term was requested.
    #[error("unexpected kind of term")]
    Unexpected,
    /// An atom has more than 255 characters.
    #[error("atom of more than 255 characters")]
    AtomTooLong,
    /// An atom's name is not UTF-8.
    #[error("atom that is not UTF-8")]
    AtomText,
    /// The distribution header has no atom with this index.
    #[error("atom that the distribution header does not have")]
    AtomReference,
    /// A float is infinite, not a number, or unreadable.
    #[error("float that is not a finite number")]
    Float,
    /// A map has a key twice.
    #[error("duplicate map key")]
    DuplicateKey,
    /// A bit string states a number of bits that its last byte cannot have.
    #[error("impossible number of bits")]
    BitCount,
    /// A reference has no words, or more than five.
    #[error("impossible number of words")]
    ReferenceWords,
    /// An integer is out of range.
    #[error("integer out of range")]
    IntegerRange,
    /// Compressed data is damaged, or has another size than stated.
    #[error("damaged compressed data")]
    Compression,
    /// The input is larger than the limit.
    #[error("more bytes than the limit")]
    TooManyBytes,
    /// The term has more elements than the limit.
    #[error("more elements than the limit")]
    TooManyElements,
}

impl DecodeErrorKind {
    /// Whether the bytes may be well-formed but exceed a limit.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::TooManyBytes | Self::TooManyElements)
    }

    /// Whether the term may be well-formed but of another kind than requested.
    pub(crate) fn may_be_mismatch(self) -> bool {
        matches!(self, Self::Unexpected | Self::IntegerRange)
    }
}
