use std::mem;

use super::compound::{Kind, Open};
use super::vacant::{VACANT, put};
use crate::stack::Stack;
use crate::{ImproperList, List, Map, Term, Tuple};

/// The compound terms around one that is being read, at a depth too great for recursion.
///
/// They take nearly no memory but their elements, or a term of 32 MB with 16 million levels would take a gigabyte more.
/// A compound term has a vacant slot: that of the element being read. It stores the next outer compound term in it. Its
/// last slot, if that is another one, stores which slot it is.
pub(super) struct Enclosing {
    innermost: Option<Open>,
    /// The offsets of the maps among the others.
    maps: Stack<usize>,
    /// Those of the others that are lists with space for more elements: they would lose it in a slot, and be copied
    /// each time that they grow.
    growing: Stack<Open>,
}

impl Enclosing {
    pub(super) const fn new() -> Self {
        Self { innermost: None, maps: Stack::new(), growing: Stack::new() }
    }

    /// Adds a compound term within the others.
    pub(super) fn push(&mut self, mut open: Open) {
        open.elements.resize_with(open.count, || VACANT);
        let outer = match self.innermost.take() {
            Some(outer) => self.stored(outer),
            None => Term::nil(),
        };
        put(&mut open.elements[open.filled], outer);
        self.innermost = Some(open);
    }

    /// Removes the innermost one.
    pub(super) fn pop(&mut self) -> Option<Open> {
        let mut open = self.innermost.take()?;
        let outer = mem::replace(&mut open.elements[open.filled], VACANT);
        self.innermost = self.restored(outer);
        Some(open)
    }

    fn stored(&mut self, mut open: Open) -> Term {
        if let Kind::List = open.kind
            && open.elements.capacity() > open.count
        {
            self.growing.push(open);
            return Term::Tuple(Tuple::default());
        }
        if open.filled + 1 < open.count {
            put(&mut open.elements[open.count - 1], Term::Integer(open.filled as i64));
        }
        if let Kind::Map { at } = open.kind {
            self.maps.push(at);
        }
        open.kind.term(open.elements.into())
    }

    fn restored(&mut self, term: Term) -> Option<Open> {
        let (kind, elements) = match term {
            Term::Tuple(Tuple(elements)) if elements.is_empty() => return self.growing.pop(),
            Term::List(List(elements)) if elements.is_empty() => return None,
            Term::Tuple(Tuple(elements)) => (Kind::Tuple, elements),
            Term::List(List(elements)) => (Kind::List, elements),
            Term::ImproperList(ImproperList(elements)) => (Kind::ImproperList, elements),
            Term::Map(Map(elements)) => (Kind::Map { at: self.maps.pop()? }, elements),
            Term::LocalFun(mut fun) => {
                let elements = mem::take(&mut fun.free_variables);
                (Kind::Fun(fun), elements)
            }
            Term::Record(mut record) => {
                let elements = mem::take(&mut record.values);
                (Kind::Record(record), elements)
            }
            _ => return None,
        };
        let elements = elements.into_vec();
        let count = elements.len();
        let filled = match elements.last()? {
            Term::Integer(filled) => *filled as usize,
            _ => count - 1,
        };
        Some(Open { kind, count, filled, elements })
    }
}
