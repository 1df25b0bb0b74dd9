//! Terms without nested terms.

use super::decoder::{big_integer, small_of_big};
use super::vacant::put;
use super::{DecodeError, DecodeErrorKind, Decoder};
use crate::{Binary, BitString, ExternalFun, Float, Pid, Reference, Tag, Term};

impl Decoder<'_> {
    /// Reads a term that has no nested terms, or only a fixed number of simple ones.
    pub(super) fn leaf(&mut self, tag: Tag, at: usize, to: &mut Term) -> Result<(), DecodeError> {
        match tag {
            Tag::SMALL_INTEGER_EXT => put(to, Term::Integer(i64::from(self.u8(at)?))),
            Tag::INTEGER_EXT => put(to, Term::Integer(i64::from(self.u32(at)?.cast_signed()))),
            Tag::SMALL_ATOM_UTF8_EXT
            | Tag::ATOM_CACHE_REF
            | Tag::ATOM_UTF8_EXT
            | Tag::SMALL_ATOM_EXT
            | Tag::ATOM_EXT => put(to, Term::Atom(self.atom_after(tag, at)?)),
            Tag::BINARY_EXT => self.binary_into(at, to)?,
            Tag::NIL_EXT => put(to, Term::nil()),
            Tag::NEW_FLOAT_EXT | Tag::FLOAT_EXT => {
                let value = if tag == Tag::FLOAT_EXT { self.float_text(at)? } else { f64::from_bits(self.u64(at)?) };
                put(to, Term::Float(self.finite(value, at)?));
            }
            Tag::STRING_EXT => {
                let bytes = self.string_bytes(at)?;
                put(to, Term::List(bytes.iter().map(|byte| Term::from(*byte)).collect()));
            }
            Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT => {
                let (negative, bytes) = self.big(tag, at)?;
                match small_of_big(negative, bytes) {
                    Some(small) => put(to, Term::Integer(small)),
                    None => put(to, Term::from(big_integer(negative, bytes))),
                }
            }
            Tag::NEW_PID_EXT | Tag::PID_EXT => {
                let mut pid = Box::new(Pid::VACANT);
                self.pid_into(tag, at, &mut pid)?;
                put(to, Term::Pid(pid));
            }
            Tag::NEWER_REFERENCE_EXT | Tag::NEW_REFERENCE_EXT | Tag::REFERENCE_EXT => {
                let mut reference = Box::new(Reference::VACANT);
                self.reference_into(tag, at, &mut reference)?;
                put(to, Term::Reference(reference));
            }
            Tag::NEW_PORT_EXT | Tag::PORT_EXT | Tag::V4_PORT_EXT => put(to, Term::from(self.port_after(tag, at)?)),
            Tag::EXPORT_EXT => {
                let (module, function) = (self.atom()?, self.atom()?);
                let arity = u8::try_from(self.integer()?).map_err(|_| self.error(at, DecodeErrorKind::IntegerRange))?;
                put(to, Term::from(ExternalFun { module, function, arity }));
            }
            Tag::BIT_BINARY_EXT => put(to, self.bit_string(at)?),
            _ => return Err(self.error(at, DecodeErrorKind::UnknownTag)),
        }
        Ok(())
    }

    /// Reads a binary after its tag.
    fn binary_into(&mut self, at: usize, to: &mut Term) -> Result<(), DecodeError> {
        let len = self.u32(at)? as usize;
        let (start, rest) = (self.position(), self.rest);
        let bytes = self.take(len, at)?;
        if len <= Binary::INLINE {
            put(to, Term::Binary(Binary::inline(0, &[0; Binary::INLINE])));
            if let Term::Binary(binary) = to {
                binary.fill(bytes);
            }
        } else if len >= Binary::SHARED
            && let Some(shared) = self.shared
        {
            put(to, Term::Binary(Binary::large(shared.slice_ref(bytes))));
        } else if let Some((chunk, start)) = self.chunks.part(rest, start, len) {
            put(to, Term::Binary(Binary::part(chunk, start, len as u16)));
        } else {
            put(to, Term::Binary(Binary::owned(bytes.into())));
        }
        Ok(())
    }

    #[inline]
    fn finite(&self, value: f64, at: usize) -> Result<Float, DecodeError> {
        Float::new(value).ok_or_else(|| self.error(at, DecodeErrorKind::Float))
    }

    fn bit_string(&mut self, at: usize) -> Result<Term, DecodeError> {
        let len = self.u32(at)? as usize;
        let bits = self.u8(at)?;
        let bytes = self.take(len, at)?;
        match bits {
            8 if len > 0 => Ok(Term::binary(bytes)),
            0 if len == 0 => Ok(Term::binary(bytes)),
            _ => match BitString::new(bytes, bits) {
                Ok(bits) => Ok(Term::from(bits)),
                Err(_) => Err(self.error(at, DecodeErrorKind::BitCount)),
            },
        }
    }
}
