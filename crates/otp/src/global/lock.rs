use peerl_term::{Pid, Term};

/// What is locked, and who locks it: `{ResourceId, LockRequesterId}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LockId {
    /// The resource.
    pub resource: Term,
    /// The requester: two of the same name hold a lock together.
    pub requester: Term,
}

impl LockId {
    /// A lock on the name space itself, by this requester.
    pub fn global(requester: Term) -> Self {
        Self { resource: Term::atom("global"), requester }
    }

    /// The lock that two lockers set together.
    pub(super) fn of_lockers(one: &Pid, other: &Pid) -> Self {
        let mut pids = [Term::from(one.clone()), Term::from(other.clone())];
        pids.sort();
        Self::global(Term::list(pids))
    }

    /// Whether it is a lock on the name space that is not of two lockers, but of one node that changes a name.
    pub(super) fn is_for_change(&self) -> bool {
        self.resource.is_atom("global") && self.requester.as_list().is_none()
    }

    /// `{ResourceId, LockRequesterId}`.
    pub fn to_term(&self) -> Term {
        Term::tuple([self.resource.clone(), self.requester.clone()])
    }

    /// Reads `{ResourceId, LockRequesterId}`.
    pub fn from_term(term: &Term) -> Option<Self> {
        let [resource, requester] = term.as_tuple()? else { return None };
        Some(Self { resource: resource.clone(), requester: requester.clone() })
    }
}
