//! Counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use peerl_term::Atom;

use super::Dropped;
use crate::kernel::connection::Connection;
use crate::kernel::exception::{Class, Exception};
use crate::kernel::exports::Outcome;
use crate::kernel::state::Kernel;
use crate::kernel::transferred::Transferred;

/// The most peers with figures of their own. The others share one, so that names of peers cannot fill the memory.
const PEERS: usize = 256;

/// What the connections with a peer have carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerFigures {
    /// The peer; none for all beyond the first 256 together.
    pub peer: Option<Atom>,
    /// The bytes.
    pub bytes: Transferred,
    /// The messages that it has sent, signals included.
    pub messages_received: u64,
    /// The messages that were written to it, signals included.
    pub messages_sent: u64,
    /// The bytes that wait to be written to it now.
    pub queued_bytes: usize,
    /// The bytes that are kept for it now, of [`Limits::memory`](crate::Limits::memory).
    pub kept_bytes: usize,
    dropped: [u64; Dropped::ALL.len()],
}

/// How the calls of an exported function have ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionFigures {
    /// Its module.
    pub module: Atom,
    /// Its name; none for what is exported as all functions of a module.
    pub function: Option<Atom>,
    /// Its arity; none for what is exported with any.
    pub arity: Option<usize>,
    /// The calls that gave a value.
    pub values: u64,
    /// Those that raised an error.
    pub errors: u64,
    /// Those that exited.
    pub exits: u64,
    /// Those that threw.
    pub throws: u64,
    /// Those that were ended by a signal, or with their node.
    pub ended: u64,
}

impl PeerFigures {
    /// The messages of the peer that were dropped for this reason.
    pub fn dropped(&self, reason: Dropped) -> u64 {
        self.dropped[reason as usize]
    }

    fn add(&mut self, bytes: Transferred, counts: &ConnectionCounts) {
        self.bytes += bytes;
        self.messages_received += counts.received.load(Ordering::Relaxed);
        self.messages_sent += counts.sent.load(Ordering::Relaxed);
        for (sum, dropped) in self.dropped.iter_mut().zip(&counts.dropped) {
            *sum += dropped.load(Ordering::Relaxed);
        }
    }
}

/// Counts for one connection.
#[derive(Debug, Default)]
pub(crate) struct ConnectionCounts {
    received: AtomicU64,
    sent: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
}

impl ConnectionCounts {
    /// The reader has read a message. There is one reader: it need not exclude others.
    #[inline]
    pub(crate) fn received(&self) {
        self.received.store(self.received.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// The writer has written messages.
    #[inline]
    pub(crate) fn sent(&self, messages: usize) {
        self.sent.store(self.sent.load(Ordering::Relaxed) + messages as u64, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn dropped(&self, reason: Dropped) {
        self.dropped[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts for one function.
#[derive(Default)]
pub(crate) struct OutcomeCounts {
    values: AtomicU64,
    errors: AtomicU64,
    exits: AtomicU64,
    throws: AtomicU64,
    ended: AtomicU64,
}

impl OutcomeCounts {
    #[inline]
    pub(crate) fn note(&self, outcome: &Outcome) {
        let count = match outcome {
            Ok(_) => &self.values,
            Err(Exception { class: Class::Error, .. }) => &self.errors,
            Err(Exception { class: Class::Exit, .. }) => &self.exits,
            Err(Exception { class: Class::Throw, .. }) => &self.throws,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The call has ended without an outcome.
    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures of a function with this name.
    pub(crate) fn figures(&self, module: Atom, function: Option<Atom>, arity: Option<usize>) -> FunctionFigures {
        let value = |count: &AtomicU64| count.load(Ordering::Relaxed);
        FunctionFigures {
            module,
            function,
            arity,
            values: value(&self.values),
            errors: value(&self.errors),
            exits: value(&self.exits),
            throws: value(&self.throws),
            ended: value(&self.ended),
        }
    }
}

/// What connections have carried that are no longer up, by peer.
#[derive(Debug, Default)]
pub(crate) struct FormerPeers {
    peers: BTreeMap<Atom, PeerFigures>,
    others: PeerFigures,
}

impl FormerPeers {
    pub(crate) fn add(&mut self, peer: &Atom, bytes: Transferred, counts: &ConnectionCounts) {
        of_peer(&mut self.peers, &mut self.others, peer).add(bytes, counts);
    }
}

/// The figures of a peer, or of the others.
fn of_peer<'a>(
    peers: &'a mut BTreeMap<Atom, PeerFigures>,
    others: &'a mut PeerFigures,
    peer: &Atom,
) -> &'a mut PeerFigures {
    if peers.len() >= PEERS && !peers.contains_key(peer) {
        return others;
    }
    peers.entry(peer.clone()).or_insert_with(|| PeerFigures { peer: Some(peer.clone()), ..PeerFigures::default() })
}

impl Kernel {
    /// The figures of each peer that is or was connected.
    pub(crate) fn peer_figures(&self) -> Vec<PeerFigures> {
        let _held = self.changing.lock();
        let mut former = self.former_peers.lock();
        let FormerPeers { peers, others } = &mut *former;
        let connections = self.connections.all();
        // A peer keeps the place that it has got, so that no figure decreases.
        for connection in &connections {
            of_peer(peers, others, connection.peer.as_atom());
        }
        let (mut now, mut rest) = (peers.clone(), others.clone());
        for connection in connections {
            let Connection { transferred, counts, outbox, .. } = &*connection;
            let figures = of_peer(&mut now, &mut rest, connection.peer.as_atom());
            figures.add(transferred.total(), counts);
            figures.queued_bytes += outbox.queued_bytes();
            figures.kept_bytes += connection.kept_bytes();
        }
        let others = (rest != PeerFigures::default()).then_some(rest);
        now.into_values().chain(others).collect()
    }
}
