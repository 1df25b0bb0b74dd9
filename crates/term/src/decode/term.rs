//! Any term.
//!
//! The elements of a compound term are built in place. A term that is built elsewhere and then copied is read in
//! larger pieces than it was written, and such a copy waits for the store buffer (failed store forwarding).

use std::mem;

use super::compound::{Kind, Open};
use super::enclosing::Enclosing;
use super::vacant::{VACANT, put};
use super::{DecodeError, Decoder, small};
use crate::{Tag, Term};

/// Terms up to this depth are read by recursion, which is fast and fits any stack; deeper ones in a loop.
const DEEP: u32 = 8;

impl Decoder<'_> {
    /// Reads any term.
    ///
    /// # Errors
    /// If the next term is not well-formed, or over the limits.
    pub fn term(&mut self) -> Result<Term, DecodeError> {
        let mut term = VACANT;
        self.term_into(&mut term)?;
        Ok(term)
    }

    /// Reads any term in place of a placeholder.
    pub(super) fn term_into(&mut self, to: &mut Term) -> Result<(), DecodeError> {
        let (tag, at) = self.head()?;
        match self.compound(tag, at)? {
            Some((kind, count)) => self.complete(kind, count, to, 0),
            None => self.leaf(tag, at, to),
        }
    }

    /// Reads the elements of a compound term and stores it in `to`.
    fn complete(&mut self, kind: Kind, count: usize, to: &mut Term, depth: u32) -> Result<(), DecodeError> {
        let mut open = self.open(kind, count);
        loop {
            if let Some(inner) = self.fill(&mut open, depth)? {
                return self.complete_deep(open, inner, to);
            }
            if !matches!(open.kind, Kind::List) || !self.tail(&mut open)? {
                return self.close(open, to);
            }
        }
    }

    /// As [`Self::complete`], for a compound term that contains one too deep for recursion.
    #[cold]
    fn complete_deep(&mut self, open: Open, inner: Open, to: &mut Term) -> Result<(), DecodeError> {
        let mut enclosing = Enclosing::new();
        enclosing.push(open);
        let mut open = inner;
        loop {
            if let Some(inner) = self.fill(&mut open, DEEP)? {
                enclosing.push(mem::replace(&mut open, inner));
            } else if !matches!(open.kind, Kind::List) || !self.tail(&mut open)? {
                let Some(mut outer) = enclosing.pop() else { return self.close(open, to) };
                self.close(open, &mut outer.elements[outer.filled])?;
                outer.filled += 1;
                open = outer;
            }
        }
    }

    /// Reads elements until the term is complete, or returns an element that is too deep for recursion.
    #[inline(always)]
    fn fill(&mut self, open: &mut Open, depth: u32) -> Result<Option<Open>, DecodeError> {
        let is_list = matches!(open.kind, Kind::List);
        while open.filled < open.count {
            open.make_room();
            let all = open.elements.len();
            let mut slots = open.elements[open.filled..].iter_mut();
            let mut rest = self.rest;
            while let Some(slot) = slots.next() {
                if let Some((atom, after)) = small::atom(rest) {
                    put(slot, Term::Atom(atom));
                    rest = after;
                    continue;
                }
                match rest.first().map(|tag| Tag(*tag)) {
                    // Numbers come in sequences.
                    Some(Tag::SMALL_INTEGER_EXT | Tag::INTEGER_EXT | Tag::SMALL_BIG_EXT)
                        if is_list && let Some((value, after)) = small::integer(rest) =>
                    {
                        put(slot, Term::Integer(value));
                        rest = after;
                        while let Some((value, after)) = small::integer(rest)
                            && let Some(slot) = slots.next()
                        {
                            put(slot, Term::Integer(value));
                            rest = after;
                        }
                    }
                    Some(Tag::NEW_FLOAT_EXT) if let Some((value, after)) = small::float(rest) => {
                        put(slot, Term::Float(value));
                        rest = after;
                        while let Some((value, after)) = small::float(rest)
                            && let Some(slot) = slots.next()
                        {
                            put(slot, Term::Float(value));
                            rest = after;
                        }
                    }
                    Some(Tag::SMALL_INTEGER_EXT) if let [_, value, after @ ..] = rest => {
                        put(slot, Term::Integer(i64::from(*value)));
                        rest = after;
                    }
                    Some(Tag::INTEGER_EXT) if let [_, a, b, c, d, after @ ..] = rest => {
                        put(slot, Term::Integer(i64::from(i32::from_be_bytes([*a, *b, *c, *d]))));
                        rest = after;
                    }
                    Some(Tag::BINARY_EXT) if let Some((bytes, after)) = small::binary(rest) => {
                        put(slot, Term::Binary(bytes));
                        rest = after;
                    }
                    Some(Tag::NIL_EXT) => {
                        put(slot, Term::nil());
                        rest = &rest[1..];
                    }
                    _ => {
                        self.rest = rest;
                        let (tag, at) = self.head()?;
                        match self.compound(tag, at)? {
                            None => self.leaf(tag, at, slot)?,
                            Some((kind, count)) if depth < DEEP => {
                                self.complete(kind, count, slot, depth + 1)?;
                            }
                            Some((kind, count)) => {
                                open.filled = all - slots.len() - 1;
                                return Ok(Some(self.open(kind, count)));
                            }
                        }
                        rest = self.rest;
                    }
                }
            }
            self.rest = rest;
            open.filled = all;
        }
        Ok(None)
    }
}
