use std::sync::Arc;

use parking_lot::Mutex;

use super::{Core, Message};

/// The processes that receive [`Message::NodeUp`] and [`Message::NodeDown`].
#[derive(Debug, Default)]
pub(crate) struct NodeMonitors(Mutex<Vec<Arc<Core>>>);

impl NodeMonitors {
    /// Adds a process, once.
    pub(crate) fn add(&self, process: &Arc<Core>) {
        let mut processes = self.0.lock();
        processes.retain(|other| other.alive().is_some() && !Arc::ptr_eq(other, process));
        processes.push(process.clone());
    }

    /// Removes a process; returns whether it was there.
    pub(crate) fn remove(&self, process: &Arc<Core>) -> bool {
        let mut processes = self.0.lock();
        let count = processes.len();
        processes.retain(|other| !Arc::ptr_eq(other, process));
        processes.len() < count
    }

    /// Delivers a message to all of them.
    pub(crate) fn tell(&self, message: &Message) {
        let mut processes = self.0.lock();
        processes.retain(|process| {
            let is_alive = process.alive().is_some();
            if is_alive {
                process.deliver_signal(message.clone());
            }
            is_alive
        });
    }
}
