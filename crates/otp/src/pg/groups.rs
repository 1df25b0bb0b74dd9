use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::ops::Bound;
use std::sync::Arc;

use peerl_node::{Pid, Term};

use crate::term_memory::to_keep;

/// Groups and their members. A process that has joined a group several times is in it as often, and leaves as often.
///
/// A group without members does not exist. Tables that have the same group share its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups {
    groups: BTreeMap<Arc<Term>, Members>,
    /// How many members there are in all groups.
    members: usize,
}

/// The members of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Members {
    counts: BTreeMap<Pid, usize>,
    total: usize,
}

impl Groups {
    /// The bytes that a group takes, beside its name: those of its entries and of the nodes of its members, in two tables.
    pub(super) const GROUP: usize = 1280;

    /// The bytes that a member takes: here, and where members are read.
    pub(super) const MEMBER: usize = 256;

    /// Adds a process to a group once more.
    pub(super) fn add(&mut self, group: &Arc<Term>, pid: &Pid) {
        self.extend(group, std::slice::from_ref(pid));
    }

    /// Adds processes to a group, each as often as it is given.
    pub(super) fn extend(&mut self, group: &Arc<Term>, pids: &[Pid]) {
        if pids.is_empty() {
            return;
        }
        // Names may be long: they are compared once.
        let members = self.groups.entry(group.clone()).or_default();
        pids.iter().for_each(|pid| members.add(pid));
        self.members += pids.len();
    }

    /// Removes a process from a group once. Returns whether it was there.
    pub(super) fn remove(&mut self, group: &Term, pid: &Pid) -> bool {
        self.remove_all(group, std::slice::from_ref(pid)) == 1
    }

    /// Removes processes from a group, each as often as it is given. Returns how many were there.
    pub(super) fn remove_all(&mut self, group: &Term, pids: &[Pid]) -> usize {
        let Some(members) = self.groups.get_mut(group) else { return 0 };
        let removed = pids.iter().filter(|pid| members.remove(pid)).count();
        self.members -= removed;
        if members.total == 0 {
            self.groups.remove(group);
        }
        removed
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// About how many steps it takes to go through all of them.
    pub(super) fn steps(&self) -> usize {
        self.groups.len() + self.members
    }

    /// The members of a group, if it has any.
    pub(super) fn get(&self, group: &Term) -> Option<&Members> {
        self.groups.get(group)
    }

    /// As [`get`](Self::get), with the name of the group as it is kept here.
    pub(super) fn get_key_value(&self, group: &Term) -> Option<(&Arc<Term>, &Members)> {
        self.groups.get_key_value(group)
    }

    /// The name of a group as it is kept here, or one to be kept.
    pub(super) fn name(&self, group: &Term) -> Arc<Term> {
        self.groups.get_key_value(group).map_or_else(|| Arc::new(to_keep(group)), |(name, _)| name.clone())
    }

    /// The names of the groups that come after this one, so many at most.
    pub(super) fn after(&self, last: Option<&Arc<Term>>, most: usize) -> Vec<Arc<Term>> {
        let begin = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.groups.range::<Arc<Term>, _>((begin, Bound::Unbounded)).take(most).map(|(name, _)| name.clone()).collect()
    }

    /// All groups, in the order of their terms.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Term>, &Members)> {
        self.groups.iter()
    }
}

impl Members {
    fn add(&mut self, pid: &Pid) {
        if let Some(count) = self.counts.get_mut(pid) {
            *count += 1;
        } else {
            self.counts.insert(pid.clone(), 1);
        }
        self.total += 1;
    }

    fn remove(&mut self, pid: &Pid) -> bool {
        let Some(count) = self.counts.get_mut(pid) else { return false };
        *count -= 1;
        self.total -= 1;
        if *count == 0 {
            self.counts.remove(pid);
        }
        true
    }

    /// How many members there are; one that has joined several times counts as often.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Those of these processes that are members: each so many times as often as it is given, but not more often than it has joined.
    pub(super) fn of(&self, pids: &BTreeMap<&Pid, usize>, times: usize) -> Vec<Pid> {
        let given = |pid: &Pid| pids.get(pid).map_or(0, |count| count * times);
        let joined = |pid: &Pid| self.counts.get(pid).copied().unwrap_or(0);
        let both = |pid: &Pid| repeat_n(pid.clone(), given(pid).min(joined(pid)));
        if pids.len() < self.counts.len() {
            pids.keys().flat_map(|pid| both(pid)).collect()
        } else {
            self.counts.keys().flat_map(both).collect()
        }
    }

    /// The members; one that has joined several times is there as often.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pid> {
        self.counts.iter().flat_map(|(pid, count)| repeat_n(pid, *count))
    }

    /// The members that come after this one, so many at most, and how often each has joined.
    pub(super) fn after(&self, last: Option<&Pid>, most: usize) -> Vec<(Pid, usize)> {
        let begin = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.counts.range((begin, Bound::Unbounded)).take(most).map(|(pid, count)| (pid.clone(), *count)).collect()
    }

    /// What is in these members and not in the others.
    pub(super) fn without(&self, others: Option<&Self>) -> Vec<Pid> {
        let more = |(pid, count): (&Pid, &usize)| {
            let of_others = others.and_then(|others| others.counts.get(pid)).copied().unwrap_or(0);
            repeat_n(pid.clone(), count.saturating_sub(of_others))
        };
        self.counts.iter().flat_map(more).collect()
    }
}
