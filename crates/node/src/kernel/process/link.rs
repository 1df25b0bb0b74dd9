//! Links with processes of other nodes, and the protocol that ends them without races.
//!
//! Erlang docs: *Distribution Protocol*, section "New Link Protocol".

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::num::NonZeroU64;
use std::sync::Arc;

use peerl_proto::budget::{FixedLease, Share};
use peerl_term::Pid;

use super::Tie;
use crate::kernel::limits::Limits;
use crate::kernel::table_memory::{grows_long, shrink};

/// The links of one process.
#[derive(Debug, Default)]
pub(crate) struct Links {
    entries: HashMap<Pid, Link>,
    /// How many links this process has ended.
    unlinks: u64,
}

#[derive(Debug)]
struct Link {
    state: State,
    /// What the other process's node pays for this entry: if that process has made the link, or owes an acknowledgement.
    lease: Option<FixedLease<{ Limits::LINK }>>,
    /// With the connection, if that process is on another node.
    _tie: Option<Tie>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    /// Unlinked, but not acknowledged yet: until then, signals of the other side may belong to the old link.
    Unlinking(NonZeroU64),
}

impl Links {
    /// The bytes of an entry, without its key.
    #[cfg(test)]
    pub(crate) const ENTRY: usize = size_of::<Link>();

    /// This process links to another, with which it has this tie if that is on another node. Returns whether a LINK has to be
    /// sent.
    pub(crate) fn link(&mut self, other: Pid, tie: Option<Tie>) -> bool {
        match self.entries.entry(other) {
            Entry::Occupied(mut link) => mem::replace(&mut link.get_mut().state, State::Active) != State::Active,
            Entry::Vacant(entry) => {
                entry.insert(Link { state: State::Active, lease: None, _tie: tie });
                true
            }
        }
    }

    /// This process ends its link to another. Returns the id of the unlink, if there was a link.
    pub(crate) fn unlink(&mut self, other: &Pid) -> Option<NonZeroU64> {
        let link = self.entries.get_mut(other).filter(|link| link.state == State::Active)?;
        let id = NonZeroU64::MIN.saturating_add(self.unlinks);
        self.unlinks += 1;
        link.state = State::Unlinking(id);
        Some(id)
    }

    /// A peer whose share this is owes the acknowledgement of an unlink. Returns whether there is room for the entry.
    pub(crate) fn is_owed(&mut self, other: &Pid, memory: &Arc<Share>) -> bool {
        let Some(link) = self.entries.get_mut(other) else { return true };
        if link.lease.is_none() {
            link.lease = FixedLease::of(memory);
        }
        link.lease.is_some()
    }

    /// Another process of this node links to this one.
    pub(crate) fn linked_by(&mut self, other: Pid) {
        self.entries.entry(other).or_insert(Link { state: State::Active, lease: None, _tie: None });
    }

    /// A process of a peer whose share this is links to this one. Returns whether there is room for the entry.
    pub(crate) fn linked_by_peer(&mut self, other: Pid, memory: &Arc<Share>, tie: Option<Tie>) -> bool {
        if let Entry::Vacant(entry) = self.entries.entry(other) {
            let Some(lease) = FixedLease::of(memory) else { return false };
            entry.insert(Link { state: State::Active, lease: Some(lease), _tie: tie });
        }
        true
    }

    /// Another process ends its link to this one.
    pub(crate) fn unlinked_by(&mut self, other: &Pid) {
        if self.state(other) == Some(State::Active) {
            self.remove(other);
        }
    }

    /// Another process acknowledges this one's unlink.
    pub(crate) fn unlink_acknowledged(&mut self, other: &Pid, id: u64) {
        if matches!(self.state(other), Some(State::Unlinking(expected)) if expected.get() == id) {
            self.remove(other);
        }
    }

    /// A linked process has ended, or its node is down. Returns whether the link was active: only then it has an effect.
    pub(crate) fn ended(&mut self, other: &Pid) -> bool {
        self.remove(other) == Some(State::Active)
    }

    /// Whether to add the next link takes long.
    pub(crate) fn grow_long(&self) -> bool {
        grows_long(&self.entries)
    }

    /// The number of links, those included whose end has not been acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The processes that this one is linked to.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Pid> {
        self.entries.iter().filter(|(_, link)| link.state == State::Active).map(|(pid, _)| pid)
    }

    /// Removes all entries whose process satisfies the predicate; returns those that were active.
    pub(crate) fn take_where(&mut self, mut gone: impl FnMut(&Pid) -> bool) -> Vec<Pid> {
        let taken = self.entries.extract_if(|pid, _| gone(pid));
        let mut active: Vec<Pid> =
            taken.filter_map(|(pid, link)| (link.state == State::Active).then_some(pid)).collect();
        shrink(&mut self.entries);
        active.sort_unstable_by(order);
        active
    }

    fn state(&self, other: &Pid) -> Option<State> {
        self.entries.get(other).map(|link| link.state)
    }

    fn remove(&mut self, other: &Pid) -> Option<State> {
        let removed = self.entries.remove(other)?;
        shrink(&mut self.entries);
        Some(removed.state)
    }
}

/// An order of pids: signals to several processes are sent in it.
pub(crate) fn order(one: &Pid, two: &Pid) -> Ordering {
    let number = |pid: &Pid| (pid.creation, pid.serial, pid.id);
    one.node.cmp(&two.node).then_with(|| number(one).cmp(&number(two)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerl_term::Atom;

    fn other() -> Pid {
        Pid { node: Atom::from_static("b@h"), id: 1, serial: 0, creation: 9 }
    }

    #[test]
    fn a_signal_of_the_old_link_does_not_count_after_an_unlink() {
        let mut links = Links::default();
        assert!(links.link(other(), None));
        assert!(!links.link(other(), None));
        let id = links.unlink(&other()).unwrap();
        assert_eq!(links.unlink(&other()), None);
        assert!(!links.ended(&other()));
        links.unlink_acknowledged(&other(), id.get());
        assert_eq!(links.take_where(|_| true), []);
    }

    #[test]
    fn a_late_acknowledgement_does_not_end_a_new_link() {
        let mut links = Links::default();
        links.link(other(), None);
        let id = links.unlink(&other()).unwrap();
        assert!(links.link(other(), None), "the new link is told to the other side");
        links.unlink_acknowledged(&other(), id.get());
        assert!(links.ended(&other()));
    }

    #[test]
    fn a_link_that_crosses_our_unlink_is_ignored() {
        let mut links = Links::default();
        links.link(other(), None);
        links.unlink(&other());
        links.linked_by(other());
        assert_eq!(links.take_where(|_| true), []);
    }
}
