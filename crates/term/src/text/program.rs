use crate::{Atom, Record, Term};

/// Instructions that make a term, in postfix order, so that no recursion is needed. Parts without placeholders are
/// made at parse time.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Program(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Constant(Term),
    /// The item.
    Hole,
    /// Makes a compound term of this number of preceding terms.
    Build(Shape, usize),
}

/// A kind of compound term.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Tuple,
    List,
    /// Elements, then the tail.
    ListWithTail,
    /// Keys and values, alternating.
    Map,
    /// A module and a name; then keys and values, alternating.
    Record(Box<(Atom, Atom)>),
}

impl Program {
    pub(super) fn constant(&mut self, term: Term) {
        self.0.push(Step::Constant(term));
    }

    pub(super) fn hole(&mut self) {
        self.0.push(Step::Hole);
    }

    /// The position of the next step.
    pub(super) fn position(&self) -> usize {
        self.0.len()
    }

    /// Makes a compound term of `count` terms, whose steps begin at a position.
    pub(super) fn build(&mut self, shape: Shape, from: usize, count: usize) {
        let steps = &self.0[from..];
        if steps.len() != count || steps.contains(&Step::Hole) {
            return self.0.push(Step::Build(shape, count));
        }
        let terms = self.0.drain(from..).filter_map(|step| match step {
            Step::Constant(term) => Some(term),
            _ => None,
        });
        let term = shape.of(terms.collect());
        self.constant(term);
    }

    /// Removes the last step.
    pub(super) fn drop_last(&mut self) {
        self.0.pop();
    }

    pub(super) fn has_hole(&self) -> bool {
        self.0.contains(&Step::Hole)
    }

    /// Makes the term, with an item in place of every placeholder.
    pub(super) fn run(self, item: &Term) -> Term {
        let mut made: Vec<Term> = Vec::new();
        for step in self.0 {
            let term = match step {
                Step::Constant(term) => term,
                Step::Hole => item.clone(),
                Step::Build(shape, count) => {
                    let terms = made.split_off(made.len().saturating_sub(count));
                    shape.of(terms)
                }
            };
            made.push(term);
        }
        made.pop().unwrap_or_else(Term::nil)
    }
}

impl Shape {
    fn of(self, mut terms: Vec<Term>) -> Term {
        match self {
            Self::Tuple => Term::tuple(terms),
            Self::List => Term::list(terms),
            Self::ListWithTail => {
                let tail = terms.pop().unwrap_or_else(Term::nil);
                Term::list_with_tail(terms, tail)
            }
            Self::Map => Term::map(pairs(terms)),
            Self::Record(names) => {
                let field = |(key, value)| match key {
                    Term::Atom(key) => Some((key, value)),
                    _ => None,
                };
                Record::new(names.0, names.1, pairs(terms).filter_map(field)).into()
            }
        }
    }
}

fn pairs(terms: Vec<Term>) -> impl Iterator<Item = (Term, Term)> {
    let mut terms = terms.into_iter();
    std::iter::from_fn(move || Some((terms.next()?, terms.next()?)))
}
