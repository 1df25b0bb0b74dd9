use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::mem;
use std::ops::{Deref, DerefMut};

use crate::Term;

/// The elements of a compound term. Clones and drops without recursion at any nesting depth.
#[derive(Default)]
pub(crate) struct Elements(Box<[Term]>);

impl Elements {
    pub(crate) fn into_vec(mut self) -> Vec<Term> {
        mem::take(&mut self.0).into_vec()
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

/// Drops elements by recursion, which is fast, down to a depth that fits any stack; deeper elements are moved to a
/// vector first.
impl Drop for Elements {
    fn drop(&mut self) {
        const DEEP: u32 = 64;
        thread_local! {
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }
        if self.0.is_empty() {
            return;
        }
        let depth = DEPTH.get();
        if depth < DEEP {
            DEPTH.set(depth + 1);
            let mut terms = mem::take(&mut self.0);
            for term in &mut terms {
                // Most elements own no memory.
                if !term.is_inline() {
                    *term = Term::Integer(0);
                }
            }
            // Nothing is left to drop, so the compiler may skip the check.
            terms.into_iter().for_each(mem::forget);
            DEPTH.set(depth);
            return;
        }
        let mut pending = vec![mem::take(&mut self.0)];
        while let Some(mut terms) = pending.pop() {
            pending.extend(terms.iter_mut().filter_map(Term::children_mut).map(|children| mem::take(&mut children.0)));
        }
    }
}

impl PartialEq for Elements {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let mut open: Vec<(&[Term], &[Term])> = vec![(&self.0, &other.0)];
        while let Some((left, right)) = open.pop() {
            for (a, b) in left.iter().zip(right) {
                if !a.eq_shallow(b) {
                    return false;
                }
                if let (Some(a), Some(b)) = (a.children(), b.children())
                    && !a.is_empty()
                {
                    open.push((a, b));
                }
            }
        }
        true
    }
}

impl Eq for Elements {}

impl Hash for Elements {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.len().hash(state);
        let mut open: Vec<&[Term]> = vec![&self.0];
        while let Some(terms) = open.pop() {
            for term in terms {
                term.hash_shallow(state);
                if let Some(children) = term.children()
                    && !children.is_empty()
                {
                    open.push(children);
                }
            }
        }
    }
}

impl Clone for Elements {
    fn clone(&self) -> Self {
        if !is_nested(&self.0) {
            return Self(self.0.iter().map(Term::clone_leaf).collect());
        }
        let mut open: Vec<Copying<'_>> = Vec::new();
        let mut copying = Copying::new(None, &self.0);
        loop {
            match copying.rest.next() {
                Some(term) => match term.children() {
                    Some(children) => open.push(mem::replace(&mut copying, Copying::new(Some(term), children))),
                    None => copying.done.push(term.clone_leaf()),
                },
                None => {
                    let elements = Self::from(mem::take(&mut copying.done));
                    match (copying.of, open.pop()) {
                        (Some(term), Some(parent)) => {
                            copying = parent;
                            copying.done.push(term.with_children(elements));
                        }
                        _ => return elements,
                    }
                }
            }
        }
    }
}

/// A compound term whose elements are partly copied.
struct Copying<'a> {
    of: Option<&'a Term>,
    rest: std::slice::Iter<'a, Term>,
    done: Vec<Term>,
}

impl<'a> Copying<'a> {
    fn new(of: Option<&'a Term>, elements: &'a [Term]) -> Self {
        Self { of, rest: elements.iter(), done: Vec::with_capacity(elements.len()) }
    }
}

fn is_nested(terms: &[Term]) -> bool {
    terms.iter().any(|term| term.children().is_some_and(|children| !children.is_empty()))
}
