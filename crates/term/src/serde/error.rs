use std::fmt;

use serde::{de, ser};

use crate::text::beginning;
use crate::{DecodeError, RawTerm};

/// A value cannot be written as a term, or a term cannot be read as a value; [`Error::kind`] says why.
///
/// It is boxed, so that the results of every step of serde stay small enough for registers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<ErrorKind>);

/// Why a value cannot be written as a term, or a term cannot be read as a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not a well-formed term, or exceed the limits.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The type's implementation rejects the value: the message of serde, and the offset of the term.
    #[error("{message}{}", At(*.offset))]
    Message {
        /// The reason.
        message: Box<str>,
        /// The offset of the term's tag; none when writing.
        offset: Option<usize>,
    },
    /// A list that should be read as a sequence has a last tail other than `[]`.
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
    /// The name of a field or variant is too long for an atom.
    #[error("a name of more than 255 characters cannot be an atom")]
    AtomTooLong,
    /// A sequence, map or binary is longer than the format's 32-bit lengths allow.
    #[error("too long for the external term format")]
    TooLong,
}

impl Error {
    /// The reason.
    pub fn kind(&self) -> &ErrorKind {
        &self.0
    }

    /// The offset of the faulty term's tag, if reading and known.
    pub fn offset(&self) -> Option<usize> {
        match &*self.0 {
            ErrorKind::Decode(error) => Some(error.offset),
            ErrorKind::Message { offset, .. } | ErrorKind::TooDeep { offset } => *offset,
            ErrorKind::ImproperList { offset } => Some(*offset),
            _ => None,
        }
    }

    /// Checks whether a term that could not be read is malformed.
    #[cold]
    pub fn look_into(&self, raw: &RawTerm) {
        match &*self.0 {
            ErrorKind::Decode(error) => raw.mismatched(Some(*error)),
            _ => raw.mismatched(None),
        }
    }

    /// Adds the offset to an error without one.
    #[cold]
    pub(super) fn locate(&mut self, place: usize) {
        if let ErrorKind::Message { offset: offset @ None, .. } = &mut *self.0 {
            *offset = Some(place);
        }
    }

    /// Adds the offset and returns the error.
    #[cold]
    pub(super) fn at(mut self, place: usize) -> Self {
        self.locate(place);
        self
    }

    /// The error for a list of arguments that is not a sequence.
    #[cold]
    pub(super) fn not_arguments() -> Self {
        Self::message("not a sequence of arguments")
    }

    #[cold]
    fn message(message: impl fmt::Display) -> Self {
        // It may repeat what was read, which may be long.
        const LONGEST: usize = 1000;
        let message = beginning(LONGEST, format_args!("{message}"));
        ErrorKind::Message { message: message.into(), offset: None }.into()
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
