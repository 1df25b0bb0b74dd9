use crate::Tag;

/// Bytes that are not a well-formed term: where, in what, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} in {tag} at byte {offset}")]
pub struct DecodeError {
    /// The offset of the tag of the term that is wrong.
    pub offset: usize,
    /// That tag.
    pub tag: Tag,
    /// What is wrong.
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
    /// The bytes end before the term does, or a count promises more elements than there are bytes.
    #[error("truncated term")]
    Truncated,
    /// There are bytes after the term.
    #[error("trailing bytes")]
    Trailing,
    /// No term starts with this tag.
    #[error("unknown tag")]
    UnknownTag,
    /// Another kind of term was expected here.
    #[error("unexpected kind of term")]
    Unexpected,
    /// An atom has more than 255 characters.
    #[error("atom of more than 255 characters")]
    AtomTooLong,
    /// An atom's name is not UTF-8.
    #[error("atom that is not UTF-8")]
    AtomText,
    /// The distribution header has no atom at this position.
    #[error("atom that the distribution header does not have")]
    AtomReference,
    /// A float is infinite, not a number, or not a number's text.
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
    /// An integer does not fit where it stands.
    #[error("integer out of range")]
    IntegerRange,
    /// Compressed data is damaged, or its size is not as stated.
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
    /// Whether the bytes may be well-formed, and are only more than the decoder was to take.
    pub fn is_limit(self) -> bool {
        matches!(self, Self::TooManyBytes | Self::TooManyElements)
    }

    /// Whether the term may be well-formed, and only another one than the caller looked for.
    pub(crate) fn may_be_mismatch(self) -> bool {
        matches!(self, Self::Unexpected | Self::IntegerRange)
    }
}
