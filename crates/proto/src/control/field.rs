//! The elements of control messages.

use std::num::NonZeroU64;

use peerl_term::{Atom, Decoder, Pid, Reference, Sink, Tag, encode};

use super::{ControlError, FieldError, Mfa, ProcessId, SpawnReplyFlags};

/// An element of a control message, for reading without an intermediate [`Term`](peerl_term::Term). It is read in
/// place: messages are large and frequent, and moves cost time.
pub(super) trait Field: Sized {
    /// A placeholder for [`read`](Self::read).
    fn vacant() -> Self;

    /// Reads the element in place of a placeholder.
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError>;
}

/// An element of a control message, for writing.
pub(super) trait Element {
    fn encode<S: Sink>(&self, sink: &mut S);
}

/// Writes the element that held the cookie in old releases: the empty atom, which receivers ignore.
#[inline]
pub(super) fn put_unused<S: Sink>(sink: &mut S) {
    sink.put(&[Tag::SMALL_ATOM_UTF8_EXT.0, 0]);
}

impl Field for Pid {
    #[inline(always)]
    fn vacant() -> Self {
        Pid::VACANT
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        Ok(decoder.read_pid(self)?)
    }
}

impl Element for Pid {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::pid(self, sink);
    }
}

impl Field for Atom {
    #[inline(always)]
    fn vacant() -> Self {
        Atom::from_static("")
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        *self = decoder.atom()?;
        Ok(())
    }
}

impl Element for Atom {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::atom(self, sink);
    }
}

impl Field for Reference {
    #[inline(always)]
    fn vacant() -> Self {
        Reference::VACANT
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        Ok(decoder.read_reference(self)?)
    }
}

impl Element for Reference {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::reference(self, sink);
    }
}

/// A sender that the message may leave out.
impl Field for Option<Pid> {
    #[inline(always)]
    fn vacant() -> Self {
        Some(Pid::VACANT)
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        Ok(decoder.read_pid(self.get_or_insert(Pid::VACANT))?)
    }
}

/// The number of an unlink operation.
impl Field for Option<NonZeroU64> {
    fn vacant() -> Self {
        None
    }

    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        *self = NonZeroU64::new(decoder.unsigned()?);
        if self.is_none() { Err(FieldError::UnlinkId.into()) } else { Ok(()) }
    }
}

impl Element for NonZeroU64 {
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::unsigned(self.get(), sink);
    }
}

impl Field for u64 {
    #[inline(always)]
    fn vacant() -> Self {
        0
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        *self = decoder.unsigned()?;
        Ok(())
    }
}

impl Element for u64 {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::unsigned(*self, sink);
    }
}

impl Field for ProcessId {
    #[inline(always)]
    fn vacant() -> Self {
        ProcessId::Pid(Pid::VACANT)
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        match self {
            ProcessId::Pid(pid) if !is_atom(decoder)? => decoder.read_pid(pid)?,
            _ => *self = ProcessId::Name(decoder.atom()?),
        }
        Ok(())
    }
}

impl Element for ProcessId {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            ProcessId::Pid(pid) => encode::pid(pid, sink),
            ProcessId::Name(name) => encode::atom(name, sink),
        }
    }
}

impl Field for Mfa {
    #[inline(always)]
    fn vacant() -> Self {
        Mfa { module: Field::vacant(), function: Field::vacant(), arity: 0 }
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        if decoder.tuple_header()? != 3 {
            return Err(FieldError::Function.into());
        }
        self.module.read(decoder)?;
        self.function.read(decoder)?;
        self.arity = u32::try_from(decoder.unsigned()?).map_err(|_| FieldError::Arity)?;
        Ok(())
    }
}

impl Element for Mfa {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::tuple_header(3, sink);
        encode::atom(&self.module, sink);
        encode::atom(&self.function, sink);
        encode::integer(self.arity.into(), sink);
    }
}

impl Field for SpawnReplyFlags {
    #[inline(always)]
    fn vacant() -> Self {
        SpawnReplyFlags::empty()
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        let bits = u32::try_from(decoder.unsigned()?).map_err(|_| FieldError::SpawnReplyFlags)?;
        *self = SpawnReplyFlags::from_bits_retain(bits);
        Ok(())
    }
}

impl Element for SpawnReplyFlags {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::integer(self.bits().into(), sink);
    }
}

/// The result of a spawn: the pid, or the reason of the failure.
impl Field for Result<Pid, Atom> {
    #[inline(always)]
    fn vacant() -> Self {
        Ok(Pid::VACANT)
    }

    #[inline]
    fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), ControlError> {
        match self {
            Ok(pid) if !is_atom(decoder)? => decoder.read_pid(pid)?,
            _ => *self = Err(decoder.atom()?),
        }
        Ok(())
    }
}

impl Element for Result<Pid, Atom> {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            Ok(pid) => encode::pid(pid, sink),
            Err(reason) => encode::atom(reason, sink),
        }
    }
}

#[inline]
pub(super) fn is_atom(decoder: &Decoder<'_>) -> Result<bool, ControlError> {
    Ok(decoder.peek_tag()?.is_atom())
}
