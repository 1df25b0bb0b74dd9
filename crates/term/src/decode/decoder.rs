use std::borrow::Cow;
use std::str;

use bytes::Bytes;
use num_bigint::{BigInt, Sign};

use super::chunks::Chunks;
use super::{DecodeError, DecodeErrorKind, Limits};
use crate::{AtomTable, Tag};

/// Reads terms from a buffer, one after another, into any type.
///
/// The buffer holds terms without a version byte, as in a distribution frame. Counts are compared with the number of
/// bytes left before memory is allocated.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    pub(super) input: &'a [u8],
    /// The unread input.
    pub(super) rest: &'a [u8],
    pub(super) shared: Option<&'a Bytes>,
    pub(super) chunks: Chunks,
    pub(super) atoms: &'a AtomTable,
    /// How many elements are allowed, and how many the compound terms begun so far have.
    elements: usize,
    claimed: usize,
    /// The input exceeds the limit: it is treated as empty, and every error says so.
    over_limit: bool,
}

impl<'a> Decoder<'a> {
    /// Starts at the beginning of a buffer. Large binaries will share the buffer.
    #[inline]
    pub fn new(input: &'a Bytes, atoms: &'a AtomTable, limits: &Limits) -> Self {
        Self { shared: Some(input), ..Self::from_slice(input, atoms, limits) }
    }

    /// Starts at the beginning of a slice. Every binary will be a copy.
    #[inline]
    pub fn from_slice(input: &'a [u8], atoms: &'a AtomTable, limits: &Limits) -> Self {
        let over_limit = input.len() > limits.bytes;
        let input = if over_limit { &[] } else { input };
        Self {
            input,
            rest: input,
            shared: None,
            chunks: Chunks::NONE,
            atoms,
            elements: limits.elements,
            claimed: 0,
            over_limit,
        }
    }

    /// The offset of the next byte.
    #[inline]
    pub fn position(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    /// How many bytes are left.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes have been read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The tag of the next term.
    ///
    /// # Errors
    /// If there are no more bytes, or the input is over the limit.
    #[inline]
    pub fn peek_tag(&self) -> Result<Tag, DecodeError> {
        match self.rest.first() {
            Some(tag) => Ok(Tag(*tag)),
            None => Err(self.error(self.position(), DecodeErrorKind::Truncated)),
        }
    }

    /// Reads an integer that fits 64 bits.
    ///
    /// # Errors
    /// If the next term is not a well-formed integer of that size.
    #[inline]
    pub fn integer(&mut self) -> Result<i64, DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::SMALL_INTEGER_EXT => Ok(i64::from(self.u8(at)?)),
            Tag::INTEGER_EXT => Ok(i64::from(self.u32(at)?.cast_signed())),
            tag @ (Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT) => {
                let (negative, bytes) = self.big(tag, at)?;
                small_of_big(negative, bytes).ok_or_else(|| self.error(at, DecodeErrorKind::IntegerRange))
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// Reads an integer whose tag is [`Tag::SMALL_INTEGER_EXT`].
    #[inline(always)]
    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let at = self.position();
        self.array(at).map(|[_tag, value]| value)
    }

    /// Reads an integer whose tag is [`Tag::INTEGER_EXT`].
    #[inline(always)]
    pub(crate) fn int(&mut self) -> Result<i32, DecodeError> {
        let at = self.position();
        self.array::<5>(at).map(|[_tag, value @ ..]| i32::from_be_bytes(value))
    }

    /// Reads an unsigned integer that fits 64 bits.
    ///
    /// # Errors
    /// If the next term is not a well-formed integer of that size.
    #[inline]
    pub fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let at = self.position();
        if let Tag::SMALL_BIG_EXT = self.peek_tag()? {
            let tag = self.tag()?;
            let (negative, bytes) = self.big(tag, at)?;
            return match unsigned_of_big(bytes) {
                Some(value) if !negative || value == 0 => Ok(value),
                _ => Err(self.error(at, DecodeErrorKind::IntegerRange)),
            };
        }
        let value = self.integer()?;
        u64::try_from(value).map_err(|_| self.error(at, DecodeErrorKind::IntegerRange))
    }

    /// Reads a float.
    ///
    /// # Errors
    /// If the next term is not a well-formed float.
    #[inline]
    pub fn float(&mut self) -> Result<f64, DecodeError> {
        let at = self.position();
        let value = match self.tag()? {
            Tag::NEW_FLOAT_EXT => f64::from_bits(self.u64(at)?),
            Tag::FLOAT_EXT => self.float_text(at)?,
            _ => return Err(self.unexpected(at)),
        };
        if value.is_finite() { Ok(value) } else { Err(self.error(at, DecodeErrorKind::Float)) }
    }

    /// Reads a binary; returns a borrow of its bytes.
    ///
    /// # Errors
    /// If the next term is not a well-formed binary.
    #[inline]
    pub fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::BINARY_EXT => {
                let len = self.u32(at)? as usize;
                self.take(len, at)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// Reads a list of bytes in the form of a string ([`Tag::STRING_EXT`]); returns a borrow of the bytes.
    ///
    /// # Errors
    /// If the next term is not a list in that form.
    #[inline]
    pub fn string(&mut self) -> Result<&'a [u8], DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::STRING_EXT => self.string_bytes(at),
            _ => Err(self.unexpected(at)),
        }
    }

    /// Reads a list in the form of a string after its tag.
    pub(super) fn string_bytes(&mut self, at: usize) -> Result<&'a [u8], DecodeError> {
        let len = usize::from(self.u16(at)?);
        self.claim(at, len)?;
        self.take(len, at)
    }

    /// Reads the next term if it is an atom of this name in the usual encoding. Compares bytes only, without a check
    /// of the encoding.
    #[inline(always)]
    pub(crate) fn atom_if(&mut self, name: &str) -> bool {
        if let [tag, len, rest @ ..] = self.rest
            && Tag(*tag) == Tag::SMALL_ATOM_UTF8_EXT
            && usize::from(*len) == name.len()
            && let Some((bytes, rest)) = rest.split_at_checked(name.len())
            && same(bytes, name.as_bytes())
        {
            self.rest = rest;
            return true;
        }
        false
    }

    /// Reads the header of a native record; returns the names of its fields.
    pub(crate) fn record_keys(&mut self) -> Result<Vec<Cow<'a, str>>, DecodeError> {
        let at = self.position();
        if self.tag()? != Tag::RECORD_EXT {
            return Err(self.unexpected(at));
        }
        let fields = self.u32(at)? as usize;
        self.u8(at)?;
        for _module_and_name in 0..2 {
            self.atom_name()?;
        }
        self.claim(at, fields)?;
        (0..fields).map(|_| self.atom_name()).collect()
    }

    /// Reads the header of a tuple; returns the number of elements.
    ///
    /// # Errors
    /// If the next term is not a tuple, or has more elements than there are bytes left.
    #[inline]
    pub fn tuple_header(&mut self) -> Result<usize, DecodeError> {
        let at = self.position();
        let arity = match self.tag()? {
            Tag::SMALL_TUPLE_EXT => usize::from(self.u8(at)?),
            Tag::LARGE_TUPLE_EXT => self.u32(at)? as usize,
            _ => return Err(self.unexpected(at)),
        };
        self.claim(at, arity)?;
        Ok(arity)
    }

    /// Reads the header of a list; returns the number of elements. If it is not zero, a tail follows the elements.
    /// Does not read a list in the form of a string ([`Tag::STRING_EXT`]).
    ///
    /// # Errors
    /// If the next term is not a list, or has more elements than there are bytes left.
    #[inline]
    pub fn list_header(&mut self) -> Result<usize, DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::NIL_EXT => Ok(0),
            Tag::LIST_EXT => {
                let len = self.u32(at)? as usize;
                self.claim(at, len)?;
                Ok(len)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// Reads the empty list.
    ///
    /// # Errors
    /// If the next term is not the empty list.
    #[inline]
    pub fn nil(&mut self) -> Result<(), DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::NIL_EXT => Ok(()),
            _ => Err(self.unexpected(at)),
        }
    }

    /// Reads the header of a map; returns the number of pairs.
    ///
    /// # Errors
    /// If the next term is not a map, or has more pairs than there are bytes left.
    #[inline]
    pub fn map_header(&mut self) -> Result<usize, DecodeError> {
        let at = self.position();
        match self.tag()? {
            Tag::MAP_EXT => {
                let pairs = self.u32(at)? as usize;
                self.claim(at, pairs.saturating_mul(2))?;
                Ok(pairs)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// Skips bytes.
    ///
    /// # Errors
    /// If there are fewer bytes.
    pub fn skip(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count, self.position()).map(drop)
    }

    /// Checks that all bytes were read.
    ///
    /// # Errors
    /// If there are more bytes.
    #[inline]
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.is_empty() { Ok(()) } else { Err(self.error(self.position(), DecodeErrorKind::Trailing)) }
    }

    /// An error about the term whose tag is at this offset.
    #[cold]
    pub(super) fn error(&self, at: usize, kind: DecodeErrorKind) -> DecodeError {
        let kind = if self.over_limit { DecodeErrorKind::TooManyBytes } else { kind };
        DecodeError::new(at, Tag(self.input.get(at).copied().unwrap_or(0)), kind)
    }

    /// The error for a term of another kind than requested.
    #[cold]
    pub(crate) fn unexpected(&self, at: usize) -> DecodeError {
        self.error(at, DecodeErrorKind::Unexpected)
    }

    #[inline(always)]
    pub(super) fn tag(&mut self) -> Result<Tag, DecodeError> {
        match self.rest {
            [tag, rest @ ..] => {
                self.rest = rest;
                Ok(Tag(*tag))
            }
            [] => Err(self.error(self.position(), DecodeErrorKind::Truncated)),
        }
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: usize, at: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(self.error(at, DecodeErrorKind::Truncated)),
        }
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self, at: usize) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(*bytes)
            }
            None => Err(self.error(at, DecodeErrorKind::Truncated)),
        }
    }

    #[inline(always)]
    pub(super) fn u8(&mut self, at: usize) -> Result<u8, DecodeError> {
        self.array::<1>(at).map(|[byte]| byte)
    }

    #[inline(always)]
    pub(super) fn u16(&mut self, at: usize) -> Result<u16, DecodeError> {
        self.array(at).map(u16::from_be_bytes)
    }

    #[inline(always)]
    pub(super) fn u32(&mut self, at: usize) -> Result<u32, DecodeError> {
        self.array(at).map(u32::from_be_bytes)
    }

    #[inline(always)]
    pub(super) fn u64(&mut self, at: usize) -> Result<u64, DecodeError> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// Checks that `count` more elements are possible: each needs a byte of the input for itself. So the input bounds
    /// what is allocated in advance, however deeply counts are nested.
    #[inline]
    pub(super) fn claim(&mut self, at: usize, count: usize) -> Result<(), DecodeError> {
        let claimed = self.claimed.saturating_add(count);
        if count > self.remaining() || claimed > self.input.len() {
            return Err(self.error(at, DecodeErrorKind::Truncated));
        }
        if claimed > self.elements {
            return Err(self.error(at, DecodeErrorKind::TooManyElements));
        }
        self.claimed = claimed;
        Ok(())
    }

    /// Counts a compound term like an element: the block of memory that it takes has a header. Its encoding has a byte
    /// for it too: the number of its elements.
    #[inline(always)]
    pub(super) fn claim_block(&mut self) {
        self.claimed += 1;
    }

    /// Reads a big integer after its tag: whether it is negative, and its magnitude, least significant byte
    /// first.
    pub(super) fn big(&mut self, tag: Tag, at: usize) -> Result<(bool, &'a [u8]), DecodeError> {
        let len = if tag == Tag::SMALL_BIG_EXT { usize::from(self.u8(at)?) } else { self.u32(at)? as usize };
        let negative = self.u8(at)? != 0;
        Ok((negative, self.take(len, at)?))
    }

    pub(super) fn float_text(&mut self, at: usize) -> Result<f64, DecodeError> {
        let text = str::from_utf8(self.take(31, at)?).unwrap_or("").trim_end_matches('\0');
        text.trim().parse().map_err(|_| self.error(at, DecodeErrorKind::Float))
    }
}

/// Whether two names of these lengths are equal. Short names, the usual case, are compared without a function call.
#[inline(always)]
fn same(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        8..=16 => one.first_chunk::<8>() == other.first_chunk() && one.last_chunk::<8>() == other.last_chunk(),
        4..8 => one.first_chunk::<4>() == other.first_chunk() && one.last_chunk::<4>() == other.last_chunk(),
        2..4 => one.first_chunk::<2>() == other.first_chunk() && one.last_chunk::<2>() == other.last_chunk(),
        _ => one == other,
    }
}

/// The value of a magnitude that fits an `i64`.
#[inline]
pub(super) fn small_of_big(negative: bool, bytes: &[u8]) -> Option<i64> {
    let magnitude = unsigned_of_big(bytes)?;
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[inline]
fn unsigned_of_big(bytes: &[u8]) -> Option<u64> {
    let (low, high) = bytes.split_at(bytes.len().min(8));
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut all = [0; 8];
    all[..low.len()].copy_from_slice(low);
    Some(u64::from_le_bytes(all))
}

pub(super) fn big_integer(negative: bool, bytes: &[u8]) -> BigInt {
    BigInt::from_bytes_le(if negative { Sign::Minus } else { Sign::Plus }, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_is_equal() {
        let name = b"a name that is longer than others";
        for len in 0..name.len() {
            assert!(same(&name[..len], &name.to_vec()[..len]));
            for place in 0..len {
                let mut other = name.to_vec();
                other[place] ^= 1;
                assert!(!same(&name[..len], &other[..len]), "{len} {place}");
            }
        }
    }
}
