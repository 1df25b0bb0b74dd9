use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use peerl_node::{Budget, Lease, Share};
use peerl_term::{Atom, Pid, Term};

use super::ids::MonitorId;
use super::lock::LockId;
use super::outbox::Outbox;
use crate::lasting::Lasting;
use crate::node_shares::NodeShares;
use crate::places::Places;
use crate::term_memory::{term_memory, to_keep};

/// The most processes that hold locks at a time, each as often as it holds one. Those of a node have as many as they leave for
/// the others.
const MAX_LOCKS: usize = 100_000;

/// The most processes that hold a lock together.
const MAX_HOLDERS: usize = 10_000;

/// The locks that are set at this node.
#[derive(Debug)]
pub(super) struct Locks {
    /// What the locks of each node's processes take of the memory.
    shares: NodeShares,
    table: BTreeMap<Term, Lock>,
    by_monitor: HashMap<MonitorId, Term>,
    /// The monitors of the holders of each node.
    of_nodes: HashMap<Atom, BTreeSet<MonitorId>>,
    places: Places,
    /// What those of processes of this node take of the memory, which may last for ever: no more than a small part.
    lasting: Arc<Share>,
    /// The last lock on the name space went because its holder ended.
    is_global_lost: bool,
}

#[derive(Debug)]
struct Lock {
    requester: Term,
    /// Of many, each is found without a look at the others.
    holders: BTreeMap<MonitorId, Holder>,
    by_pid: HashMap<Pid, MonitorId>,
}

#[derive(Debug)]
struct Holder {
    pid: Pid,
    /// Memory, and a place.
    _leases: Option<Leases>,
}

#[derive(Debug)]
struct Leases {
    _memory: Lease,
    _place: Lease,
    _lasting: Option<Lease>,
}

/// What a lock is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockFor {
    /// The server of this node, for the mesh: it takes nothing of the memory and the places for others.
    Server,
    /// Anyone else: it takes of the shares of the holder's node.
    Caller,
}

impl Locks {
    /// The bytes that a process which holds a lock takes, beside the terms of the lock.
    pub(super) const HOLDER: usize = 768;

    /// None yet; they take of this memory.
    pub(super) fn new(memory: Arc<Budget>) -> Self {
        let places = Places::new(MAX_LOCKS);
        let lasting = Arc::new(Budget::with_factor(memory.most() / Lasting::PART, 64, usize::MAX).share());
        let shares = NodeShares::new(memory);
        let (table, by_monitor, of_nodes) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { shares, table, by_monitor, of_nodes, places, lasting, is_global_lost: false }
    }

    /// How many processes hold locks, each as often as it holds one.
    pub(super) fn len(&self) -> usize {
        self.by_monitor.len()
    }

    /// Whether a lock could be set.
    pub(super) fn is_free(&self, id: &LockId) -> bool {
        self.table.get(&id.resource).is_none_or(|lock| lock.requester == id.requester)
    }

    pub(super) fn is_global_set(&self) -> bool {
        self.table.contains_key(&Term::atom("global"))
    }

    /// Sets a lock for a process, which is monitored from then on. Says whether the process holds it now: not if somebody else
    /// does, or if there is no memory or place left for the locks of its node.
    pub(super) fn set(&mut self, id: &LockId, pid: &Pid, lock_for: LockFor, outbox: &mut Outbox) -> bool {
        if !self.is_free(id) {
            return false;
        }
        let held = self.table.get(&id.resource);
        if held.is_some_and(|lock| lock.by_pid.contains_key(pid)) {
            return true;
        }
        if held.is_some_and(|lock| lock.holders.len() >= MAX_HOLDERS) {
            return false;
        }
        let leases = match lock_for {
            LockFor::Server => None,
            LockFor::Caller => {
                // Each holder pays for the lock: any of them may be the last one.
                let cost = Self::HOLDER + 2 * term_memory(&id.resource) + term_memory(&id.requester);
                let Some(leases) = self.leases(&pid.node, cost, pid.node == outbox.node) else { return false };
                Some(leases)
            }
        };
        let (resource, monitor) = (to_keep(&id.resource), outbox.monitor(pid));
        let new = || Lock { requester: to_keep(&id.requester), holders: BTreeMap::new(), by_pid: HashMap::new() };
        let lock = self.table.entry(resource.clone()).or_insert_with(new);
        lock.holders.insert(monitor, Holder { pid: pid.clone(), _leases: leases });
        lock.by_pid.insert(pid.clone(), monitor);
        self.by_monitor.insert(monitor, resource);
        self.of_nodes.entry(pid.node.clone()).or_default().insert(monitor);
        true
    }

    /// A place and memory for a lock of a process of this node's or another's.
    fn leases(&mut self, node: &Atom, bytes: usize, is_lasting: bool) -> Option<Leases> {
        Some(Leases {
            _place: self.places.take(node)?,
            _memory: self.shares.of(node).lease(bytes)?,
            _lasting: if is_lasting { Some(self.lasting.lease(bytes)?) } else { None },
        })
    }

    /// Removes a lock of a process. The others that hold it keep it.
    pub(super) fn remove(&mut self, id: &LockId, pid: &Pid, outbox: &mut Outbox) {
        let lock = self.table.get(&id.resource).filter(|lock| lock.requester == id.requester);
        if let Some(monitor) = lock.and_then(|lock| lock.by_pid.get(pid)).copied() {
            outbox.demonitor(monitor);
            self.remove_holder(monitor, End::Deleted);
        }
    }

    /// The process of a monitor has ended. Says whether it held a lock.
    pub(super) fn down(&mut self, monitor: MonitorId) -> bool {
        self.remove_holder(monitor, End::Down)
    }

    /// A connection has ended, and with it what the processes of that node hold; also what has come by it and was handled
    /// when there was another connection already.
    pub(super) fn node_gone(&mut self, node: &Atom, outbox: &mut Outbox) {
        for monitor in self.of_nodes.remove(node).unwrap_or_default() {
            outbox.demonitor(monitor);
            self.down(monitor);
        }
    }

    /// Whether a name that this process registers is registered under a lock: it holds the one on the name space. If nobody
    /// does, then it has not been lost.
    pub(super) fn covers_process(&self, pid: &Pid) -> bool {
        match self.table.get(&Term::atom("global")) {
            Some(lock) => lock.by_pid.contains_key(pid),
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
            (id, lock.holders.values().map(|holder| holder.pid.clone()).collect())
        });
        all.collect()
    }

    /// Says whether the monitor was that of a holder.
    fn remove_holder(&mut self, monitor: MonitorId, end: End) -> bool {
        let Some(resource) = self.by_monitor.remove(&monitor) else { return false };
        let Some(lock) = self.table.get_mut(&resource) else { return false };
        let Some(Holder { pid, .. }) = lock.holders.remove(&monitor) else { return false };
        lock.by_pid.remove(&pid);
        if let Some(of_node) = self.of_nodes.get_mut(&pid.node) {
            of_node.remove(&monitor);
            if of_node.is_empty() {
                self.of_nodes.remove(&pid.node);
            }
        }
        if lock.holders.is_empty() {
            self.table.remove(&resource);
            if resource.is_atom("global") {
                self.is_global_lost = end == End::Down;
            }
        }
        true
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

    fn locks() -> Locks {
        Locks::new(Budget::new(usize::MAX, 1))
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
        let (mut locks, mut outbox) = (locks(), outbox());
        assert!(locks.set(&lock(1), &pid(1), LockFor::Caller, &mut outbox));
        assert!(locks.set(&lock(1), &pid(2), LockFor::Caller, &mut outbox));
        assert!(!locks.set(&lock(2), &pid(3), LockFor::Caller, &mut outbox));
        // Another process does not remove it, nor another requester.
        locks.remove(&lock(1), &pid(3), &mut outbox);
        locks.remove(&lock(2), &pid(1), &mut outbox);
        locks.remove(&lock(1), &pid(1), &mut outbox);
        assert!(!locks.is_free(&lock(2)));
        locks.remove(&lock(1), &pid(2), &mut outbox);
        assert!(locks.set(&lock(2), &pid(3), LockFor::Caller, &mut outbox));
    }

    #[test]
    fn go_with_their_holders() {
        let (mut locks, mut outbox) = (locks(), outbox());
        assert!(locks.covers_process(&pid(1)));
        assert!(locks.set(&lock(1), &pid(1), LockFor::Caller, &mut outbox));
        assert!(locks.covers_process(&pid(1)) && !locks.covers_process(&pid(2)));
        assert!(locks.covers_lock(Some(&lock(1))) && !locks.covers_lock(Some(&lock(2))) && !locks.covers_lock(None));
        let monitor = monitored(&mut outbox);
        assert!(locks.down(monitor));
        assert!(!locks.down(monitor));
        assert!(!locks.is_global_set());
        // A name that comes late, after its lock was lost, does not count.
        assert!(!locks.covers_process(&pid(1)) && !locks.covers_lock(Some(&lock(1))));
        assert!(locks.set(&lock(2), &pid(2), LockFor::Caller, &mut outbox));
        locks.remove(&lock(2), &pid(2), &mut outbox);
        assert!(locks.covers_process(&pid(1)));
        assert!(locks.by_monitor.is_empty() && locks.of_nodes.is_empty());
    }

    #[test]
    fn leave_places_for_the_locks_of_other_nodes() {
        let (mut locks, mut outbox) = (locks(), outbox());
        let numbered = |number: i64| LockId { resource: Term::from(number), requester: Term::nil() };
        let mut set = |number: i64, pid: &Pid, lock_for| locks.set(&numbered(number), pid, lock_for, &mut outbox);
        let count = (0..100_000).filter(|number| set(*number, &pid(1), LockFor::Caller)).count();
        assert_eq!(count, MAX_LOCKS / 2);
        let other = Pid { node: Atom::from_static("c@h"), ..pid(1) };
        assert!(set(-1, &other, LockFor::Caller) && set(-2, &pid(1), LockFor::Server));
    }

    #[test]
    fn take_of_the_share_of_their_holders_node() {
        const MEMORY: usize = 1 << 20;
        let memory = Budget::with_factor(MEMORY, 64, 4);
        let (mut locks, mut outbox) = (Locks::new(memory.clone()), outbox());
        let large = |number: i64| LockId {
            resource: Term::tuple([Term::from(number), Term::list(vec![Term::nil(); 1000])]),
            requester: Term::from("a requester"),
        };
        let set =
            (0..1000).take_while(|number| locks.set(&large(*number), &pid(1), LockFor::Caller, &mut outbox)).count();
        assert!((4..100).contains(&set), "{set}");
        assert!(memory.lent() <= MEMORY / 5 * 4, "{}", memory.lent());
        // A lock that is not set is not there. Others have room, and so has the server.
        assert_eq!(locks.all().len(), set);
        let other = Pid { node: Atom::from_static("c@h"), ..pid(1) };
        assert!(locks.set(&lock(1), &other, LockFor::Caller, &mut outbox));
        assert!(locks.set(&large(-1), &Pid { node: Atom::from_static("a@h"), ..pid(1) }, LockFor::Server, &mut outbox));
        // A process that joins the holders pays for the lock too, since the first one may leave.
        locks.remove(&large(0), &pid(1), &mut outbox);
        let shares = |number: &i64| locks.set(&large(*number), &pid(2), LockFor::Caller, &mut outbox);
        assert!([1, 2].into_iter().filter(shares).count() < 2);
        locks.node_gone(&Atom::from_static("b@h"), &mut outbox);
        locks.remove(&lock(1), &other, &mut outbox);
        assert_eq!(memory.lent(), 0);
        // The server has one, of this node.
        assert_eq!((locks.len(), locks.of_nodes.len()), (1, 1));
    }
}
