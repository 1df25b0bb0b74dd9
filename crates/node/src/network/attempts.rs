//! The attempts to connect, a slot for each peer; and the requests that wait for a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use peerl_proto::handshake::arbitration::{AttemptId, CallVerdict, DialVerdict, PeerSlot, UpVerdict};
use peerl_proto::node_name::NodeName;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::connect_error::ConnectError;
use crate::kernel::connection::Connection;
use crate::kernel::connections::Connections;

/// What waits for a connection.
pub(crate) type Waiter = oneshot::Receiver<Result<Arc<Connection>, ConnectError>>;

#[derive(Default)]
pub(crate) struct Attempts {
    slots: Mutex<BTreeMap<NodeName, Slot>>,
    next_attempt: AtomicU64,
}

#[derive(Default)]
struct Slot {
    arbitration: PeerSlot,
    waiters: Vec<oneshot::Sender<Result<Arc<Connection>, ConnectError>>>,
    /// What ends the task of an attempt that counts no more.
    attempts: BTreeMap<AttemptId, CancellationToken>,
}

/// What comes of a request for a connection.
pub(crate) enum Requested {
    Up(Arc<Connection>),
    Pending(Waiter),
}

impl Attempts {
    pub(crate) fn next_attempt(&self) -> AttemptId {
        AttemptId(self.next_attempt.fetch_add(1, Ordering::Relaxed))
    }

    /// Something here wants a connection. If none is up or under way, `dial` starts an attempt.
    pub(crate) fn request(
        &self,
        connections: &Connections,
        peer: &NodeName,
        dial: impl FnOnce(AttemptId, CancellationToken),
    ) -> Requested {
        let mut slots = self.slots.lock();
        let slot = slots.entry(peer.clone()).or_default();
        let attempt = self.next_attempt();
        match slot.arbitration.dial(attempt) {
            DialVerdict::Up(_) => {
                if let Some(connection) = connections.get(peer.as_atom()) {
                    return Requested::Up(connection);
                }
            }
            DialVerdict::Wait(_) => {}
            DialVerdict::Dial => {
                let cancelled = CancellationToken::new();
                slot.attempts.insert(attempt, cancelled.clone());
                dial(attempt, cancelled);
            }
        }
        let (sender, receiver) = oneshot::channel();
        slot.waiters.push(sender);
        Requested::Pending(receiver)
    }

    /// A peer calls on a new connection; the token ends the task that conducts the handshake.
    pub(crate) fn call(
        &self,
        attempt: AttemptId,
        ours: &NodeName,
        theirs: &NodeName,
        cancelled: &CancellationToken,
    ) -> CallVerdict {
        let mut slots = self.slots.lock();
        let slot = slots.entry(theirs.clone()).or_default();
        let verdict = slot.arbitration.call(attempt, ours, theirs);
        let dropped = match verdict {
            CallVerdict::Accept { stale } => stale,
            CallVerdict::AcceptSimultaneous { ours } => Some(ours),
            CallVerdict::Yield | CallVerdict::Close => return verdict,
            CallVerdict::AskAlive => None,
        };
        if let Some(attempt) = dropped.and_then(|dropped| slot.attempts.remove(&dropped)) {
            attempt.cancel();
        }
        slot.attempts.insert(attempt, cancelled.clone());
        verdict
    }

    /// Whether a request waits for a connection to a peer.
    pub(crate) fn is_awaited(&self, peer: &NodeName) -> bool {
        let slots = self.slots.lock();
        slots.get(peer).is_some_and(|slot| slot.waiters.iter().any(|waiter| !waiter.is_closed()))
    }

    /// Our attempt was told to wait for the peer's own.
    pub(crate) fn yielded(&self, peer: &NodeName, attempt: AttemptId) {
        if let Some(slot) = self.slots.lock().get_mut(peer) {
            slot.arbitration.yielded(attempt);
        }
    }

    /// Whether our attempt shall replace the connection that the peer believes in.
    pub(crate) fn replaces(&self, peer: &NodeName, attempt: AttemptId) -> bool {
        self.slots.lock().get(peer).is_some_and(|slot| slot.arbitration.replaces(attempt))
    }

    /// The handshake of an attempt has ended well.
    pub(crate) fn established(&self, peer: &NodeName, attempt: AttemptId) -> UpVerdict {
        let mut slots = self.slots.lock();
        let Some(slot) = slots.get_mut(peer) else { return UpVerdict::Superseded };
        slot.attempts.remove(&attempt);
        slot.arbitration.established(attempt)
    }

    /// Completes the requests that waited for a connection.
    pub(crate) fn up(&self, connection: &Arc<Connection>) {
        let mut slots = self.slots.lock();
        if let Some(slot) = slots.get_mut(&connection.peer) {
            for waiter in slot.waiters.drain(..) {
                let _ = waiter.send(Ok(connection.clone()));
            }
        }
    }

    /// A connection has ended. It is hidden, and its place is free, in one step: a request for a connection from now on
    /// dials, and does not wait for the ended one.
    pub(crate) fn down(&self, connection: &Connection, hide: &dyn Fn()) {
        let mut slots = self.slots.lock();
        hide();
        close(&mut slots, &connection.peer, connection.id, None);
    }

    /// An attempt has ended; the requests that waited for it get the error.
    pub(crate) fn closed(&self, peer: &NodeName, attempt: AttemptId, error: Option<ConnectError>) {
        close(&mut self.slots.lock(), peer, attempt, error);
    }

    /// How many peers are connected, or are about to be.
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Ends all attempts because the node stops, and answers the requests that wait for one.
    pub(crate) fn abort(&self) {
        let slots = std::mem::take(&mut *self.slots.lock());
        for slot in slots.into_values() {
            slot.attempts.into_values().for_each(|attempt| attempt.cancel());
            for waiter in slot.waiters {
                let _ = waiter.send(Err(ConnectError::Disconnected));
            }
        }
    }
}

fn close(slots: &mut BTreeMap<NodeName, Slot>, peer: &NodeName, attempt: AttemptId, error: Option<ConnectError>) {
    let Some(slot) = slots.get_mut(peer) else { return };
    slot.attempts.remove(&attempt);
    slot.arbitration.closed(attempt);
    if !slot.arbitration.is_idle() {
        return;
    }
    if !slot.waiters.is_empty() {
        let error = error.unwrap_or(ConnectError::Disconnected);
        for waiter in slot.waiters.drain(..) {
            let _ = waiter.send(Err(error.clone()));
        }
    }
    // Names of peers that never connect would fill the table: an idle slot is removed.
    slots.remove(peer);
}
