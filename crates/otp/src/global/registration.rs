use peerl_term::{Atom, Pid, Term};

use crate::term_memory::term_memory;

/// The bytes that a name takes on its way between partitions, beside its terms.
const PARTS: usize = 256;

/// A name and the process that has it: `{Name, Pid, Method}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The name: any term.
    pub name: Term,
    /// The process.
    pub pid: Pid,
    /// The function that says who keeps the name when two have it. One of a BEAM node goes on as it came.
    pub method: Term,
}

impl Registration {
    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        PARTS + term_memory(&self.name) + term_memory(&self.method)
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([self.name.clone(), self.pid.clone().into(), self.method.clone()])
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        let [name, pid, method] = term.as_tuple()? else { return None };
        Some(Self { name: name.clone(), pid: pid.as_pid()?.clone(), method: method.clone() })
    }
}

/// A name that a node has registered for a process of a node without `global`: `{Name, Pid, RegNode}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalName {
    /// The name.
    pub name: Term,
    /// The process.
    pub pid: Pid,
    /// The node that has registered it.
    pub node: Atom,
}

impl ExternalName {
    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        PARTS + self.node.as_str().len() + term_memory(&self.name)
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([self.name.clone(), self.pid.clone().into(), self.node.clone().into()])
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        let [name, pid, node] = term.as_tuple()? else { return None };
        Some(Self { name: name.clone(), pid: pid.as_pid()?.clone(), node: node.as_atom()?.clone() })
    }
}

/// What two partitions that meet do to their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// `{insert, {Name, Pid, Method}}`.
    Insert(Registration),
    /// `{delete, Name}`.
    Delete(Term),
}

impl Operation {
    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Insert(registration) => registration.memory(),
            Self::Delete(name) => PARTS + term_memory(name),
        }
    }

    pub(super) fn to_term(&self) -> Term {
        match self {
            Self::Insert(registration) => Term::tuple([Term::atom("insert"), registration.to_term()]),
            Self::Delete(name) => Term::tuple([Term::atom("delete"), name.clone()]),
        }
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        match term.as_tuple()? {
            [kind, registration] if kind.is_atom("insert") => {
                Some(Self::Insert(Registration::from_term(registration)?))
            }
            [kind, name] if kind.is_atom("delete") => Some(Self::Delete(name.clone())),
            _ => None,
        }
    }
}
