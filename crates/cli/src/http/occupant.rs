//! What the server knows of each connection while it lasts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::places::{Occupation, Places};
use super::refusals::{Refusals, Refused};

/// What a server and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    places: Mutex<Places<AbortHandle>>,
    /// A connection has ended, or does something else.
    pub(super) changed: Notify,
    pub(super) refusals: Refusals,
}

impl Shared {
    pub(super) fn new(places: Places<AbortHandle>, refusals: Refusals) -> Self {
        Self { places: Mutex::new(places), changed: Notify::new(), refusals }
    }

    pub(super) fn places(&self) -> MutexGuard<'_, Places<AbortHandle>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection as its server knows it: what it is occupied with is told here.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    id: u64,
    client: SocketAddr,
    shared: Arc<Shared>,
}

impl Occupant {
    pub(super) fn new(id: u64, client: SocketAddr, shared: Arc<Shared>) -> Self {
        Self { id, client, shared }
    }

    /// Where the connection comes from.
    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    /// It has the head of a request.
    pub(super) fn works(&self) {
        self.shared.places().occupy(self.id, Occupation::Works, Instant::now());
    }

    /// The request is answered, as far as this side is concerned.
    pub(super) fn has_answered(&self) {
        self.shared.places().occupy(self.id, Occupation::AwaitsRequest, Instant::now());
        self.shared.changed.notify_one();
    }

    /// Its work has come this far by what it may wait for: the client, or an event.
    pub(super) fn comes_to<T>(&self, occupation: Occupation, progress: Poll<T>) -> Poll<T> {
        match progress.is_pending() {
            true => {
                self.shared.places().pause(self.id, occupation, Instant::now());
                self.shared.changed.notify_one();
            }
            false => self.shared.places().proceed(self.id, occupation, Instant::now()),
        }
        progress
    }

    /// Its request was refused.
    pub(super) fn refused(&self, path: &str, refused: Refused) {
        self.shared.refusals.request(self.client, path, refused);
    }
}

/// The place of a connection, which is given back however the connection ends.
pub(super) struct Place(pub(super) Occupant);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.shared.places().release(self.0.id);
        self.0.shared.changed.notify_one();
    }
}
