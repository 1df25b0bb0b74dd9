use std::collections::{BTreeMap, HashMap};

use peerl_term::{Atom, Pid, Term};

use super::ids::MonitorId;
use super::lock::LockId;
use super::outbox::Outbox;

/// The most resources that are locked at a time: no peer can fill the memory with them.
const MAX_LOCKS: usize = 100_000;

/// The most processes that hold a lock together.
const MAX_HOLDERS: usize = 10_000;

/// The locks that are set at this node.
#[derive(Debug, Default)]
pub(super) struct Locks {
    table: BTreeMap<Term, Lock>,
    by_monitor: HashMap<MonitorId, Term>,
    /// The last lock on the name space went because its holder ended.
    is_global_lost: bool,
}

#[derive(Debug)]
struct Lock {
    requester: Term,
    holders: Vec<(Pid, MonitorId)>,
}

impl Locks {
    /// Whether a lock could be set.
    pub(super) fn is_free(&self, id: &LockId) -> bool {
        self.table.get(&id.resource).is_none_or(|lock| lock.requester == id.requester)
    }

    pub(super) fn is_global_set(&self) -> bool {
        self.table.contains_key(&Term::atom("global"))
    }

    /// Sets a lock for a process, which is monitored from then on. Says whether the process holds it now.
    pub(super) fn set(&mut self, id: &LockId, pid: &Pid, outbox: &mut Outbox) -> bool {
        if !self.is_free(id) || (self.table.len() >= MAX_LOCKS && !self.table.contains_key(&id.resource)) {
            return false;
        }
        let new = || Lock { requester: id.requester.clone(), holders: Vec::new() };
        let lock = self.table.entry(id.resource.clone()).or_insert_with(new);
        if lock.holders.iter().any(|(holder, _)| holder == pid) {
            return true;
        }
        if lock.holders.len() >= MAX_HOLDERS {
            return false;
        }
        let monitor = outbox.monitor(pid);
        lock.holders.push((pid.clone(), monitor));
        self.by_monitor.insert(monitor, id.resource.clone());
        true
    }

    /// Removes a lock of a process. The others that hold it keep it.
    pub(super) fn remove(&mut self, id: &LockId, pid: &Pid, outbox: &mut Outbox) {
        if self.table.get(&id.resource).is_some_and(|lock| lock.requester == id.requester) {
            self.remove_holder(&id.resource, outbox, End::Deleted, |(holder, _)| holder == pid);
        }
    }

    /// The process of a monitor has ended. Says whether it held a lock.
    pub(super) fn down(&mut self, monitor: MonitorId, outbox: &mut Outbox) -> bool {
        let Some(resource) = self.by_monitor.get(&monitor).cloned() else { return false };
        self.remove_holder(&resource, outbox, End::Down, |(_, other)| *other == monitor);
        true
    }

    /// A connection has ended, and with it what the processes of that node hold; also what has come by it and was handled
    /// when there was another connection already.
    pub(super) fn node_gone(&mut self, node: &Atom, outbox: &mut Outbox) {
        let held =
            self.table.iter().flat_map(|(resource, lock)| lock.holders.iter().map(move |holder| (resource, holder)));
        let gone: Vec<_> = held.filter(|(_, (pid, _))| pid.node == *node).map(|(_, (_, monitor))| *monitor).collect();
        for monitor in gone {
            outbox.demonitor(monitor);
            self.down(monitor, outbox);
        }
    }

    /// Whether a name that this process registers is registered under a lock: it holds the one on the name space. If nobody
    /// does, then it has not been lost.
    pub(super) fn covers_process(&self, pid: &Pid) -> bool {
        match self.table.get(&Term::atom("global")) {
            Some(lock) => lock.holders.iter().any(|(holder, _)| holder == pid),
            None => !self.is_global_lost,
        }
    }

    /// Whether names that come with this lock come under it.
    pub(super) fn covers_lock(&self, id: Option<&LockId>) -> bool {
        match self.table.get(&Term::atom("global")) {
            Some(lock) => id.is_some_and(|id| id.resource.is_atom("global") && id.requester == lock.requester),
            None => !self.is_global_lost,
        }
    }

    /// All locks, and who holds each.
    pub(super) fn all(&self) -> Vec<(LockId, Vec<Pid>)> {
        let all = self.table.iter().map(|(resource, lock)| {
            let id = LockId { resource: resource.clone(), requester: lock.requester.clone() };
            (id, lock.holders.iter().map(|(pid, _)| pid.clone()).collect())
        });
        all.collect()
    }

    fn remove_holder(
        &mut self,
        resource: &Term,
        outbox: &mut Outbox,
        end: End,
        is_meant: impl Fn(&(Pid, MonitorId)) -> bool,
    ) {
        let Some(lock) = self.table.get_mut(resource) else { return };
        let Some(index) = lock.holders.iter().position(is_meant) else { return };
        let (_, monitor) = lock.holders.swap_remove(index);
        self.by_monitor.remove(&monitor);
        if end == End::Deleted {
            outbox.demonitor(monitor);
        }
        if lock.holders.is_empty() {
            self.table.remove(resource);
            if resource.is_atom("global") {
                self.is_global_lost = end == End::Down;
            }
        }
    }
}

/// Why a process holds a lock no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Deleted,
    Down,
}

#[cfg(test)]
mod tests {
    use peerl_node::Visibility;

    use super::*;
    use crate::global::Action;

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("b@h"), id, serial: 0, creation: 1 }
    }

    fn lock(requester: i64) -> LockId {
        LockId { resource: Term::atom("global"), requester: Term::from(requester) }
    }

    fn outbox() -> Outbox {
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        outbox.node_up(&Atom::from_static("b@h"), Visibility::Visible);
        outbox
    }

    fn monitored(outbox: &mut Outbox) -> MonitorId {
        match outbox.take() {
            Some(Action::Monitor(monitor, _)) => monitor,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn are_held_by_processes_and_shared_by_requesters() {
        let (mut locks, mut outbox) = (Locks::default(), outbox());
        assert!(locks.set(&lock(1), &pid(1), &mut outbox));
        assert!(locks.set(&lock(1), &pid(2), &mut outbox));
        assert!(!locks.set(&lock(2), &pid(3), &mut outbox));
        // Another process does not remove it, nor another requester.
        locks.remove(&lock(1), &pid(3), &mut outbox);
        locks.remove(&lock(2), &pid(1), &mut outbox);
        locks.remove(&lock(1), &pid(1), &mut outbox);
        assert!(!locks.is_free(&lock(2)));
        locks.remove(&lock(1), &pid(2), &mut outbox);
        assert!(locks.set(&lock(2), &pid(3), &mut outbox));
    }

    #[test]
    fn go_with_their_holders() {
        let (mut locks, mut outbox) = (Locks::default(), outbox());
        assert!(locks.covers_process(&pid(1)));
        assert!(locks.set(&lock(1), &pid(1), &mut outbox));
        assert!(locks.covers_process(&pid(1)) && !locks.covers_process(&pid(2)));
        assert!(locks.covers_lock(Some(&lock(1))) && !locks.covers_lock(Some(&lock(2))) && !locks.covers_lock(None));
        let monitor = monitored(&mut outbox);
        assert!(locks.down(monitor, &mut outbox));
        assert!(!locks.down(monitor, &mut outbox));
        assert!(!locks.is_global_set());
        // A name that comes late, after its lock was lost, does not count.
        assert!(!locks.covers_process(&pid(1)) && !locks.covers_lock(Some(&lock(1))));
        assert!(locks.set(&lock(2), &pid(2), &mut outbox));
        locks.remove(&lock(2), &pid(2), &mut outbox);
        assert!(locks.covers_process(&pid(1)));
        assert!(locks.by_monitor.is_empty());
    }
}
