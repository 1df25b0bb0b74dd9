use std::collections::{BTreeMap, VecDeque};

use peerl_term::{Atom, Pid, Term};

use super::ids::ResolutionId;
use super::names::Names;
use super::registration::{Operation, Registration};

/// The names of another partition being compared with those here. If both have a name, the node with the smaller name asks
/// the method of its own partition.
#[derive(Debug)]
pub(super) struct Resolution {
    rest: VecDeque<Registration>,
    is_smaller: bool,
    /// The names that the other node has got from this one. Their processes may have ended since.
    sent: BTreeMap<Term, Pid>,
    asked: Option<(ResolutionId, Conflict)>,
    found: Found,
}

/// A name that both partitions have.
#[derive(Debug, Clone)]
pub(super) struct Conflict {
    pub(super) ours: Registration,
    pub(super) theirs: Registration,
}

/// What is to be done to names, here and in the other partition.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) here: Vec<Operation>,
    pub(super) there: Vec<Operation>,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum Step {
    /// The method has to say who keeps a name.
    Ask(Conflict),
    /// All names are compared.
    Done(Found),
}

impl Resolution {
    pub(super) fn new(theirs: Vec<Registration>, sent: BTreeMap<Term, Pid>, own: &Atom, peer: &Atom) -> Self {
        Self { rest: theirs.into(), is_smaller: own < peer, sent, asked: None, found: Found::default() }
    }

    pub(super) fn proceed(&mut self, names: &Names) -> Step {
        while let Some(theirs) = self.rest.pop_front() {
            match names.get(&theirs.name) {
                // Others of this partition may not have it: of two partitions that overlapped, some lost a node that some kept.
                Some(ours) if ours.pid == theirs.pid => self.found.here.push(Operation::Insert(theirs)),
                Some(ours) if self.is_smaller => return Step::Ask(Conflict { ours, theirs }),
                // The other node asks.
                Some(_) => {}
                None if !self.is_smaller && self.sent.get(&theirs.name).is_some_and(|pid| *pid != theirs.pid) => {}
                None => self.found.here.push(Operation::Insert(theirs)),
            }
        }
        Step::Done(std::mem::take(&mut self.found))
    }

    /// The method was asked.
    pub(super) fn asked(&mut self, id: ResolutionId, conflict: Conflict) {
        self.asked = Some((id, conflict));
    }

    pub(super) fn is_asked(&self, id: ResolutionId) -> bool {
        self.asked.as_ref().is_some_and(|(asked, _)| *asked == id)
    }

    /// The method has answered what was asked last; nothing if it could not be called.
    pub(super) fn answered(&mut self, answer: Option<&Term>) {
        if let Some((_, conflict)) = self.asked.take() {
            self.decided(conflict, answer);
        }
    }

    /// A method has decided; nothing if it could not be called: the other partition's process keeps the name then.
    pub(super) fn decided(&mut self, Conflict { ours, theirs }: Conflict, answer: Option<&Term>) {
        let keeper = answer.map(Term::as_pid);
        match keeper {
            None => self.found.here.push(Operation::Insert(theirs)),
            Some(Some(pid)) if *pid == theirs.pid => self.found.here.push(Operation::Insert(theirs)),
            Some(Some(pid)) if *pid == ours.pid => self.found.there.push(Operation::Insert(ours)),
            Some(_) => {
                self.found.here.push(Operation::Delete(ours.name.clone()));
                self.found.there.push(Operation::Delete(ours.name));
            }
        }
    }
}
