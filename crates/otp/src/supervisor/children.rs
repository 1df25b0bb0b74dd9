//! The children of a supervisor and its strategy, without processes: what is to be ended and started when one has ended.

use peerl_node::{Pid, Term};
use tokio::time::Instant;

use super::child::{ChildSpec, Kind};
use super::{Intensity, Restart, Restarts, Shutdown};

/// Which children are started again when one has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// That one.
    OneForOne,
    /// That one and those that were started after it, which are ended first.
    RestForOne,
    /// All; the others are ended first.
    OneForAll,
}

impl Strategy {
    pub(super) fn to_term(self) -> Term {
        Term::atom(match self {
            Self::OneForOne => "one_for_one",
            Self::RestForOne => "rest_for_one",
            Self::OneForAll => "one_for_all",
        })
    }
}

/// The children, in the order of their start.
#[derive(Debug)]
pub(super) struct Children {
    strategy: Strategy,
    restarts: Restarts,
    limit: usize,
    list: Vec<Child>,
}

#[derive(Debug)]
pub(super) struct Child {
    pub(super) spec: ChildSpec,
    pub(super) state: State,
}

/// Whether a child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Ended,
    Running(Pid),
    /// It has failed to start, and is about to be started again.
    Restarting,
}

/// What a supervisor has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    Nothing,
    /// End these children one after another, then start those.
    Restart {
        end: Vec<(Pid, Shutdown)>,
        start: Vec<Term>,
    },
    /// There were too many restarts: the supervisor ends.
    GiveUp,
}

/// Why a child is not added.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAdded {
    Running(Pid),
    Present,
    TooMany,
}

impl Children {
    pub(super) fn new(strategy: Strategy) -> Self {
        let restarts = Restarts::new(Intensity::default());
        Self { strategy, restarts, limit: 10_000, list: Vec::new() }
    }

    pub(super) fn set_intensity(&mut self, intensity: Intensity) {
        self.restarts = Restarts::new(intensity);
    }

    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn add(&mut self, spec: ChildSpec) -> Result<(), NotAdded> {
        match self.find(&spec.id).map(|child| &child.state) {
            Some(State::Running(pid)) => return Err(NotAdded::Running(pid.clone())),
            Some(_) => return Err(NotAdded::Present),
            None if self.list.len() >= self.limit => return Err(NotAdded::TooMany),
            None => {}
        }
        self.list.push(Child { spec, state: State::Ended });
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &Term) {
        self.list.retain(|child| child.spec.id != *id);
    }

    pub(super) fn started(&mut self, id: &Term, pid: Pid) {
        self.set(id, State::Running(pid));
    }

    /// A child that was to be started again has failed to start.
    pub(super) fn failed(&mut self, id: &Term) {
        self.set(id, State::Restarting);
    }

    /// The supervisor has ended a child. A temporary one is forgotten.
    pub(super) fn ended(&mut self, id: &Term) {
        self.set(id, State::Ended);
        self.forget_temporary();
    }

    /// A child has ended by itself.
    pub(super) fn exited(&mut self, pid: &Pid, reason: &Term, now: Instant) -> Plan {
        let is_it = |child: &Child| matches!(&child.state, State::Running(running) if running == pid);
        let Some(index) = self.list.iter().position(is_it) else { return Plan::Nothing };
        self.list[index].state = State::Ended;
        if self.list[index].spec.restart.applies(reason) {
            return self.restart(index, now);
        }
        self.forget_temporary();
        Plan::Nothing
    }

    /// A child that has failed to start is to be started again.
    pub(super) fn retry(&mut self, id: &Term, now: Instant) -> Plan {
        let is_it = |child: &Child| child.spec.id == *id && child.state == State::Restarting;
        self.list.iter().position(is_it).map_or(Plan::Nothing, |index| self.restart(index, now))
    }

    /// Those that run, in the order in which they are to be ended.
    pub(super) fn take_running(&mut self) -> Vec<(Pid, Shutdown)> {
        end_of(&mut self.list)
    }

    pub(super) fn find(&self, id: &Term) -> Option<&Child> {
        self.list.iter().find(|child| child.spec.id == *id)
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Child> {
        self.list.iter()
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    pub(super) fn intensity(&self) -> Intensity {
        self.restarts.intensity()
    }

    /// The numbers of children, of those that run, of supervisors and of workers.
    pub(super) fn count(&self) -> [usize; 4] {
        let count = |holds: fn(&Child) -> bool| self.list.iter().filter(|child| holds(child)).count();
        [
            self.list.len(),
            count(|child| matches!(child.state, State::Running(_))),
            count(|child| child.spec.kind == Kind::Supervisor),
            count(|child| child.spec.kind == Kind::Worker),
        ]
    }

    fn set(&mut self, id: &Term, state: State) {
        if let Some(child) = self.list.iter_mut().find(|child| child.spec.id == *id) {
            child.state = state;
        }
    }

    fn forget_temporary(&mut self) {
        self.list.retain(|child| child.state != State::Ended || child.spec.restart != Restart::Temporary);
    }

    fn restart(&mut self, index: usize, now: Instant) -> Plan {
        if !self.restarts.note(now) {
            self.list[index].state = State::Ended;
            return Plan::GiveUp;
        }
        let id = self.list[index].spec.id.clone();
        let affected = match self.strategy {
            Strategy::OneForOne => return Plan::Restart { end: Vec::new(), start: vec![id] },
            Strategy::RestForOne => index,
            Strategy::OneForAll => 0,
        };
        let end = end_of(&mut self.list[affected..]);
        self.list[index].state = State::Ended;
        // Temporary ones are not started again.
        self.forget_temporary();
        Plan::Restart { end, start: self.list.iter().skip(affected).map(|child| child.spec.id.clone()).collect() }
    }
}

/// Those that run, the last one first, which are then no longer expected to run.
fn end_of(children: &mut [Child]) -> Vec<(Pid, Shutdown)> {
    let running =
        children.iter_mut().rev().filter_map(|child| match std::mem::replace(&mut child.state, State::Ended) {
            State::Running(pid) => Some((pid, child.spec.shutdown)),
            State::Ended | State::Restarting => None,
        });
    running.collect()
}
