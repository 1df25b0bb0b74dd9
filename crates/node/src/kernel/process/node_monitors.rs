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

    /// Delivers a message to all of them. Gives those that are to end, since they have not received very many such messages, for which
    /// no peer pays: a peer may have suspended one, and connect by one name after another.
    #[must_use]
    pub(crate) fn tell(&self, message: &Message) -> Vec<Arc<Core>> {
        let mut processes = self.0.lock();
        processes.retain(|process| process.alive().is_some());
        processes.iter().for_each(|process| process.deliver_signal(message.clone()));
        let is_exceeded = |process: &Arc<Core>| process.alive().is_some_and(|state| state.mailbox.is_exceeded());
        processes.extract_if(.., |process| is_exceeded(process)).collect()
    }
}
