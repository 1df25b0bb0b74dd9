use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use peerl_term::{Pid, Reference};

use crate::kernel::process::Core;

/// The processes of this node that processes of the peer monitor, by the references of the monitors.
///
/// A monitor is identified by its reference alone: by the time of the demonitor, the monitored name may belong to another
/// process, or to none.
#[derive(Debug, Default)]
pub(crate) struct Monitors(Mutex<Table>);

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
}

impl Monitors {
    pub(crate) fn add(&self, reference: Reference, process: Arc<Core>) -> Added {
        let mut table = self.0.lock();
        if table.closed {
            return Added::Closed;
        }
        table.monitored.insert(reference, process).map_or(Added::New, Added::Replaced)
    }

    /// Removes a monitor; returns the monitored process.
    pub(crate) fn remove(&self, reference: &Reference) -> Option<Arc<Core>> {
        self.0.lock().monitored.remove(reference)
    }

    /// The process monitored by this reference has ended.
    pub(crate) fn fired(&self, reference: &Reference, process: &Pid) {
        let mut table = self.0.lock();
        if table.monitored.get(reference).is_some_and(|monitored| monitored.pid == *process) {
            table.monitored.remove(reference);
        }
    }

    /// The connection has ended.
    pub(crate) fn close(&self) {
        let mut table = self.0.lock();
        table.closed = true;
        table.monitored = HashMap::new();
    }

    /// How many monitors there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().monitored.len()
    }
}
