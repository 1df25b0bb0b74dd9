//! The state of each connection, shared with its server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::connection_table::{Activity, ConnectionTable};
use super::refusals::{Refusals, Refused};

/// State shared by a server and its connections.
#[derive(Debug)]
pub(super) struct Shared {
    connections: Mutex<ConnectionTable<AbortHandle>>,
    /// Notified when a connection ends or changes its activity.
    pub(super) changed: Notify,
    pub(super) refusals: Refusals,
}

impl Shared {
    pub(super) fn new(connections: ConnectionTable<AbortHandle>, refusals: Refusals) -> Self {
        Self { connections: Mutex::new(connections), changed: Notify::new(), refusals }
    }

    pub(super) fn connections(&self) -> MutexGuard<'_, ConnectionTable<AbortHandle>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's handle to its entry in the server's table.
#[derive(Clone, Debug)]
pub(super) struct ConnectionState {
    id: u64,
    client: SocketAddr,
    shared: Arc<Shared>,
}

impl ConnectionState {
    pub(super) fn new(id: u64, client: SocketAddr, shared: Arc<Shared>) -> Self {
        Self { id, client, shared }
    }

    /// The client's address.
    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    /// The head of a request has arrived.
    pub(super) fn works(&self) {
        self.shared.connections().occupy(self.id, Activity::Works, Instant::now());
    }

    /// The answer is complete on this side.
    pub(super) fn has_answered(&self) {
        self.shared.connections().occupy(self.id, Activity::AwaitsRequest, Instant::now());
        self.shared.changed.notify_one();
    }

    /// Records the result of a poll that may wait, for the client or for an event.
    pub(super) fn comes_to<T>(&self, activity: Activity, progress: Poll<T>) -> Poll<T> {
        match progress.is_pending() {
            true => {
                self.shared.connections().pause(self.id, activity, Instant::now());
                self.shared.changed.notify_one();
            }
            false => self.shared.connections().proceed(self.id, activity, Instant::now()),
        }
        progress
    }

    /// Logs a refused request.
    pub(super) fn refused(&self, path: &str, refused: Refused) {
        self.shared.refusals.request(self.client, path, refused);
    }
}

/// The entry of a connection in the table; dropping it removes the entry.
pub(super) struct Slot(pub(super) ConnectionState);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.shared.connections().release(self.0.id);
        self.0.shared.changed.notify_one();
    }
}
