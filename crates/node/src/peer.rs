use std::fmt;
use std::sync::Arc;

use peerl_proto::budget::Lease;
use peerl_proto::connection::LARGE;
use peerl_term::{Atom, Measure, RawTerm};

use crate::kernel::serving::PeerCalls;

/// A peer from which a message has come. What is kept of that message is taken from the peer's share of the
/// [memory](crate::Limits::memory), whatever names and pids the message has.
#[derive(Clone)]
pub struct Peer {
    calls: Arc<PeerCalls>,
}

impl Peer {
    pub(crate) fn new(calls: Arc<PeerCalls>) -> Self {
        Self { calls }
    }

    pub(crate) fn calls(&self) -> &Arc<PeerCalls> {
        &self.calls
    }

    /// Its name.
    pub fn node(&self) -> Option<&Atom> {
        self.calls.peer.as_ref()
    }

    /// Waits until the connection has ended by which its message has come.
    pub async fn disconnected(&self) {
        self.calls.closed.cancelled().await;
    }

    /// Takes so many bytes of its share; none, if it has not that much left.
    pub fn lease(&self, bytes: usize) -> Option<Lease> {
        self.calls.memory.lease(bytes)
    }

    /// Takes what an encoded term of a message takes as a [`Term`](crate::Term), as long as that is kept; none, if its share has not
    /// that much left.
    pub fn lease_for(&self, term: &RawTerm) -> Option<Lease> {
        let (bytes, mut measure) = (term.bytes(), Measure::new());
        term.work(|| measure.advance(bytes, usize::MAX));
        // Binaries of the term keep the message; the bytes of a large one are leased as long as anything keeps them.
        let message = if bytes.len() > LARGE { 0 } else { bytes.len() };
        self.lease(measure.memory() + message)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Peer").field(&self.calls.peer).finish()
    }
}
