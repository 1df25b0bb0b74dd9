use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::{mem, slice};

use crate::stack::Stack;
use crate::{Term, Tuple};

/// The elements of a compound term. Clones and drops without recursion at any nesting depth.
#[derive(Default)]
pub(crate) struct Elements(Box<[Term]>);

impl Elements {
    pub(crate) fn into_vec(self) -> Vec<Term> {
        self.into_boxed().into_vec()
    }

    fn into_boxed(mut self) -> Box<[Term]> {
        mem::take(&mut self.0)
    }
}

impl Deref for Elements {
    type Target = [Term];

    fn deref(&self) -> &[Term] {
        &self.0
    }
}

impl DerefMut for Elements {
    fn deref_mut(&mut self) -> &mut [Term] {
        &mut self.0
    }
}

impl From<Vec<Term>> for Elements {
    fn from(terms: Vec<Term>) -> Self {
        Self(terms.into_boxed_slice())
    }
}

impl std::fmt::Debug for Elements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter()).finish()
    }
}

/// Drops elements by recursion, which is fast, down to a depth that fits any stack; deeper ones in a loop.
impl Drop for Elements {
    fn drop(&mut self) {
        const DEEP: u32 = 64;
        thread_local! {
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }
        if self.0.is_empty() {
            return;
        }
        let mut terms = mem::take(&mut self.0);
        let depth = DEPTH.get();
        if depth >= DEEP {
            return drop_deep(terms);
        }
        DEPTH.set(depth + 1);
        for term in &mut terms {
            // Most elements own no memory.
            if !term.is_inline() {
                *term = Term::Integer(0);
            }
        }
        // Nothing is left to drop, so the compiler may skip the check.
        terms.into_iter().for_each(mem::forget);
        DEPTH.set(depth);
    }
}

/// Drops terms of any depth, without memory for it: where the elements of a nested term were, the terms around them are
/// stored, and if that is not the first place, the first one stores which it is. Terms after which nothing is left are
/// dropped at once.
fn drop_deep(mut terms: Box<[Term]>) {
    let mut enclosing = Elements::default();
    let mut place = 0;
    loop {
        while place < terms.len() {
            let inner = terms[place].children_mut().map(mem::take).unwrap_or_default();
            if inner.is_empty() {
                terms[place] = Term::Integer(0);
                place += 1;
                continue;
            }
            if place + 1 == terms.len() {
                terms = inner.into_boxed();
            } else {
                terms[place] = Term::Tuple(Tuple(enclosing));
                if place > 0 {
                    terms[0] = Term::Integer(place as i64);
                }
                enclosing = Elements(mem::replace(&mut terms, inner.into_boxed()));
            }
            place = 0;
        }
        terms = enclosing.into_boxed();
        place = match terms.first() {
            None => return,
            Some(Term::Integer(place)) => *place as usize,
            Some(_) => 0,
        };
        enclosing = terms[place].children_mut().map(mem::take).unwrap_or_default();
    }
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let mut open = Stack::new();
        let mut level = (self.iter(), other.iter());
        loop {
            let (Some(a), Some(b)) = (level.0.next(), level.1.next()) else {
                match open.pop() {
                    Some(outer) => level = outer,
                    None => return true,
                }
                continue;
            };
            if !a.eq_shallow(b) {
                return false;
            }
            if let (Some(a), Some(b)) = (a.children(), b.children())
                && !a.is_empty()
            {
                let outer = mem::replace(&mut level, (a.iter(), b.iter()));
                if outer.0.len() > 0 {
                    open.push(outer);
                }
            }
        }
    }
}

impl Eq for Elements {}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        Walk::new(self).for_each(|term| term.hash_shallow(state));
    }
}

impl Clone for Elements {
    fn clone(&self) -> Self {
        let mut copy = clone_outermost(self);
        if is_nested(self) {
            clone_nested(self, &mut copy);
        }
        copy
    }
}

/// Copies terms, without the elements of nested ones.
fn clone_outermost(terms: &[Term]) -> Elements {
    let outermost = |term: &Term| match term.children() {
        Some(children) if !children.is_empty() => term.with_children(Elements::default()),
        _ => term.clone_leaf(),
    };
    Elements(terms.iter().map(outermost).collect())
}

/// Copies the elements of nested terms into copies of the terms.
fn clone_nested(terms: &[Term], copies: &mut [Term]) {
    let mut open = Stack::new();
    let mut level = (terms.iter(), copies.iter_mut());
    loop {
        let (Some(term), Some(copy)) = (level.0.next(), level.1.next()) else {
            match open.pop() {
                Some(outer) => level = outer,
                None => return,
            }
            continue;
        };
        if let (Some(from), Some(to)) = (term.children(), copy.children_mut())
            && !from.is_empty()
        {
            *to = clone_outermost(from);
            if is_nested(from) {
                let outer = mem::replace(&mut level, (from.iter(), to.iter_mut()));
                if outer.0.len() > 0 {
                    open.push(outer);
                }
            }
        }
    }
}

fn is_nested(terms: &[Term]) -> bool {
    terms.iter().any(|term| term.children().is_some_and(|children| !children.is_empty()))
}

/// All terms of a sequence, each before those nested in it. Its stack has no level of which nothing is left.
pub(crate) struct Walk<'a> {
    level: slice::Iter<'a, Term>,
    outer: Stack<slice::Iter<'a, Term>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(terms: &'a [Term]) -> Self {
        Self { level: terms.iter(), outer: Stack::new() }
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = &'a Term;

    fn next(&mut self) -> Option<&'a Term> {
        loop {
            let Some(term) = self.level.next() else {
                self.level = self.outer.pop()?;
                continue;
            };
            if let Some(children) = term.children()
                && !children.is_empty()
            {
                let outer = mem::replace(&mut self.level, children.iter());
                if outer.len() > 0 {
                    self.outer.push(outer);
                }
            }
            return Some(term);
        }
    }
}
