use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;

use super::serializer::Shape;
use super::{Deserializer, Error, Serializer};
use crate::tag::VERSION;
use crate::{AtomTable, DecodeError, DecodeErrorKind, Decoder, Limits, RawTerm, Sink, Tag, Term};

/// The mapping of values, where there is a choice. The default suits Erlang; [`Options::elixir`] suits Elixir.
///
/// ```
/// use peerl_term::serde::{Absent, Options};
///
/// let options = Options::default().absent(Absent::Nil);
/// assert_eq!(options.to_vec(&None::<u8>)?, b"\x83\x77\x03nil");
/// # Ok::<(), peerl_term::serde::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub(super) absent: Absent,
    pub(super) accepted: AcceptedAbsent,
    pub(super) charlists: Charlists,
    pub(super) depth: usize,
    pub(super) limits: Limits,
}

/// The atom for `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Absent {
    /// `undefined`, as in Erlang.
    #[default]
    Undefined,
    /// `nil`, as in Elixir.
    Nil,
}

/// The atoms that are read as `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcceptedAbsent {
    /// Both `undefined` and `nil`.
    #[default]
    Either,
    /// Only the one that [`Options::absent`] writes.
    AsWritten,
}

/// Whether a list of code points is read into a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Charlists {
    /// A list is not a string. [`charlist`](super::charlist) makes an exception of one field.
    #[default]
    Refused,
    /// A list of code points is read wherever a string is.
    Accepted,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            absent: Absent::default(),
            accepted: AcceptedAbsent::default(),
            charlists: Charlists::default(),
            depth: 128,
            limits: Limits::default(),
        }
    }
}

impl Absent {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Nil => "nil",
        }
    }
}

impl Options {
    /// The options for Elixir: `None` is `nil`.
    pub fn elixir() -> Self {
        Self::default().absent(Absent::Nil)
    }

    /// Sets the atom for `None`.
    #[must_use]
    pub fn absent(self, absent: Absent) -> Self {
        Self { absent, ..self }
    }

    /// Sets the atoms that are read as `None`.
    #[must_use]
    pub fn accepted_absent(self, accepted: AcceptedAbsent) -> Self {
        Self { accepted, ..self }
    }

    /// Sets whether a list of code points is read into a string.
    #[must_use]
    pub fn charlists(self, charlists: Charlists) -> Self {
        Self { charlists, ..self }
    }

    /// Sets how deeply values may be nested; 128 by default. Serde recurses, so unbounded hostile input would
    /// overflow the stack. A [`Term`] inside has no such bound.
    #[must_use]
    pub fn depth(self, depth: usize) -> Self {
        Self { depth, ..self }
    }

    /// Sets the limits of decoding.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// See [`to_vec`](super::to_vec).
    ///
    /// # Errors
    /// If the value has no term.
    pub fn to_vec<T: Serialize + ?Sized>(&self, value: &T) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(128);
        bytes.push(VERSION);
        self.to_sink(value, &mut bytes)?;
        Ok(bytes)
    }

    /// See [`to_sink`](super::to_sink).
    ///
    /// # Errors
    /// If the value has no term.
    pub fn to_sink<T: Serialize + ?Sized, S: Sink>(&self, value: &T, sink: &mut S) -> Result<(), Error> {
        value.serialize(&mut Serializer::new(sink, self))
    }

    /// See [`list_to_sink`](super::list_to_sink).
    ///
    /// # Errors
    /// If the value has no term, or is not a sequence.
    pub fn list_to_sink<T: Serialize + ?Sized, S: Sink>(&self, value: &T, sink: &mut S) -> Result<(), Error> {
        let mut serializer = Serializer { shape: Shape::List, ..Serializer::new(sink, self) };
        value.serialize(&mut serializer)?;
        match serializer.shape {
            Shape::Natural => Ok(()),
            Shape::List => Err(Error::not_arguments()),
        }
    }

    /// See [`from_bytes`](super::from_bytes).
    ///
    /// # Errors
    /// If the bytes are not one well-formed term, or not one of the type.
    pub fn from_bytes<'de, T: Deserialize<'de>>(&self, bytes: &'de Bytes) -> Result<T, Error> {
        check_version(bytes)?;
        self.read(Decoder::new(bytes, AtomTable::none(), &self.limits), 1)
    }

    /// See [`from_slice`](super::from_slice).
    ///
    /// # Errors
    /// If the bytes are not one well-formed term, or not one of the type.
    pub fn from_slice<'de, T: Deserialize<'de>>(&self, bytes: &'de [u8]) -> Result<T, Error> {
        check_version(bytes)?;
        self.read(Decoder::from_slice(bytes, AtomTable::none(), &self.limits), 1)
    }

    /// See [`from_raw`](super::from_raw).
    ///
    /// # Errors
    /// If the bytes are not one well-formed term, or not one of the type.
    pub fn from_raw<'de, T: Deserialize<'de>>(&self, raw: &'de RawTerm) -> Result<T, Error> {
        let mut decoder = Decoder::new(raw.bytes(), raw.atoms(), &self.limits);
        let read = raw.work(|| T::deserialize(&mut Deserializer::with_options(&mut decoder, self)));
        let read = read.and_then(|value| Ok(raw.finish(&decoder).map(|()| value)?));
        if let Err(error) = &read {
            error.look_into(raw);
        }
        read
    }

    /// See [`to_term`](super::to_term).
    ///
    /// # Errors
    /// If the value has no term.
    pub fn to_term<T: Serialize + ?Sized>(&self, value: &T) -> Result<Term, Error> {
        let mut bytes = Vec::new();
        self.to_sink(value, &mut bytes)?;
        Ok(RawTerm::new(bytes.into(), AtomTable::empty()).decode_with(&Limits::NONE)?)
    }

    /// See [`from_term`](super::from_term).
    ///
    /// # Errors
    /// If the term is not one of the type.
    pub fn from_term<T: DeserializeOwned>(&self, term: &Term) -> Result<T, Error> {
        self.limits(Limits::NONE).from_raw(&RawTerm::encoded_from(term))
    }

    fn read<'de, T: Deserialize<'de>>(&self, mut decoder: Decoder<'de>, start: usize) -> Result<T, Error> {
        decoder.skip(start)?;
        let value = T::deserialize(&mut Deserializer::with_options(&mut decoder, self))?;
        decoder.finish()?;
        Ok(value)
    }
}

fn check_version(bytes: &[u8]) -> Result<(), DecodeError> {
    match bytes {
        [VERSION, ..] => Ok(()),
        [] => Err(DecodeError::new(0, Tag(0), DecodeErrorKind::Truncated)),
        [other, ..] => Err(DecodeError::new(0, Tag(*other), DecodeErrorKind::Version)),
    }
}
