use std::sync::Arc;
use std::time::{Duration, Instant};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use peerl_term::{Atom, Pid};
use rustc_hash::FxBuildHasher;

use super::{Aliases, Core};
use crate::kernel::identity::{Identity, pid_number};
use crate::kernel::long_work;

/// The processes of the node, and the names that they have registered.
///
/// The keys are numbers and names of this node, not of a peer: a fast hash is safe.
#[derive(Debug, Default)]
pub(crate) struct ProcessTable {
    processes: DashMap<u64, Arc<Core>, FxBuildHasher>,
    names: DashMap<Atom, Arc<Core>, FxBuildHasher>,
    /// By the numbers of their references.
    aliases: DashMap<u64, Arc<Core>, FxBuildHasher>,
    totals: Mutex<Totals>,
}

/// What waits in all mailboxes.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    messages: usize,
    bytes: usize,
    /// When that was counted, if it was long work.
    counted: Option<Instant>,
}

impl Totals {
    /// For how long they hold, if counting them is long work.
    const HOLD: Duration = Duration::from_secs(1);

    fn hold(&self) -> bool {
        self.counted.is_some_and(|counted| counted.elapsed() < Self::HOLD)
    }
}

impl ProcessTable {
    pub(crate) fn insert(&self, process: Arc<Core>) {
        self.processes.insert(pid_number(&process.pid), process);
    }

    pub(crate) fn remove(&self, pid: &Pid, names: &[Atom], aliases: &Aliases) {
        self.processes.remove(&pid_number(pid));
        for number in aliases.iter() {
            self.aliases.remove(&number);
        }
        for name in names {
            self.names.remove_if(name, |_, process| process.pid == *pid);
        }
    }

    /// The process with this pid, if the pid is of this incarnation of the node.
    pub(crate) fn get(&self, identity: &Identity, pid: &Pid) -> Option<Arc<Core>> {
        if !identity.is_local(pid) {
            return None;
        }
        self.numbered(pid_number(pid))
    }

    /// The process whose pid has this number.
    pub(crate) fn numbered(&self, number: u64) -> Option<Arc<Core>> {
        self.processes.get(&number).map(|entry| entry.value().clone())
    }

    pub(crate) fn add_alias(&self, number: u64, process: Arc<Core>) {
        self.aliases.insert(number, process);
    }

    pub(crate) fn remove_alias(&self, number: u64) {
        self.aliases.remove(&number);
    }

    /// The process that has the alias.
    pub(crate) fn of_alias(&self, number: u64) -> Option<Arc<Core>> {
        self.aliases.get(&number).map(|entry| entry.value().clone())
    }

    /// The process that has registered the name.
    pub(crate) fn whereis(&self, name: &Atom) -> Option<Arc<Core>> {
        self.names.get(name).map(|entry| entry.value().clone())
    }

    /// Registers a name for the process, unless another process has it or this one has ended.
    pub(crate) fn register(&self, name: Atom, process: &Arc<Core>) -> bool {
        match self.names.entry(name) {
            Entry::Occupied(_) => false,
            Entry::Vacant(entry) => {
                let Some(mut state) = process.alive() else { return false };
                state.names.push(entry.key().clone());
                entry.insert(process.clone());
                true
            }
        }
    }

    pub(crate) fn unregister(&self, name: &str) -> bool {
        let Some((name, process)) = self.names.remove(name) else { return false };
        if let Some(mut state) = process.alive() {
            state.names.retain(|other| *other != name);
        }
        true
    }

    /// The names, sorted.
    pub(crate) fn registered(&self) -> Vec<Atom> {
        let mut names: Vec<Atom> = self.names.iter().map(|entry| entry.key().clone()).collect();
        names.sort_unstable();
        names
    }

    /// How many aliases there are.
    pub(crate) fn aliases(&self) -> usize {
        self.aliases.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.processes.len()
    }

    /// All processes, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Core>> {
        long_work::run_if(long_work::is_long(self.len()), || {
            let mut all: Vec<_> = self.processes.iter().map(|entry| entry.value().clone()).collect();
            all.sort_unstable_by_key(|process| pid_number(&process.pid));
            all
        })
    }

    /// The number of messages that wait in all mailboxes, and about how many bytes they have.
    pub(crate) fn mailbox_totals(&self) -> (usize, usize) {
        if !long_work::is_long(self.len()) {
            let Totals { messages, bytes, .. } = self.count_messages();
            return (messages, bytes);
        }
        let mut totals = *self.totals.lock();
        if !totals.hold() {
            // Until they are counted, others get the former ones.
            self.totals.lock().counted = Some(Instant::now());
            totals = long_work::run(|| self.count_messages());
            totals.counted = Some(Instant::now());
            *self.totals.lock() = totals;
        }
        (totals.messages, totals.bytes)
    }

    fn count_messages(&self) -> Totals {
        let mut totals = Totals::default();
        for process in self.all() {
            if let Some(state) = process.alive() {
                totals.messages += state.mailbox.len();
                totals.bytes += state.mailbox.bytes();
            }
        }
        totals
    }
}
