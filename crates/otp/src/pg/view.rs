use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use peerl_node::{Pid, Term};

use super::groups::{Groups, Members};
use super::message::Change;
use super::state::Origin;
use crate::term_memory::term_memory;

/// What those who ask see of a scope: the members of each group on all nodes, and who is told of changes.
#[derive(Debug, Default)]
pub(super) struct View {
    all: Groups,
    local: Groups,
    /// About how many bytes the names of those groups take, together with their encoded form.
    names: [usize; 2],
    /// Lists of members that have been asked for since the last change of their group.
    lists: BTreeMap<Arc<Term>, OnceLock<Arc<[Pid]>>>,
    monitors: BTreeMap<MonitorId, Subject>,
    of_scope: BTreeSet<MonitorId>,
    of_groups: BTreeMap<Term, BTreeSet<MonitorId>>,
    last_monitor: u64,
}

/// One that is told of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct MonitorId(u64);

/// Whose groups and members are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those of all nodes.
    All,
    /// Those of this node.
    Local,
}

/// Of which changes a monitor is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    /// Those of all groups.
    Scope,
    /// Those of one group.
    Group(Term),
}

/// A change of the members of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Update {
    /// Processes have joined it.
    Joined {
        /// The group.
        group: Term,
        /// The processes.
        pids: Vec<Pid>,
    },
    /// Processes have left it, have ended, or are no longer connected.
    Left {
        /// The group.
        group: Term,
        /// The processes.
        pids: Vec<Pid>,
    },
}

impl View {
    /// Applies a change; gives who is to be told of what, in this order.
    pub(super) fn apply(&mut self, origin: Origin, change: Change) -> Vec<(MonitorId, Update)> {
        let Change { group, joined, left } = change;
        let tables = if origin == Origin::Local { 2 } else { 1 };
        for (groups, names) in [&mut self.all, &mut self.local].into_iter().zip(&mut self.names).take(tables) {
            let was_there = groups.get(&group).is_some();
            groups.extend(&group, &joined);
            groups.remove_all(&group, &left);
            match (was_there, groups.get(&group).is_some()) {
                (false, true) => *names += 2 * term_memory(&group),
                (true, false) => *names -= 2 * term_memory(&group),
                _ => {}
            }
        }
        if self.all.get(&group).is_some() {
            self.lists.insert(group.clone(), OnceLock::new());
        } else {
            self.lists.remove(&*group);
        }
        let told = self.of_scope.iter().chain(self.of_groups.get(&*group).into_iter().flatten());
        let updates = |id: &MonitorId| {
            let joined = Update::Joined { group: Term::clone(&group), pids: joined.clone() };
            let left = Update::Left { group: Term::clone(&group), pids: left.clone() };
            [joined, left].map(|update| (*id, update))
        };
        told.flat_map(updates).filter(|(_, update)| !update.pids().is_empty()).collect()
    }

    /// Forgets all groups and all who are told of changes. Later ones are not taken for them. Gives what was there, which takes long to
    /// be dropped if it is much.
    pub(super) fn clear(&mut self) -> Self {
        let new = Self { last_monitor: self.last_monitor, ..Self::default() };
        std::mem::replace(self, new)
    }

    /// Adds one that is told of changes.
    pub(super) fn monitor(&mut self, subject: Subject) -> MonitorId {
        self.last_monitor += 1;
        let id = MonitorId(self.last_monitor);
        match &subject {
            Subject::Scope => self.of_scope.insert(id),
            Subject::Group(group) => self.of_groups.entry(group.clone()).or_default().insert(id),
        };
        self.monitors.insert(id, subject);
        id
    }

    /// Removes one that is told of changes.
    pub(super) fn demonitor(&mut self, id: MonitorId) {
        match self.monitors.remove(&id) {
            Some(Subject::Scope) => drop(self.of_scope.remove(&id)),
            Some(Subject::Group(group)) => {
                if let Some(ids) = self.of_groups.get_mut(&group) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.of_groups.remove(&group);
                    }
                }
            }
            None => {}
        }
    }

    /// How many members a group has on all nodes, and on this one.
    pub(super) fn totals(&self, group: &Term) -> [usize; 2] {
        [&self.all, &self.local].map(|groups| groups.get(group).map_or(0, Members::total))
    }

    /// About how many bytes the names of the groups take that there are on all nodes, and on this one, together with their encoded form.
    pub(super) fn names_memory(&self) -> [usize; 2] {
        self.names
    }

    /// The next groups, on all nodes or on this one.
    pub(super) fn groups_after(&self, after: Option<&Arc<Term>>, reach: Reach, most: usize) -> Vec<Arc<Term>> {
        self.groups_in(reach).after(after, most)
    }

    /// The next members of a group, on all nodes or on this one, and how often each has joined.
    pub(super) fn members_after(
        &self,
        group: &Term,
        after: Option<&Pid>,
        reach: Reach,
        most: usize,
    ) -> Vec<(Pid, usize)> {
        self.groups_in(reach).get(group).map_or_else(Vec::new, |members| members.after(after, most))
    }

    fn groups_in(&self, reach: Reach) -> &Groups {
        match reach {
            Reach::All => &self.all,
            Reach::Local => &self.local,
        }
    }

    /// How many groups there are on all nodes, and on this one.
    pub(super) fn lens(&self) -> [usize; 2] {
        [&self.all, &self.local].map(Groups::len)
    }

    /// The members of a group on all nodes.
    pub(super) fn members(&self, group: &Term) -> Arc<[Pid]> {
        match (self.lists.get(group), self.all.get(group)) {
            (Some(list), Some(members)) => list.get_or_init(|| members.iter().cloned().collect()).clone(),
            _ => Arc::default(),
        }
    }

    /// The members of a group on this node.
    pub(super) fn local_members(&self, group: &Term) -> Vec<Pid> {
        self.local.get(group).map_or_else(Vec::new, |members| members.iter().cloned().collect())
    }

    /// The groups that have members.
    pub(super) fn groups(&self) -> Vec<Term> {
        self.all.iter().map(|(group, _)| Term::clone(group)).collect()
    }

    /// The groups that have members on this node.
    pub(super) fn local_groups(&self) -> Vec<Term> {
        self.local.iter().map(|(group, _)| Term::clone(group)).collect()
    }
}

impl Update {
    /// The group.
    pub fn group(&self) -> &Term {
        match self {
            Self::Joined { group, .. } | Self::Left { group, .. } => group,
        }
    }

    /// The processes.
    pub fn pids(&self) -> &[Pid] {
        match self {
            Self::Joined { pids, .. } | Self::Left { pids, .. } => pids,
        }
    }
}

#[cfg(test)]
impl View {
    pub(super) fn all(&self) -> &Groups {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::Atom;

    use super::*;

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 }
    }

    fn change(joined: &[u32], left: &[u32]) -> Change {
        let pids = |ids: &[u32]| ids.iter().copied().map(pid).collect();
        Change { group: Arc::new(Term::atom("g")), joined: pids(joined), left: pids(left) }
    }

    #[test]
    fn members_of_this_node_and_of_all() {
        let (mut view, group) = (View::default(), Term::atom("g"));
        assert!(view.apply(Origin::Local, change(&[1, 1], &[])).is_empty());
        view.apply(Origin::Remote, change(&[2], &[]));
        assert_eq!(*view.members(&group), [pid(1), pid(1), pid(2)]);
        assert_eq!(view.local_members(&group), [pid(1), pid(1)]);
        view.apply(Origin::Local, change(&[], &[1, 1]));
        assert_eq!((view.groups(), view.local_groups()), (vec![group.clone()], vec![]));
        view.apply(Origin::Remote, change(&[], &[2]));
        assert!(view.groups().is_empty() && view.members(&group).is_empty() && view.lists.is_empty());
    }

    #[test]
    fn monitors_of_the_scope_and_of_a_group() {
        let mut view = View::default();
        let (scope, group) = (view.monitor(Subject::Scope), view.monitor(Subject::Group(Term::atom("g"))));
        let other = view.monitor(Subject::Group(Term::atom("other")));
        let told = view.apply(Origin::Remote, change(&[1], &[1]));
        let joined = Update::Joined { group: Term::atom("g"), pids: vec![pid(1)] };
        let left = Update::Left { group: Term::atom("g"), pids: vec![pid(1)] };
        let expected = [(scope, joined.clone()), (scope, left.clone()), (group, joined), (group, left)];
        assert_eq!(told, expected);
        [scope, group, other].into_iter().for_each(|id| view.demonitor(id));
        assert!(view.apply(Origin::Remote, change(&[1], &[])).is_empty());
        assert!(view.of_groups.is_empty());
    }
}
