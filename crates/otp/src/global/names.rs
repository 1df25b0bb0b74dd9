use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::sync::Arc;

use peerl_node::{Budget, Share};
use peerl_term::{Atom, Pid, Term};

use super::ids::MonitorId;
use super::outbox::Outbox;
use super::registration::{ExternalName, Registration};
use crate::term_memory::{term_memory, to_keep};

/// The names that this node knows, and the processes that have them.
#[derive(Debug)]
pub(super) struct Names {
    /// What they take of the node's memory: no peer can fill that with them.
    memory: Share,
    /// The most that is taken of it. Names last as long as their processes, which may be longer than the peer is there that has had them
    /// registered; and all of them are copied when two partitions meet.
    most: usize,
    table: BTreeMap<Term, Entry>,
    by_monitor: HashMap<MonitorId, Term>,
    /// How many names each process has.
    by_pid: HashMap<Pid, usize>,
    /// The monitors of the processes of each node.
    of_nodes: HashMap<Atom, BTreeSet<MonitorId>>,
    /// How many were not entered.
    refused: usize,
    /// The bytes of the names alone.
    listed: usize,
}

#[derive(Debug)]
struct Entry {
    pid: Pid,
    method: Term,
    monitor: MonitorId,
    /// The bytes that it takes.
    cost: usize,
    /// Those of them that its name takes in a list.
    listed: usize,
    /// The node that has registered the name, if the process is of a node without `global`.
    external: Option<Atom>,
}

impl Names {
    /// The bytes that a name takes, beside its term and that of its method.
    pub(super) const NAME: usize = 512;

    /// The bytes that a name takes in a list, beside its term.
    pub(super) const LISTED: usize = 64;

    /// The part of the node's memory that they take at most, as a divisor.
    pub(super) const PART: usize = 16;

    /// None yet; they take of this memory.
    pub(super) fn new(memory: &Arc<Budget>) -> Self {
        let (table, by_monitor, by_pid) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        let (of_nodes, most) = (HashMap::new(), memory.most() / Self::PART);
        Self { memory: memory.share(), most, table, by_monitor, by_pid, of_nodes, refused: 0, listed: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Enters a name, in place of one that was there; the process is monitored from then on.
    pub(super) fn insert(&mut self, registration: Registration, external: Option<Atom>, outbox: &mut Outbox) {
        let Registration { name, pid, method } = registration;
        let (name, method) = (to_keep(&name), to_keep(&method));
        let name_memory = term_memory(&name);
        let cost = Self::NAME + 2 * name_memory + term_memory(&method);
        if self.table.get(&name).is_some_and(|entry| entry.pid != pid) {
            self.remove(&name, outbox);
        }
        if self.memory.taken() + cost > self.most || !self.memory.take(cost) {
            self.refused += 1;
            return;
        }
        if let Some(entry) = self.table.get_mut(&name) {
            self.memory.give_back(mem::replace(&mut entry.cost, cost));
            entry.method = method;
            entry.external = external;
            return;
        }
        let monitor = outbox.monitor(&pid);
        *self.by_pid.entry(pid.clone()).or_default() += 1;
        self.by_monitor.insert(monitor, name.clone());
        self.of_nodes.entry(pid.node.clone()).or_default().insert(monitor);
        let listed = Self::LISTED + name_memory;
        self.listed += listed;
        self.table.insert(name, Entry { pid, method, monitor, cost, listed, external });
    }

    /// How many names were not entered since this was asked last, because there was no memory for them.
    pub(super) fn take_refused(&mut self) -> usize {
        mem::take(&mut self.refused)
    }

    pub(super) fn remove(&mut self, name: &Term, outbox: &mut Outbox) {
        if let Some(entry) = self.take(name) {
            outbox.demonitor(entry.monitor);
        }
    }

    /// The process of a monitor has ended. Says whether it had a name.
    pub(super) fn down(&mut self, monitor: MonitorId) -> bool {
        let Some(name) = self.by_monitor.get(&monitor).cloned() else { return false };
        self.take(&name);
        true
    }

    /// Removes the names of the processes of a node.
    pub(super) fn node_gone(&mut self, node: &Atom, outbox: &mut Outbox) {
        for monitor in self.of_nodes.remove(node).unwrap_or_default() {
            outbox.demonitor(monitor);
            self.down(monitor);
        }
    }

    pub(super) fn pid(&self, name: &Term) -> Option<&Pid> {
        self.table.get(name).map(|entry| &entry.pid)
    }

    pub(super) fn get(&self, name: &Term) -> Option<Registration> {
        let entry = self.table.get(name)?;
        Some(Registration { name: name.clone(), pid: entry.pid.clone(), method: entry.method.clone() })
    }

    /// Whether a process has a name.
    pub(super) fn has_name(&self, pid: &Pid) -> bool {
        self.by_pid.contains_key(pid)
    }

    /// About how many bytes of memory a list of all names takes, as a term and encoded.
    pub(super) fn listed_memory(&self) -> usize {
        self.listed
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &Term> {
        self.table.keys()
    }

    pub(super) fn all(&self) -> Vec<Registration> {
        let all = self.table.iter();
        all.map(|(name, entry)| Registration {
            name: name.clone(),
            pid: entry.pid.clone(),
            method: entry.method.clone(),
        })
        .collect()
    }

    pub(super) fn external(&self) -> Vec<ExternalName> {
        let all = self.table.iter();
        all.filter_map(|(name, entry)| {
            let node = entry.external.clone()?;
            Some(ExternalName { name: name.clone(), pid: entry.pid.clone(), node })
        })
        .collect()
    }

    fn take(&mut self, name: &Term) -> Option<Entry> {
        let entry = self.table.remove(name)?;
        self.memory.give_back(entry.cost);
        self.listed -= entry.listed;
        self.by_monitor.remove(&entry.monitor);
        if let Some(of_node) = self.of_nodes.get_mut(&entry.pid.node) {
            of_node.remove(&entry.monitor);
            if of_node.is_empty() {
                self.of_nodes.remove(&entry.pid.node);
            }
        }
        if let Some(count) = self.by_pid.get_mut(&entry.pid) {
            *count -= 1;
            if *count == 0 {
                self.by_pid.remove(&entry.pid);
            }
        }
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::global::Action;

    #[test]
    fn go_with_their_processes() {
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        let mut names = Names::new(&Budget::new(usize::MAX, 1));
        let pid = |id| Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 };
        let registration = |id| Registration { name: Term::atom("n"), pid: pid(id), method: Term::nil() };
        names.insert(registration(1), None, &mut outbox);
        let Some(Action::Monitor(first, _)) = outbox.take() else { panic!() };
        names.insert(registration(2), Some(Atom::from_static("b@h")), &mut outbox);
        assert_eq!(outbox.take(), Some(Action::Demonitor(first)));
        let Some(Action::Monitor(second, _)) = outbox.take() else { panic!() };
        assert!(!names.down(first) && !names.has_name(&pid(1)) && names.has_name(&pid(2)));
        assert_eq!(names.external().len(), 1);
        assert!(names.down(second));
        assert!(names.table.is_empty() && names.by_monitor.is_empty());
        assert!(names.by_pid.is_empty() && names.of_nodes.is_empty());
    }

    #[test]
    fn take_what_is_there_and_give_it_back() {
        let memory = Budget::with_factor(Names::PART * 40_000, 1, usize::MAX);
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        let mut names = Names::new(&memory);
        let registration = |name: String, id, method| Registration {
            name: Term::from(name.as_str()),
            pid: Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 },
            method,
        };
        // Long names fill it sooner, and so do methods.
        for id in 0..100 {
            names.insert(registration(format!("{id:1000}"), id, Term::nil()), None, &mut outbox);
        }
        let count = names.names().count();
        assert!((4..10).contains(&count), "{count}");
        assert!(names.listed_memory() > count * 1000);
        let large = Term::list((0..1000).map(Term::from));
        names.insert(registration(format!("{:1000}", 0), 0, large), None, &mut outbox);
        assert_eq!(names.get(&Term::from(format!("{:1000}", 0).as_str())).unwrap().method, Term::nil());
        names.node_gone(&Atom::from_static("a@h"), &mut outbox);
        assert_eq!((names.names().count(), memory.lent(), names.listed_memory()), (0, 0, 0));
    }

    #[test]
    fn of_nodes_that_are_not_connected_yet_wait_for_them() {
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        let mut names = Names::new(&Budget::new(usize::MAX, 1));
        let node = Atom::from_static("b@h");
        let pid = Pid { node: node.clone(), id: 1, serial: 0, creation: 1 };
        names.insert(Registration { name: Term::atom("n"), pid, method: Term::nil() }, None, &mut outbox);
        assert_eq!(outbox.take(), Some(Action::Connect(node.clone())));
        names.node_gone(&node, &mut outbox);
        assert!(names.table.is_empty() && outbox.take().is_none());
    }
}
