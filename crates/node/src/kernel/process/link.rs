//! Links with processes of other nodes, and the protocol that ends them without races.
//!
//! Erlang docs: *Distribution Protocol*, section "New Link Protocol".

use std::cmp::Ordering;
use std::collections::HashMap;
use std::num::NonZeroU64;

use peerl_term::Pid;

/// The links of one process.
#[derive(Debug, Default)]
pub(crate) struct Links {
    entries: HashMap<Pid, Link>,
    /// How many links this process has ended.
    unlinks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Active,
    /// Unlinked, but not acknowledged yet: until then, signals of the other side may belong to the old link.
    Unlinking(NonZeroU64),
}

impl Links {
    /// This process links to another. Returns whether a LINK has to be sent.
    pub(crate) fn link(&mut self, other: Pid) -> bool {
        self.entries.insert(other, Link::Active) != Some(Link::Active)
    }

    /// This process ends its link to another. Returns the id of the unlink, if there was a link.
    pub(crate) fn unlink(&mut self, other: &Pid) -> Option<NonZeroU64> {
        let link = self.entries.get_mut(other).filter(|link| **link == Link::Active)?;
        let id = NonZeroU64::MIN.saturating_add(self.unlinks);
        self.unlinks += 1;
        *link = Link::Unlinking(id);
        Some(id)
    }

    /// Another process links to this one.
    pub(crate) fn linked_by(&mut self, other: Pid) {
        self.entries.entry(other).or_insert(Link::Active);
    }

    /// Another process ends its link to this one.
    pub(crate) fn unlinked_by(&mut self, other: &Pid) {
        if self.entries.get(other) == Some(&Link::Active) {
            self.entries.remove(other);
        }
    }

    /// Another process acknowledges this one's unlink.
    pub(crate) fn unlink_acknowledged(&mut self, other: &Pid, id: u64) {
        if matches!(self.entries.get(other), Some(Link::Unlinking(expected)) if expected.get() == id) {
            self.entries.remove(other);
        }
    }

    /// A linked process has ended, or its node is down. Returns whether the link was active: only then it has an effect.
    pub(crate) fn ended(&mut self, other: &Pid) -> bool {
        self.entries.remove(other) == Some(Link::Active)
    }

    /// The number of links, those included whose end has not been acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The processes that this one is linked to.
    pub(crate) fn active(&self) -> impl Iterator<Item = &Pid> {
        self.entries.iter().filter(|(_, link)| **link == Link::Active).map(|(pid, _)| pid)
    }

    /// Removes all entries whose process satisfies the predicate; returns those that were active.
    pub(crate) fn take_where(&mut self, mut gone: impl FnMut(&Pid) -> bool) -> Vec<Pid> {
        let taken = self.entries.extract_if(|pid, _| gone(pid));
        let mut active: Vec<Pid> = taken.filter_map(|(pid, link)| (link == Link::Active).then_some(pid)).collect();
        active.sort_unstable_by(order);
        active
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
        assert!(links.link(other()));
        assert!(!links.link(other()));
        let id = links.unlink(&other()).unwrap();
        assert_eq!(links.unlink(&other()), None);
        assert!(!links.ended(&other()));
        links.unlink_acknowledged(&other(), id.get());
        assert_eq!(links.take_where(|_| true), []);
    }

    #[test]
    fn a_late_acknowledgement_does_not_end_a_new_link() {
        let mut links = Links::default();
        links.link(other());
        let id = links.unlink(&other()).unwrap();
        assert!(links.link(other()), "the new link is told to the other side");
        links.unlink_acknowledged(&other(), id.get());
        assert!(links.ended(&other()));
    }

    #[test]
    fn a_link_that_crosses_our_unlink_is_ignored() {
        let mut links = Links::default();
        links.link(other());
        links.unlink(&other());
        links.linked_by(other());
        assert_eq!(links.take_where(|_| true), []);
    }
}
