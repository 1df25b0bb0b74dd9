use std::fmt;

use serde::{de, ser};

use crate::{DecodeError, RawTerm};

/// A value cannot be written as a term, or a term cannot be read as a value; [`Error::kind`] says why.
///
/// It is boxed because every step of serde returns a result: small ones stay in registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// Why a value cannot be written as a term, or a term cannot be read as a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not a well-formed term, or over the limits.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The type's implementation refuses the value: what serde says, and the offset of the term it is about.
    #[error("{message}{}", At(*.offset))]
    Message {
        /// What is wrong.
        message: Box<str>,
        /// The offset of the term's tag; none when writing.
        offset: Option<usize>,
    },
    /// A list that is read as a sequence has a last tail other than `[]`.
    #[error("improper list at byte {offset}")]
    ImproperList {
        /// The offset of the tail.
        offset: usize,
    },
    /// The values are nested deeper than [`Options::depth`](super::Options::depth) allows.
    #[error("nested too deep{}", At(*.offset))]
    TooDeep {
        /// The offset of the term's tag; none when writing.
        offset: Option<usize>,
    },
    /// A float is infinite or not a number, which no Erlang float is.
    #[error("a float that is not finite cannot be a term")]
    Float,
    /// A name of a field or a variant is too long for an atom.
    #[error("a name of more than 255 characters cannot be an atom")]
    AtomTooLong,
    /// A sequence, a map or a binary is longer than the 32 bits that the format has for it.
    #[error("too long for the external term format")]
    TooLong,
}

impl Error {
    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// The offset of the tag of the term that is wrong, if reading and known.
    pub fn offset(&self) -> Option<usize> {
        match &*self.0 {
            ErrorKind::Decode(error) => Some(error.offset),
            ErrorKind::Message { offset, .. } | ErrorKind::TooDeep { offset } => *offset,
            ErrorKind::ImproperList { offset } => Some(*offset),
            _ => None,
        }
    }

    /// Finds out whether a term that could not be read is malformed.
    #[cold]
    pub fn look_into(&self, raw: &RawTerm) {
        match &*self.0 {
            ErrorKind::Decode(error) => raw.mismatched(Some(*error)),
            _ => raw.mismatched(None),
        }
    }

    /// Adds the place to a message that has none yet.
    #[cold]
    pub(super) fn locate(&mut self, place: usize) {
        if let ErrorKind::Message { offset: offset @ None, .. } = &mut *self.0 {
            *offset = Some(place);
        }
    }

    /// The same with the place.
    #[cold]
    pub(super) fn at(mut self, place: usize) -> Self {
        self.locate(place);
        self
    }

    /// The error that something else than a sequence is to be written as a list of arguments.
    #[cold]
    pub(super) fn not_arguments() -> Self {
        Self::message("not a sequence of arguments")
    }

    #[cold]
    fn message(message: impl fmt::Display) -> Self {
        ErrorKind::Message { message: message.to_string().into(), offset: None }.into()
    }
}

impl From<ErrorKind> for Error {
    #[cold]
    fn from(kind: ErrorKind) -> Self {
        Self(Box::new(kind))
    }
}

impl From<DecodeError> for Error {
    #[cold]
    fn from(error: DecodeError) -> Self {
        ErrorKind::Decode(error).into()
    }
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::message(message)
    }
}

impl ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::message(message)
    }
}

struct At(Option<usize>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => write!(f, " at byte {offset}"),
            None => Ok(()),
        }
    }
}
