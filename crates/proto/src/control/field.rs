//! What the elements of control messages are made of.

use peerl_term::{Atom, Decoder, Pid, Reference, Sink, Tag, Term, encode};

use super::{ControlError, Mfa, ProcessId, SpawnReplyFlags};

/// One element of a control message, read and written without a [`Term`] in between.
pub(super) trait Field: Sized {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError>;
    fn encode<S: Sink>(&self, sink: &mut S);
}

/// The place of the cookie that messages carried long ago; now the empty atom, and ignored.
pub(super) struct Unused;

impl Field for Unused {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        decoder.skip_term()?;
        Ok(Unused)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        sink.put(&[Tag::SMALL_ATOM_UTF8_EXT.0, 0]);
    }
}

impl Field for Pid {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        Ok(decoder.pid()?)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::pid(self, sink);
    }
}

impl Field for Atom {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        Ok(decoder.atom()?)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::atom(self, sink);
    }
}

impl Field for Reference {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        Ok(decoder.reference()?)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::reference(self, sink);
    }
}

impl Field for Term {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        Ok(decoder.term()?)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::term(self, sink);
    }
}

impl Field for u64 {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        Ok(decoder.unsigned()?)
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::unsigned(*self, sink);
    }
}

impl Field for ProcessId {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        if is_atom(decoder)? {
            return Ok(ProcessId::Name(decoder.atom()?));
        }
        Ok(ProcessId::Pid(decoder.pid()?))
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            ProcessId::Pid(pid) => encode::pid(pid, sink),
            ProcessId::Name(name) => encode::atom(name, sink),
        }
    }
}

impl Field for Mfa {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        if decoder.tuple_header()? != 3 {
            return Err(ControlError::Field("a function that is not {Module, Function, Arity}"));
        }
        Ok(Mfa {
            module: decoder.atom()?,
            function: decoder.atom()?,
            arity: u32::try_from(decoder.unsigned()?).map_err(|_| ControlError::Field("an arity beyond 32 bits"))?,
        })
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::tuple_header(3, sink);
        encode::atom(&self.module, sink);
        encode::atom(&self.function, sink);
        encode::integer(self.arity.into(), sink);
    }
}

impl Field for SpawnReplyFlags {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        let bits =
            u32::try_from(decoder.unsigned()?).map_err(|_| ControlError::Field("spawn reply flags beyond 32 bits"))?;
        Ok(SpawnReplyFlags::from_bits_retain(bits))
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::integer(self.bits().into(), sink);
    }
}

/// The result of a spawn: the pid, or the reason why there is none.
impl Field for Result<Pid, Atom> {
    #[inline]
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, ControlError> {
        if is_atom(decoder)? {
            return Ok(Err(decoder.atom()?));
        }
        Ok(Ok(decoder.pid()?))
    }

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
    Ok(matches!(
        decoder.peek_tag()?,
        Tag::ATOM_CACHE_REF | Tag::SMALL_ATOM_UTF8_EXT | Tag::ATOM_UTF8_EXT | Tag::SMALL_ATOM_EXT | Tag::ATOM_EXT
    ))
}
