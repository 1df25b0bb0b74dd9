//! Compound terms: their headers, the space between elements, and their tails.

use super::vacant::{VACANT, put};
use super::{DecodeError, DecodeErrorKind, Decoder};
use crate::elements::Elements;
use crate::{Atom, DuplicateKey, ImproperList, List, LocalFun, Map, Pid, Record, Tag, Term, Tuple};

/// The most free variables of a fun in the BEAM.
pub(super) const MOST_FREE: usize = 255;

/// For how many elements space is reserved at a time.
const CHUNK: usize = 64;

/// A compound term whose elements are incomplete.
pub(super) struct Open {
    pub(super) kind: Kind,
    /// The number of elements when complete.
    pub(super) count: usize,
    /// The number of elements read.
    pub(super) filled: usize,
    /// The elements read, and placeholders for further ones.
    pub(super) elements: Vec<Term>,
}

pub(super) enum Kind {
    Tuple,
    List,
    /// A list whose elements are complete; its tail is missing.
    ImproperList,
    /// A map, and the offset of its tag.
    Map {
        at: usize,
    },
    Fun(Box<LocalFun>),
    Record(Box<Record>),
}

impl Kind {
    /// The term of these elements; those of a map must be in the order of their keys.
    #[inline(always)]
    pub(super) fn term(self, elements: Elements) -> Term {
        match self {
            Self::Tuple => Term::Tuple(Tuple(elements)),
            Self::List => Term::List(List(elements)),
            Self::ImproperList => Term::ImproperList(ImproperList(elements)),
            Self::Map { .. } => Term::Map(Map(elements)),
            Self::Fun(mut fun) => {
                fun.free_variables = elements;
                Term::LocalFun(fun)
            }
            Self::Record(mut record) => {
                record.values = elements;
                Term::Record(record)
            }
        }
    }
}

impl Open {
    /// Adds placeholders for missing elements, if none are left.
    #[inline(always)]
    pub(super) fn make_room(&mut self) {
        if self.filled == self.elements.len() {
            let room = (self.count - self.filled).min(CHUNK);
            self.elements.extend((0..room).map(|_| VACANT));
        }
    }
}

impl Decoder<'_> {
    /// Reads the tag of a term; returns it and its offset. A list without elements is its tail: the BEAM decodes it so.
    #[inline(always)]
    pub(super) fn head(&mut self) -> Result<(Tag, usize), DecodeError> {
        loop {
            let at = self.position();
            match self.tag()? {
                Tag::LIST_EXT if self.rest.starts_with(&[0; 4]) => self.rest = &self.rest[4..],
                tag => return Ok((tag, at)),
            }
        }
    }

    /// Reads the header of a compound term; `None` if the tag is of another term.
    #[inline(always)]
    pub(super) fn compound(&mut self, tag: Tag, at: usize) -> Result<Option<(Kind, usize)>, DecodeError> {
        let (kind, count) = match tag {
            Tag::SMALL_TUPLE_EXT => (Kind::Tuple, usize::from(self.u8(at)?)),
            Tag::LIST_EXT => (Kind::List, self.u32(at)? as usize),
            Tag::MAP_EXT => (Kind::Map { at }, (self.u32(at)? as usize).saturating_mul(2)),
            Tag::LARGE_TUPLE_EXT => (Kind::Tuple, self.u32(at)? as usize),
            Tag::NEW_FUN_EXT => self.fun_header(at)?,
            Tag::RECORD_EXT => self.record_header(at)?,
            _ => return Ok(None),
        };
        self.claim(at, count)?;
        self.claim_block();
        Ok(Some((kind, count)))
    }

    #[inline(always)]
    pub(super) fn open(&self, kind: Kind, count: usize) -> Open {
        let tail = usize::from(count == 1 && matches!(kind, Kind::List) && self.has_tail_after_atom());
        Open { kind, count, filled: 0, elements: Vec::with_capacity(count + tail) }
    }

    /// Whether an atom and the tail of an improper list follow, as in `[alias | Reference]`, which is part of every
    /// call of a `gen_server`. Such a list gets all its space at once.
    fn has_tail_after_atom(&self) -> bool {
        let tail = match self.rest {
            [tag, len, rest @ ..] if Tag(*tag) == Tag::SMALL_ATOM_UTF8_EXT => rest.get(usize::from(*len)),
            [tag, _, rest @ ..] if Tag(*tag) == Tag::ATOM_CACHE_REF => rest.first(),
            _ => None,
        };
        tail.is_some_and(|tail| Tag(*tail) != Tag::NIL_EXT)
    }

    /// Reads the tail of a list. Returns whether there are more elements to read: those of a list in the tail, which
    /// continue in the same vector, or an improper tail.
    pub(super) fn tail(&mut self, list: &mut Open) -> Result<bool, DecodeError> {
        let at = self.position();
        match self.peek_tag()? {
            Tag::NIL_EXT => {
                self.tag()?;
                return Ok(false);
            }
            Tag::STRING_EXT => {
                self.tag()?;
                let bytes = self.string_bytes(at)?;
                list.elements.extend(bytes.iter().map(|byte| Term::from(*byte)));
                return Ok(false);
            }
            Tag::LIST_EXT => {
                self.tag()?;
                let more = self.u32(at)? as usize;
                self.claim(at, more)?;
                list.count += more;
                list.elements.reserve(more);
            }
            _ => {
                list.kind = Kind::ImproperList;
                self.claim(at, 1)?;
                list.count += 1;
                list.elements.reserve_exact(1);
            }
        }
        Ok(true)
    }

    #[inline(always)]
    pub(super) fn close(&mut self, done: Open, to: &mut Term) -> Result<(), DecodeError> {
        match done.kind {
            Kind::Map { at } => {
                let map = self.map(at, done.elements)?;
                put(to, Term::Map(map));
            }
            kind => put(to, kind.term(done.elements.into())),
        }
        Ok(())
    }

    fn map(&self, at: usize, elements: Vec<Term>) -> Result<Map, DecodeError> {
        Map::from_flat(elements).map_err(|DuplicateKey| self.error(at, DecodeErrorKind::DuplicateKey))
    }

    fn fun_header(&mut self, at: usize) -> Result<(Kind, usize), DecodeError> {
        // The stated size is redundant: the parts delimit the fun.
        self.u32(at)?;
        let arity = self.u8(at)?;
        let unique = self.array(at)?;
        let index = self.u32(at)?;
        let free = self.u32(at)? as usize;
        let module = self.atom()?;
        let old_index = self.small()?;
        let old_unique = self.small()?;
        if free > MOST_FREE {
            return Err(self.error(at, DecodeErrorKind::IntegerRange));
        }
        let pid: Pid = self.pid()?;
        let fun =
            LocalFun { arity, unique, index, module, old_index, old_unique, pid, free_variables: Default::default() };
        Ok((Kind::Fun(Box::new(fun)), free))
    }

    /// Reads an integer of the BEAM's word size.
    fn small(&mut self) -> Result<i64, DecodeError> {
        let at = self.position();
        let value = self.integer()?;
        match value >> 59 {
            0 | -1 => Ok(value),
            _ => Err(self.error(at, DecodeErrorKind::IntegerRange)),
        }
    }

    fn record_header(&mut self, at: usize) -> Result<(Kind, usize), DecodeError> {
        let fields = self.u32(at)? as usize;
        let exported = self.u8(at)? & 1 == 1;
        let (module, name) = (self.atom()?, self.atom()?);
        self.claim(at, fields)?;
        let mut keys: Vec<Atom> = Vec::with_capacity(fields);
        for _field in 0..fields {
            keys.push(self.atom()?);
        }
        let record = Record { exported, module, name, keys: keys.into(), values: Default::default() };
        Ok((Kind::Record(Box::new(record)), fields))
    }
}
