use std::collections::{HashMap, VecDeque};

use peerl_proto::epmd::{AliveName, DumpEntry, DumpState, NameEntry, NodeInfo};
use tokio::sync::oneshot;

/// How many unused names are kept for their creation; the same as in OTP's EPMD.
const OLD_NAMES: usize = 1000;

/// The lowest creation of 32 bits; lower ones have the narrow form.
const FIRST_CREATION: u32 = 4;

/// The registered names, and former ones.
#[derive(Debug)]
pub(super) struct Registry {
    limit: usize,
    active: HashMap<AliveName, Active>,
    /// The oldest first.
    old: VecDeque<Old>,
    next_lease: u64,
}

/// The number of a registration; later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LeaseId(u64);

/// The result of a registration.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) lease: LeaseId,
    pub(super) creation: u32,
    /// Completes when the name is unregistered by force.
    pub(super) stopped: oneshot::Receiver<()>,
}

/// Why a node is not registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("another node has the name")]
    Taken,
    #[error("too many nodes are registered")]
    Full,
}

#[derive(Debug)]
struct Active {
    node: NodeInfo,
    creation: u32,
    lease: LeaseId,
    _hold: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Old {
    name: AliveName,
    port: u16,
    creation: u32,
    lease: LeaseId,
}

impl Registry {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, active: HashMap::new(), old: VecDeque::new(), next_lease: 1 }
    }

    /// Registers a node. A former name gets its next creation; a new one starts at `now`, the time in seconds, so
    /// that a restarted EPMD does not reuse creations.
    pub(super) fn register(&mut self, node: NodeInfo, now: u32) -> Result<Granted, Refusal> {
        if self.active.contains_key(&node.name) {
            return Err(Refusal::Taken);
        }
        if self.active.len() >= self.limit {
            return Err(Refusal::Full);
        }
        let creation = match self.old.iter().position(|old| old.name == node.name) {
            Some(index) => match self.old.remove(index) {
                Some(old) => old.creation.checked_add(1).unwrap_or(FIRST_CREATION),
                None => now.max(FIRST_CREATION),
            },
            None => now.max(FIRST_CREATION),
        };
        let lease = LeaseId(self.next_lease);
        self.next_lease += 1;
        let (hold, stopped) = oneshot::channel();
        let active = Active { creation, lease, _hold: hold, node };
        self.active.insert(active.node.name.clone(), active);
        Ok(Granted { lease, creation, stopped })
    }

    /// Ends a registration, unless another lease has the name by now.
    pub(super) fn unregister(&mut self, name: &AliveName, lease: LeaseId) {
        if self.active.get(name).is_some_and(|active| active.lease == lease) {
            self.stop(name);
        }
    }

    /// Ends a registration by force; `false` if there is none.
    pub(super) fn stop(&mut self, name: &AliveName) -> bool {
        let Some(active) = self.active.remove(name) else {
            return false;
        };
        if self.old.len() == OLD_NAMES {
            self.old.pop_front();
        }
        self.old.push_back(Old {
            name: active.node.name,
            port: active.node.port,
            creation: active.creation,
            lease: active.lease,
        });
        true
    }

    pub(super) fn lookup(&self, name: &AliveName) -> Option<&NodeInfo> {
        self.active.get(name).map(|active| &active.node)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    /// The newest first.
    pub(super) fn names(&self) -> Vec<NameEntry> {
        self.newest_first()
            .into_iter()
            .map(|active| NameEntry::new(active.node.name.clone(), active.node.port))
            .collect()
    }

    /// The names in use, the newest first, then the unused ones, the oldest first.
    pub(super) fn dump(&self) -> Vec<DumpEntry> {
        let active = self.newest_first().into_iter().map(|active| {
            let node = &active.node;
            DumpEntry::new(DumpState::Active, node.name.clone(), node.port, active.lease.0)
        });
        let old = self.old.iter().map(|old| DumpEntry::new(DumpState::Old, old.name.clone(), old.port, old.lease.0));
        active.chain(old).collect()
    }

    fn newest_first(&self) -> Vec<&Active> {
        let mut active: Vec<_> = self.active.values().collect();
        active.sort_unstable_by_key(|active| std::cmp::Reverse(active.lease));
        active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u32 = 1_700_000_000;

    fn node(name: &str) -> NodeInfo {
        NodeInfo::new(AliveName::new(name).unwrap(), 9100)
    }

    fn name(name: &str) -> AliveName {
        AliveName::new(name).unwrap()
    }

    #[test]
    fn the_creation_goes_up_by_one_and_wraps_to_four() {
        let mut registry = Registry::new(10);
        let first = registry.register(node("alfa"), NOW).unwrap();
        assert_eq!(first.creation, NOW);
        registry.unregister(&name("alfa"), first.lease);
        let second = registry.register(node("alfa"), NOW + 100).unwrap();
        assert_eq!(second.creation, NOW + 1);

        let last = registry.register(node("beta"), u32::MAX).unwrap();
        registry.unregister(&name("beta"), last.lease);
        let wrapped = registry.register(node("beta"), NOW).unwrap();
        assert_eq!(wrapped.creation, 4);
        let early = registry.register(node("gamma"), 0).unwrap();
        assert_eq!(early.creation, 4);
    }

    #[test]
    fn an_old_lease_ends_no_new_one() {
        let mut registry = Registry::new(10);
        let first = registry.register(node("alfa"), NOW).unwrap();
        assert!(registry.stop(&name("alfa")));
        let mut second = registry.register(node("alfa"), NOW).unwrap();
        registry.unregister(&name("alfa"), first.lease);
        assert!(registry.lookup(&name("alfa")).is_some());
        use tokio::sync::oneshot::error::TryRecvError;
        assert_eq!(second.stopped.try_recv(), Err(TryRecvError::Empty));
        assert!(registry.stop(&name("alfa")));
        assert_eq!(second.stopped.try_recv(), Err(TryRecvError::Closed));
        assert!(!registry.stop(&name("alfa")));
    }

    #[test]
    fn limits() {
        let mut registry = Registry::new(2);
        let _alfa = registry.register(node("alfa"), NOW).unwrap();
        let beta = registry.register(node("beta"), NOW).unwrap();
        assert_eq!(registry.register(node("alfa"), NOW).unwrap_err(), Refusal::Taken);
        assert_eq!(registry.register(node("gamma"), NOW).unwrap_err(), Refusal::Full);
        registry.unregister(&name("beta"), beta.lease);
        for number in 0..OLD_NAMES + 10 {
            let granted = registry.register(node(&format!("n{number}")), NOW).unwrap();
            registry.unregister(&name(&format!("n{number}")), granted.lease);
        }
        let dump = registry.dump();
        assert_eq!(dump.len(), 1 + OLD_NAMES);
        assert_eq!(dump[0].state, DumpState::Active);
        assert_eq!(dump[1].name, "n10");
    }

    #[test]
    fn the_newest_is_listed_first() {
        let mut registry = Registry::new(10);
        let _leases = ["alfa", "beta", "gamma"].map(|n| registry.register(node(n), NOW).unwrap());
        let names: Vec<_> = registry.names().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["gamma", "beta", "alfa"]);
    }
}
