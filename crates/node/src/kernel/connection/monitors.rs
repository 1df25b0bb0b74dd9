use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;
use peerl_proto::budget::Share;
use peerl_term::{Pid, Reference};

use crate::kernel::identity::pid_number;
use crate::kernel::limits::Limits;
use crate::kernel::process::Core;
use crate::kernel::table_memory::{grows_long, shrink};

/// The processes of this node that processes of the peer monitor, by the references of the monitors.
///
/// A monitor is identified by its reference alone: by the time of the demonitor, the monitored name may belong to another
/// process, or to none. For each, the peer's share of the memory pays.
#[derive(Debug)]
pub(crate) struct Monitors {
    memory: Arc<Share>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    monitored: HashMap<Reference, Arc<Core>>,
    closed: bool,
}

/// The outcome of adding a monitor.
pub(crate) enum Added {
    New,
    /// The peer had used the reference for a monitor of this process. The new monitor replaces it.
    Replaced(Arc<Core>),
    /// The connection has ended.
    Closed,
    /// The peer's share of the memory is used up.
    NoRoom,
}

impl Monitors {
    pub(crate) fn new(memory: Arc<Share>) -> Self {
        Self { memory, table: Mutex::default() }
    }

    pub(crate) fn add(&self, reference: Reference, process: Arc<Core>) -> Added {
        let mut table = self.table.lock();
        if table.closed {
            return Added::Closed;
        }
        if let Some(monitored) = table.monitored.get_mut(&reference) {
            return Added::Replaced(mem::replace(monitored, process));
        }
        if !self.memory.take(cost(&reference)) {
            return Added::NoRoom;
        }
        table.monitored.insert(reference, process);
        Added::New
    }

    /// Removes a monitor; returns the monitored process.
    pub(crate) fn remove(&self, reference: &Reference) -> Option<Arc<Core>> {
        self.remove_if(reference, |_| true)
    }

    /// The process monitored by this reference has ended.
    pub(crate) fn fired(&self, reference: &Reference, process: &Pid) {
        self.remove_if(reference, |monitored| monitored.pid == *process);
    }

    /// The connection has ended. Returns the monitors and their processes, the oldest first.
    pub(crate) fn close(&self) -> Vec<(Reference, Arc<Core>)> {
        let mut table = self.table.lock();
        table.closed = true;
        let monitored = mem::take(&mut table.monitored);
        drop(table);
        self.memory.give_back(monitored.keys().map(cost).sum());
        let mut monitored: Vec<_> = monitored.into_iter().collect();
        monitored.sort_unstable_by_key(|(_, process)| pid_number(&process.pid));
        monitored
    }

    /// Whether to add the next monitor takes long.
    pub(crate) fn grow_long(&self) -> bool {
        grows_long(&self.table.lock().monitored)
    }

    /// How many monitors there are.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().monitored.len()
    }

    fn remove_if(&self, reference: &Reference, is_meant: impl FnOnce(&Core) -> bool) -> Option<Arc<Core>> {
        let mut table = self.table.lock();
        table.monitored.get(reference).filter(|monitored| is_meant(monitored))?;
        let removed = table.monitored.remove(reference);
        shrink(&mut table.monitored);
        drop(table);
        self.memory.give_back(cost(reference));
        removed
    }
}

/// The bytes that a monitor takes, here and at its process. The peer may name any node in its reference.
fn cost(reference: &Reference) -> usize {
    Limits::MONITOR + reference.node().as_str().len()
}
