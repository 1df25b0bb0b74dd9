//! The memory that a term takes once it is decoded.

use std::mem;

use bytes::Bytes;
use num_bigint::BigInt;

use super::compound::MOST_FREE;
use super::decoder::small_of_big;
use super::sharing::{Place, Sharing};
use crate::{Atom, Binary, BitString, ExternalFun, LocalFun, Pid, Port, Record, Reference, Tag, Term};

/// Counts the memory that decoding a term takes, without decoding it, in steps of bounded time.
///
/// ```
/// use peerl_term::{Measure, Term};
///
/// let wire = Term::list((0..1000).map(|i| Term::tuple([Term::from(i)]))).encode();
/// let mut measure = Measure::new();
/// while !measure.advance(&wire[1..], 100) {}
/// assert!((80_000..120_000).contains(&measure.memory()));
/// ```
#[derive(Debug, Clone)]
pub struct Measure {
    /// The offset of the next term.
    at: usize,
    /// The innermost compound term that is not complete.
    inner: Remaining,
    /// The compound terms around it of which something is missing.
    outer: Outer,
    /// What the terms so far keep.
    kept: usize,
    /// The most that is needed for a moment beside that.
    passing: usize,
    sharing: Sharing,
    /// The elements announced so far, each of which needs a byte.
    announced: usize,
    /// The most elements of a list.
    longest: usize,
    /// The elements of lists that are tails of other lists.
    spliced: usize,
    /// What comparing keys takes for each compound term: nothing before the first map that has keys to compare.
    compared: usize,
    is_complete: bool,
}

/// What is missing of a compound term.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Remaining {
    elements: usize,
    /// Whether it is a list, and so a tail follows the elements.
    is_list: bool,
}

impl Remaining {
    const NOTHING: Self = Self { elements: 0, is_list: false };
}

/// The term is malformed.
struct Malformed;

/// How many bytes each pair of a map takes while the map is sorted.
const SORTED_PAIR: usize = 24;

/// What a map that is open at a great depth takes beside its pairs.
const OPEN_MAP: usize = 8;

/// What a list of which a tail is another list takes, at a great depth, beside its elements.
const OPEN_SPLICED_LIST: usize = 80;

/// What the comparison of two keys takes for each of two compound terms in them.
const COMPARED: usize = 20;

/// The counts that an [`std::sync::Arc`] has before its value.
const SHARED_COUNTS: usize = 16;

/// The size of a block of the heap for a value of this size. (The allocator of glibc; others need little more.)
const fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=24 => 32,
        _ => bytes.saturating_add(8 + 15) & !15,
    }
}

const fn boxed<T>() -> usize {
    block(size_of::<T>())
}

const fn elements(count: usize) -> usize {
    block(count.saturating_mul(size_of::<Term>()))
}

impl Measure {
    /// Begins at the beginning of a term.
    pub fn new() -> Self {
        Self {
            at: 0,
            inner: Remaining { elements: 1, is_list: false },
            outer: Outer::default(),
            kept: 0,
            passing: 0,
            sharing: Sharing::NONE,
            announced: 0,
            longest: 0,
            spliced: 0,
            compared: 0,
            is_complete: false,
        }
    }

    /// Goes on for about so many elements. Returns whether the term is measured to its end. A malformed one is at its
    /// end where it is malformed.
    ///
    /// `term` is the encoded term without a version byte, the same each time.
    pub fn advance(&mut self, term: &[u8], elements: usize) -> bool {
        let mut left = elements.max(1);
        while left > 0 && !self.is_complete {
            left -= self.pass_frequent(term, left);
            if left > 0 && !self.is_complete {
                left -= 1;
                self.is_complete = self.step(term).is_err();
            }
        }
        self.is_complete |= self.inner == Remaining::NOTHING && self.outer.is_empty();
        self.is_complete
    }

    /// The bytes of memory that decoding takes at its peak beside the encoded bytes, as counted so far. The decoder is
    /// that of a [`RawTerm`](crate::RawTerm), whose large binaries share the encoded bytes.
    pub fn memory(&self) -> usize {
        self.kept.saturating_add(self.passing)
    }

    /// How many bytes have been measured.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Passes over the most frequent terms until there is another one; returns their number.
    #[inline]
    fn pass_frequent(&mut self, term: &[u8], most: usize) -> usize {
        let mut rest = term.get(self.at..).unwrap_or(&[]);
        let mut inner = self.inner;
        let mut left = most;
        while left > 0 {
            if inner.elements == 0 {
                match rest {
                    _ if !inner.is_list => {}
                    [tag, after @ ..] if Tag(*tag) == Tag::NIL_EXT => {
                        rest = after;
                        left -= 1;
                    }
                    _ => break,
                }
                match self.outer.pop() {
                    Some(outer) => inner = outer,
                    None => {
                        inner = Remaining::NOTHING;
                        self.is_complete = true;
                        break;
                    }
                }
                continue;
            }
            let [tag, len, ..] = *rest else { break };
            let size = match Tag(tag) {
                Tag::SMALL_INTEGER_EXT | Tag::ATOM_CACHE_REF => 2,
                Tag::INTEGER_EXT => 5,
                Tag::SMALL_ATOM_UTF8_EXT if usize::from(len) <= Atom::INLINE => 2 + usize::from(len),
                Tag::NEW_FLOAT_EXT => 9,
                Tag::NIL_EXT => 1,
                Tag::BINARY_EXT
                    if let [_, 0, 0, 0, len, ..] = *rest
                        && usize::from(len) <= Binary::INLINE =>
                {
                    5 + usize::from(len)
                }
                Tag::SMALL_TUPLE_EXT | Tag::LIST_EXT | Tag::MAP_EXT => {
                    inner.elements -= 1;
                    let Some(after) = self.frequent_header(rest, &mut inner, term.len()) else {
                        self.is_complete = true;
                        break;
                    };
                    rest = after;
                    left -= 1;
                    continue;
                }
                _ => break,
            };
            let Some(after) = rest.get(size..) else { break };
            rest = after;
            inner.elements -= 1;
            left -= 1;
        }
        self.at = term.len() - rest.len();
        self.inner = inner;
        most - left
    }

    /// Begins a tuple, a list or a map; returns what follows its header, unless that is malformed.
    #[inline(always)]
    fn frequent_header<'a>(&mut self, rest: &'a [u8], inner: &mut Remaining, all: usize) -> Option<&'a [u8]> {
        let (&tag, header) = rest.split_first()?;
        if Tag(tag) == Tag::SMALL_TUPLE_EXT {
            let (&arity, after) = header.split_first()?;
            self.open(usize::from(arity), inner, after.len(), all).ok()?;
            return Some(after);
        }
        let (count, after) = header.split_first_chunk()?;
        let count = u32::from_be_bytes(*count) as usize;
        if Tag(tag) == Tag::MAP_EXT {
            self.kept += OPEN_MAP;
            if count > 1 {
                self.compared = COMPARED;
                self.passing = self.passing.max(block(count.saturating_mul(SORTED_PAIR)));
            }
            self.open(count.saturating_mul(2), inner, after.len(), all).ok()?;
        } else if count == 0 {
            // A list without elements is its tail.
            inner.elements += 1;
        } else {
            self.longest = self.longest.max(count);
            self.open(count, inner, after.len(), all).ok()?;
            inner.is_list = true;
        }
        Some(after)
    }

    /// Goes on by one term, or by the tail of a list.
    fn step(&mut self, term: &[u8]) -> Result<(), Malformed> {
        match self.inner.elements.checked_sub(1) {
            Some(elements) => {
                self.inner.elements = elements;
                self.element(term)
            }
            None => self.tail(term),
        }
    }

    fn element(&mut self, term: &[u8]) -> Result<(), Malformed> {
        let tag = Tag(self.byte(term)?);
        match tag {
            Tag::LARGE_TUPLE_EXT => {
                let arity = self.u32(term)?;
                self.open_here(term, arity, 0)?;
            }
            Tag::NEW_FUN_EXT => {
                // The size, the arity, the unique value and the index.
                self.skip(term, 4 + 1 + 16 + 4)?;
                let free = self.u32(term)?;
                if free > MOST_FREE {
                    return Err(Malformed);
                }
                self.kept += boxed::<LocalFun>();
                // The module, two integers and a pid come before the free variables.
                self.open_here(term, free, 4)?;
            }
            Tag::RECORD_EXT => {
                let fields = self.u32(term)?;
                self.byte(term)?;
                self.announce(fields, term.len() - self.at, term.len())?;
                self.kept += boxed::<Record>() + block(fields.saturating_mul(size_of::<Atom>()));
                self.open_here(term, fields, fields + 2)?;
            }
            _ => self.leaf(tag, term)?,
        }
        Ok(())
    }

    fn leaf(&mut self, tag: Tag, term: &[u8]) -> Result<(), Malformed> {
        match tag {
            Tag::BINARY_EXT => {
                let len = self.u32(term)?;
                let start = self.at;
                self.skip(term, len)?;
                self.kept += match len {
                    ..=Binary::INLINE => 0,
                    Binary::SHARED.. => boxed::<Bytes>(),
                    _ => match self.sharing.place(term.len() - start, start, len) {
                        Place::Own => block(len),
                        Place::NewChunk(chunk) => block(SHARED_COUNTS + chunk),
                        Place::LastChunk(_) => 0,
                    },
                };
            }
            Tag::BIT_BINARY_EXT => {
                let len = self.u32(term)?;
                self.skip(term, len.saturating_add(1))?;
                self.kept += boxed::<BitString>() + block(len);
            }
            Tag::STRING_EXT => {
                let len = self.u16(term)?;
                self.announce(len, term.len() - self.at, term.len())?;
                self.skip(term, len)?;
                self.kept += elements(len);
            }
            Tag::SMALL_INTEGER_EXT | Tag::ATOM_CACHE_REF => self.skip(term, 1)?,
            Tag::INTEGER_EXT => self.skip(term, 4)?,
            Tag::NEW_FLOAT_EXT => self.skip(term, 8)?,
            Tag::FLOAT_EXT => self.skip(term, 31)?,
            Tag::NIL_EXT => {}
            Tag::SMALL_BIG_EXT => {
                let len = usize::from(self.byte(term)?);
                self.big(term, len)?;
            }
            Tag::LARGE_BIG_EXT => {
                let len = self.u32(term)?;
                self.big(term, len)?;
            }
            Tag::NEW_PID_EXT => self.identifier::<Pid>(term, 12)?,
            Tag::PID_EXT => self.identifier::<Pid>(term, 9)?,
            Tag::PORT_EXT => self.identifier::<Port>(term, 5)?,
            Tag::NEW_PORT_EXT => self.identifier::<Port>(term, 8)?,
            Tag::V4_PORT_EXT => self.identifier::<Port>(term, 12)?,
            Tag::REFERENCE_EXT => self.identifier::<Reference>(term, 5)?,
            Tag::NEW_REFERENCE_EXT => {
                let words = self.u16(term)?;
                self.identifier::<Reference>(term, 1 + 4 * words)?;
            }
            Tag::NEWER_REFERENCE_EXT => {
                let words = self.u16(term)?;
                self.identifier::<Reference>(term, 4 + 4 * words)?;
            }
            Tag::EXPORT_EXT => {
                self.kept += boxed::<ExternalFun>();
                // The module, the function and the arity.
                self.inner.elements += 3;
            }
            atom => self.atom(atom, term)?,
        }
        Ok(())
    }

    /// Goes on with the tail of a list. The elements of a tail that is a list are in the same block as those before,
    /// which grows.
    fn tail(&mut self, term: &[u8]) -> Result<(), Malformed> {
        match Tag(self.byte(term)?) {
            Tag::NIL_EXT => self.inner.is_list = false,
            Tag::LIST_EXT => {
                let more = self.u32(term)?;
                self.splice(term, more)?;
                self.kept += OPEN_SPLICED_LIST;
                self.inner.elements = more;
            }
            Tag::STRING_EXT => {
                let more = self.u16(term)?;
                self.splice(term, more)?;
                self.skip(term, more)?;
                self.inner.is_list = false;
            }
            _ => {
                self.at -= 1;
                self.inner = Remaining { elements: 1, is_list: false };
                self.announce(1, term.len() - self.at, term.len())?;
                self.kept += size_of::<Term>();
                self.passing = self.passing.max(elements(self.longest));
            }
        }
        Ok(())
    }

    /// Adds elements to a list: they are moved to a block of twice the size if the old one is full.
    fn splice(&mut self, term: &[u8], more: usize) -> Result<(), Malformed> {
        self.announce(more, term.len() - self.at, term.len())?;
        self.kept += more.saturating_mul(size_of::<Term>());
        self.spliced += more;
        self.passing = self.passing.max(2 * elements(self.longest + self.spliced + 4));
        Ok(())
    }

    /// Begins a compound term of so many elements, before which other terms come.
    fn open_here(&mut self, term: &[u8], count: usize, before: usize) -> Result<(), Malformed> {
        let mut inner = self.inner;
        self.open(count, &mut inner, term.len() - self.at, term.len())?;
        inner.elements += before;
        self.inner = inner;
        Ok(())
    }

    /// Begins a compound term of so many elements in another one. `rest` of all bytes follow.
    #[inline(always)]
    fn open(&mut self, count: usize, inner: &mut Remaining, rest: usize, all: usize) -> Result<(), Malformed> {
        self.announce(count, rest, all)?;
        self.kept += elements(count) + self.compared;
        self.outer.push(mem::replace(inner, Remaining { elements: count, is_list: false }));
        Ok(())
    }

    /// Checks that so many more terms are possible, as the decoder does.
    #[inline(always)]
    fn announce(&mut self, count: usize, rest: usize, all: usize) -> Result<(), Malformed> {
        self.announced = self.announced.saturating_add(count);
        if count > rest || self.announced > all { Err(Malformed) } else { Ok(()) }
    }

    /// Passes over an integer of so many bytes, after its length.
    fn big(&mut self, term: &[u8], len: usize) -> Result<(), Malformed> {
        let negative = self.byte(term)? != 0;
        let start = self.at;
        self.skip(term, len)?;
        if len > 8 || small_of_big(negative, &term[start..self.at]).is_none() {
            self.kept += boxed::<BigInt>() + block(len.next_multiple_of(8));
        }
        Ok(())
    }

    /// Passes over the name of a node and the rest of an identifier.
    fn identifier<T>(&mut self, term: &[u8], after: usize) -> Result<(), Malformed> {
        self.kept += boxed::<T>();
        let tag = Tag(self.byte(term)?);
        self.atom(tag, term)?;
        self.skip(term, after)
    }

    /// Passes over the name of an atom.
    fn atom(&mut self, tag: Tag, term: &[u8]) -> Result<(), Malformed> {
        let len = match tag {
            Tag::ATOM_CACHE_REF => return self.skip(term, 1),
            Tag::SMALL_ATOM_UTF8_EXT | Tag::SMALL_ATOM_EXT => usize::from(self.byte(term)?),
            Tag::ATOM_UTF8_EXT | Tag::ATOM_EXT => self.u16(term)?,
            _ => return Err(Malformed),
        };
        let start = self.at;
        self.skip(term, len)?;
        let len = match tag {
            Tag::SMALL_ATOM_EXT | Tag::ATOM_EXT if len <= Atom::MAX_CHARACTERS => {
                len + term[start..self.at].iter().filter(|byte| !byte.is_ascii()).count()
            }
            _ => len,
        };
        if len > Atom::INLINE {
            self.kept += block(SHARED_COUNTS + len);
        }
        Ok(())
    }

    #[inline]
    fn byte(&mut self, term: &[u8]) -> Result<u8, Malformed> {
        let byte = *term.get(self.at).ok_or(Malformed)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn u16(&mut self, term: &[u8]) -> Result<usize, Malformed> {
        let bytes = term.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        self.at += 2;
        Ok(usize::from(u16::from_be_bytes(*bytes)))
    }

    #[inline]
    fn u32(&mut self, term: &[u8]) -> Result<usize, Malformed> {
        let bytes = term.get(self.at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
        self.at += 4;
        Ok(u32::from_be_bytes(*bytes) as usize)
    }

    #[inline]
    fn skip(&mut self, term: &[u8], bytes: usize) -> Result<(), Malformed> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= term.len()).ok_or(Malformed)?;
        self.at = end;
        Ok(())
    }
}

impl Default for Measure {
    fn default() -> Self {
        Self::new()
    }
}

/// A stack that takes one byte for most compound terms: a term may have millions of levels. Each entry is a number
/// below 128, or the bytes of a larger number and then [`Self::LARGE`].
#[derive(Debug, Clone, Default)]
struct Outer(Vec<u8>);

impl Outer {
    const LARGE: u8 = 0x80;

    #[inline]
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn push(&mut self, remaining: Remaining) {
        let Remaining { elements, is_list } = remaining;
        let entry = elements << 1 | usize::from(is_list);
        match u8::try_from(entry) {
            Ok(0) => {}
            Ok(small @ ..Self::LARGE) => self.0.push(small),
            _ => {
                self.0.extend_from_slice(&entry.to_le_bytes());
                self.0.push(Self::LARGE);
            }
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<Remaining> {
        let mut entry = usize::from(self.0.pop()?);
        if entry == usize::from(Self::LARGE) {
            let bytes = *self.0.last_chunk()?;
            self.0.truncate(self.0.len() - bytes.len());
            entry = usize::from_le_bytes(bytes);
        }
        Some(Remaining { elements: entry >> 1, is_list: entry & 1 == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_terms_come_back_whatever_is_missing() {
        let counts = (0..48).map(|shift| 1usize << shift).flat_map(|edge| [edge - 1, edge, edge + 1]);
        let all: Vec<Remaining> =
            counts.flat_map(|elements| [true, false].map(|is_list| Remaining { elements, is_list })).collect();
        let mut outer = Outer::default();
        all.iter().for_each(|remaining| outer.push(*remaining));
        for remaining in all.iter().rev().filter(|remaining| remaining.elements > 0 || remaining.is_list) {
            assert_eq!(outer.pop(), Some(*remaining));
        }
        assert_eq!(outer.pop(), None);
    }
}
