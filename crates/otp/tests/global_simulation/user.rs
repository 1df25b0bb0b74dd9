use std::time::Instant;

use peerl_otp::global::{Attempt, Backoff, LockId};
use peerl_term::Atom;

/// A process that sets a lock, holds it for a while, and removes it or ends.
pub(crate) struct User {
    pub(crate) process: u32,
    pub(crate) lock: LockId,
    pub(crate) backoff: Backoff,
    /// The nodes that have answered, and the connections by which they did; 0 for the own node.
    pub(crate) answers: Vec<(Atom, u64)>,
    pub(crate) phase: Phase,
}

pub(crate) enum Phase {
    Waiting(Instant),
    Asking(Attempt),
    /// Holds the lock at these nodes, by these connections.
    Holding {
        nodes: Vec<(Atom, u64)>,
        until: Instant,
    },
}

impl User {
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(until) | Phase::Holding { until, .. } => Some(until),
            Phase::Asking(_) => None,
        }
    }
}
