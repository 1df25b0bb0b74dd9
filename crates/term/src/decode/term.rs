use std::iter;

use smallvec::{SmallVec, smallvec};

use super::decoder::{big_integer, small_of_big};
use super::{DecodeError, DecodeErrorKind, Decoder};
use crate::{
    Atom, Binary, BitString, DuplicateKey, ExternalFun, Float, ImproperList, LocalFun, Map, Pid, Record, Tag, Term,
};

impl Decoder<'_> {
    /// Reads any term.
    ///
    /// # Errors
    /// If the next term is not well-formed, or over the limits.
    pub fn term(&mut self) -> Result<Term, DecodeError> {
        let at = self.position();
        let tag = self.tag()?;
        let Some(root) = self.compound(tag, at, 0)? else {
            let mut root = Vec::with_capacity(1);
            self.leaf(tag, at, &mut root)?;
            return root.pop().ok_or_else(|| self.unexpected(at));
        };
        // The innermost is last; the enclosing ones wait for so many elements together.
        let mut open: SmallVec<[Open; 4]> = smallvec![root];
        let mut owed = 0;
        while let Some(current) = open.last_mut() {
            if let Some(inner) = self.fill(current, owed)? {
                owed += current.missing;
                open.push(inner);
                continue;
            }
            if let Kind::List = current.kind
                && self.tail(current, owed)?
            {
                continue;
            }
            let Some(done) = open.pop() else { break };
            let Some(enclosing) = open.last_mut() else { return self.close(done) };
            owed -= enclosing.missing;
            match done.kind {
                Kind::Tuple => keep(&mut enclosing.elements, || Term::Tuple(done.elements.into())),
                Kind::List => keep(&mut enclosing.elements, || Term::List(done.elements.into())),
                Kind::Map => {
                    let map = self.map(done.at, done.elements)?;
                    keep(&mut enclosing.elements, || Term::Map(map));
                }
                _ => enclosing.elements.push(self.close(done)?),
            }
        }
        Err(self.error(at, DecodeErrorKind::Truncated))
    }

    /// Reads elements until none is missing, or one is a compound term, which it gives back.
    #[inline(always)]
    fn fill(&mut self, into: &mut Open, owed: usize) -> Result<Option<Open>, DecodeError> {
        while into.missing > 0 {
            let at = self.position();
            let tag = self.tag()?;
            match tag {
                Tag::SMALL_INTEGER_EXT => self.run(tag, at, into, |input, at, elements| {
                    let value = input.u8(at)?;
                    keep(elements, || Term::Integer(i64::from(value)));
                    Ok(())
                })?,
                Tag::SMALL_ATOM_UTF8_EXT => self.run(tag, at, into, |input, at, elements| {
                    let len = usize::from(input.u8(at)?);
                    if let Some(start) = input.ascii_ahead(len) {
                        input.take(len, at)?;
                        keep(elements, || Term::Atom(Atom::from_ascii(len, start)));
                    } else {
                        let atom = input.atom_utf8(len, at)?;
                        keep(elements, || Term::Atom(atom));
                    }
                    Ok(())
                })?,
                Tag::BINARY_EXT => self.run(tag, at, into, |input, at, elements| {
                    let len = input.u32(at)? as usize;
                    if let Some(start) = input.ahead().filter(|_| len <= Binary::INLINE) {
                        input.take(len, at)?;
                        keep(elements, || Term::Binary(Binary::inline(len, start)));
                    } else {
                        let bytes = input.binary_of(len, at)?;
                        keep(elements, || Term::Binary(bytes));
                    }
                    Ok(())
                })?,
                Tag::INTEGER_EXT => self.run(tag, at, into, |input, at, elements| {
                    let value = input.u32(at)?.cast_signed();
                    keep(elements, || Term::Integer(i64::from(value)));
                    Ok(())
                })?,
                Tag::NEW_FLOAT_EXT => self.run(tag, at, into, |input, at, elements| {
                    let value = f64::from_bits(input.u64(at)?);
                    let value = input.finite(value, at)?;
                    keep(elements, || Term::Float(value));
                    Ok(())
                })?,
                Tag::SMALL_BIG_EXT => self.run(tag, at, into, |input, at, elements| {
                    let (negative, bytes) = input.big(Tag::SMALL_BIG_EXT, at)?;
                    match small_of_big(negative, bytes) {
                        Some(value) => keep(elements, || Term::Integer(value)),
                        None => elements.push(Term::from(big_integer(negative, bytes))),
                    }
                    Ok(())
                })?,
                Tag::NIL_EXT => self.run(tag, at, into, |_, _, elements| {
                    keep(elements, Term::nil);
                    Ok(())
                })?,
                tag => {
                    into.missing -= 1;
                    match self.compound(tag, at, owed + into.missing)? {
                        Some(inner) => return Ok(Some(inner)),
                        None => self.leaf(tag, at, &mut into.elements)?,
                    }
                }
            }
        }
        Ok(None)
    }

    /// Reads an element after its tag, and those after it that have the same tag: elements of a kind come in
    /// runs, as lists of numbers or of strings.
    #[inline(always)]
    fn run(
        &mut self,
        tag: Tag,
        mut at: usize,
        into: &mut Open,
        read: impl Fn(&mut Self, usize, &mut Vec<Term>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        loop {
            read(self, at, &mut into.elements)?;
            into.missing -= 1;
            if into.missing == 0 || !self.next_is(tag) {
                return Ok(());
            }
            at = self.position();
            self.tag()?;
        }
    }

    /// Passes over any term without building it; gives the bytes that it has.
    ///
    /// # Errors
    /// If the next term is not well-formed.
    pub fn skip_term(&mut self) -> Result<usize, DecodeError> {
        let start = self.position();
        let mut passed = Vec::new();
        let mut missing: usize = 1;
        while missing > 0 {
            missing -= 1;
            let at = self.position();
            let tag = self.tag()?;
            let inside = match tag {
                Tag::SMALL_TUPLE_EXT => usize::from(self.u8(at)?),
                Tag::LARGE_TUPLE_EXT => self.u32(at)? as usize,
                Tag::LIST_EXT => (self.u32(at)? as usize).saturating_add(1),
                Tag::MAP_EXT => (self.u32(at)? as usize).saturating_mul(2),
                Tag::BINARY_EXT => {
                    let len = self.u32(at)? as usize;
                    self.take(len, at)?;
                    0
                }
                Tag::BIT_BINARY_EXT => {
                    let len = self.u32(at)? as usize;
                    self.take(len.saturating_add(1), at)?;
                    0
                }
                Tag::STRING_EXT => {
                    let len = usize::from(self.u16(at)?);
                    self.take(len, at)?;
                    0
                }
                Tag::NEW_FUN_EXT => {
                    // Size, arity, unique and index; then the number of free variables, and before those
                    // the module, two integers and a pid.
                    self.take(4 + 1 + 16 + 4, at)?;
                    (self.u32(at)? as usize).saturating_add(4)
                }
                Tag::RECORD_EXT => {
                    let fields = self.u32(at)? as usize;
                    self.u8(at)?;
                    fields.saturating_mul(2).saturating_add(2)
                }
                Tag::SMALL_INTEGER_EXT => {
                    self.u8(at)?;
                    0
                }
                Tag::INTEGER_EXT => {
                    self.u32(at)?;
                    0
                }
                Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT => {
                    self.big(tag, at)?;
                    0
                }
                Tag::SMALL_ATOM_UTF8_EXT => {
                    let len = usize::from(self.u8(at)?);
                    self.utf8_name(len, at)?;
                    0
                }
                tag => {
                    self.leaf(tag, at, &mut passed)?;
                    passed.clear();
                    0
                }
            };
            missing = missing.saturating_add(inside);
            if missing > self.remaining() {
                return Err(self.error(at, DecodeErrorKind::Truncated));
            }
        }
        Ok(self.position() - start)
    }

    /// Reads what comes before the elements of a compound term; nothing if it is another term's tag.
    #[inline(always)]
    fn compound(&mut self, tag: Tag, at: usize, owed: usize) -> Result<Option<Open>, DecodeError> {
        let (kind, missing) = match tag {
            Tag::SMALL_TUPLE_EXT => (Kind::Tuple, usize::from(self.u8(at)?)),
            Tag::LIST_EXT => (Kind::List, self.u32(at)? as usize),
            Tag::MAP_EXT => (Kind::Map, (self.u32(at)? as usize).saturating_mul(2)),
            Tag::LARGE_TUPLE_EXT => (Kind::Tuple, self.u32(at)? as usize),
            Tag::NEW_FUN_EXT => self.fun_header(at)?,
            Tag::RECORD_EXT => self.record_header(at, owed)?,
            _ => return Ok(None),
        };
        self.claim(at, missing, owed)?;
        Ok(Some(Open { kind, at, missing, elements: Vec::with_capacity(missing) }))
    }

    /// Reads the tail of a list. Says whether there are more elements to read: those of a list in the tail,
    /// which go on in the same vector, or an improper tail.
    fn tail(&mut self, list: &mut Open, owed: usize) -> Result<bool, DecodeError> {
        let at = self.position();
        match self.peek_tag()? {
            Tag::NIL_EXT => {
                self.tag()?;
                Ok(false)
            }
            Tag::LIST_EXT => {
                self.tag()?;
                list.missing = self.u32(at)? as usize;
                self.claim(at, list.missing, owed)?;
                list.elements.reserve(list.missing);
                Ok(true)
            }
            Tag::STRING_EXT => {
                self.tag()?;
                self.string_elements(at, &mut list.elements)?;
                Ok(false)
            }
            _ if list.elements.is_empty() => {
                // A list of no elements and a tail is the tail: the BEAM reads it so.
                list.kind = Kind::OnlyTail;
                list.missing = 1;
                Ok(true)
            }
            _ => {
                list.kind = Kind::ImproperList;
                list.missing = 1;
                self.claim(at, 1, owed)?;
                list.elements.reserve_exact(1);
                Ok(true)
            }
        }
    }

    fn close(&mut self, done: Open) -> Result<Term, DecodeError> {
        let mut elements = done.elements;
        Ok(match done.kind {
            Kind::Tuple => Term::Tuple(elements.into()),
            Kind::List => Term::List(elements.into()),
            Kind::OnlyTail => elements.pop().unwrap_or_else(Term::nil),
            Kind::ImproperList => match elements.pop() {
                Some(tail @ (Term::List(_) | Term::ImproperList(_))) => Term::list_with_tail(elements, tail),
                tail => {
                    elements.extend(tail);
                    Term::ImproperList(ImproperList(elements.into()))
                }
            },
            Kind::Map => Term::Map(self.map(done.at, elements)?),
            Kind::Fun(mut fun) => {
                fun.free_variables = elements.into();
                Term::LocalFun(fun)
            }
            Kind::Record(mut record) => {
                record.values = elements.into();
                Term::Record(record)
            }
        })
    }

    fn map(&self, at: usize, elements: Vec<Term>) -> Result<Map, DecodeError> {
        Map::from_flat(elements).map_err(|DuplicateKey| self.error(at, DecodeErrorKind::DuplicateKey))
    }

    /// Reads a term that has no terms inside, or only a fixed number of simple ones, and adds it to others.
    fn leaf(&mut self, tag: Tag, at: usize, to: &mut Vec<Term>) -> Result<(), DecodeError> {
        match tag {
            Tag::SMALL_INTEGER_EXT => {
                let value = self.u8(at)?;
                keep(to, || Term::Integer(i64::from(value)));
            }
            Tag::INTEGER_EXT => {
                let value = self.u32(at)?.cast_signed();
                keep(to, || Term::Integer(i64::from(value)));
            }
            Tag::SMALL_ATOM_UTF8_EXT
            | Tag::ATOM_CACHE_REF
            | Tag::ATOM_UTF8_EXT
            | Tag::SMALL_ATOM_EXT
            | Tag::ATOM_EXT => {
                let atom = self.atom_after(tag, at)?;
                keep(to, || Term::Atom(atom));
            }
            Tag::BINARY_EXT => {
                let bytes = self.binary_after(at)?;
                keep(to, || Term::Binary(bytes));
            }
            Tag::NIL_EXT => keep(to, Term::nil),
            Tag::NEW_FLOAT_EXT | Tag::FLOAT_EXT => {
                let value = if tag == Tag::FLOAT_EXT { self.float_text(at)? } else { f64::from_bits(self.u64(at)?) };
                let value = self.finite(value, at)?;
                keep(to, || Term::Float(value));
            }
            Tag::STRING_EXT => {
                let mut elements = Vec::new();
                self.string_elements(at, &mut elements)?;
                keep(to, || Term::List(elements.into()));
            }
            Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT => {
                let (negative, bytes) = self.big(tag, at)?;
                match small_of_big(negative, bytes) {
                    Some(small) => keep(to, || Term::Integer(small)),
                    None => to.push(Term::from(big_integer(negative, bytes))),
                }
            }
            Tag::NEW_PID_EXT | Tag::PID_EXT => {
                let pid = Box::new(self.pid_after(tag, at)?);
                keep(to, || Term::Pid(pid));
            }
            Tag::NEWER_REFERENCE_EXT | Tag::NEW_REFERENCE_EXT | Tag::REFERENCE_EXT => {
                let reference = Box::new(self.reference_after(tag, at)?);
                keep(to, || Term::Reference(reference));
            }
            Tag::NEW_PORT_EXT | Tag::PORT_EXT | Tag::V4_PORT_EXT => to.push(Term::from(self.port_after(tag, at)?)),
            Tag::EXPORT_EXT => {
                let (module, function) = (self.atom()?, self.atom()?);
                let arity = u8::try_from(self.integer()?).map_err(|_| self.error(at, DecodeErrorKind::IntegerRange))?;
                to.push(Term::from(ExternalFun { module, function, arity }));
            }
            Tag::BIT_BINARY_EXT => to.push(self.bit_string(at)?),
            _ => return Err(self.error(at, DecodeErrorKind::UnknownTag)),
        }
        Ok(())
    }

    #[inline]
    fn finite(&self, value: f64, at: usize) -> Result<Float, DecodeError> {
        Float::new(value).ok_or_else(|| self.error(at, DecodeErrorKind::Float))
    }

    /// Reads the bytes of a `STRING_EXT`, which are a list of integers.
    fn string_elements(&mut self, at: usize, elements: &mut Vec<Term>) -> Result<(), DecodeError> {
        let len = usize::from(self.u16(at)?);
        self.claim(at, len, 0)?;
        elements.extend(self.take(len, at)?.iter().map(|byte| Term::Integer(i64::from(*byte))));
        Ok(())
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

    fn fun_header(&mut self, at: usize) -> Result<(Kind, usize), DecodeError> {
        // The size that is stated is not needed: the parts say where the fun ends.
        self.u32(at)?;
        let arity = self.u8(at)?;
        let unique = self.array(at)?;
        let index = self.u32(at)?;
        let free = self.u32(at)? as usize;
        let module = self.atom()?;
        let old_index = self.integer()?;
        let old_unique = self.integer()?;
        let pid: Pid = self.pid()?;
        let fun =
            LocalFun { arity, unique, index, module, old_index, old_unique, pid, free_variables: Default::default() };
        Ok((Kind::Fun(Box::new(fun)), free))
    }

    fn record_header(&mut self, at: usize, owed: usize) -> Result<(Kind, usize), DecodeError> {
        let fields = self.u32(at)? as usize;
        let exported = self.u8(at)? & 1 == 1;
        let (module, name) = (self.atom()?, self.atom()?);
        self.claim(at, fields, owed.saturating_add(fields))?;
        let keys = (0..fields).map(|_| self.atom()).collect::<Result<Box<[Atom]>, _>>()?;
        let record = Record { exported, module, name, keys, values: Default::default() };
        Ok((Kind::Record(Box::new(record)), fields))
    }
}

/// Adds an element that is made right where it is kept. With `push` it would be made on the stack and copied
/// from there in larger pieces than it was written in, for which the processor has to wait.
#[inline(always)]
fn keep(elements: &mut Vec<Term>, make: impl FnOnce() -> Term) {
    elements.extend(iter::once_with(make));
}

/// A compound term of which elements are missing.
struct Open {
    kind: Kind,
    /// The offset of its tag.
    at: usize,
    missing: usize,
    elements: Vec<Term>,
}

enum Kind {
    Tuple,
    List,
    /// A list that has its elements, and waits for its tail.
    ImproperList,
    /// A list that has no elements, and waits for its tail.
    OnlyTail,
    Map,
    Fun(Box<LocalFun>),
    Record(Box<Record>),
}
