//! What bounds a server's connections.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The bounds of a server's connections. What bounds its requests are layers of its router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at a time, of which one client address can have half, unless the server is on the loopback. For
    /// a new one beyond them, the one that has waited longest for its client is closed; if none waits for its client, one
    /// whose answer is a stream of events.
    pub connections: usize,
    /// How long a client may take to send the head of a request, or to send another one.
    pub head: Duration,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// How long a client may read nothing of an answer, or send nothing of a request's body; no shorter than `head`.
    pub stall: Duration,
    /// How long a connection lives.
    pub lifetime: Lifetime,
}

/// How long a connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// After this time a connection takes no more requests, and after as long again it is cut: a client that reads its
    /// answers byte by byte would never give it back.
    Limited(Duration),
    /// As long as its client reads: for answers that are streams of events.
    Unlimited,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            stall: Duration::from_secs(30),
            lifetime: Lifetime::Limited(Duration::from_secs(60)),
        }
    }
}

impl Limits {
    /// The fewest places for connections.
    const FEWEST: usize = 8;

    /// How many connections there can be: a quarter of the descriptors that this process may have, so that it can still
    /// reach its peers when all places are taken.
    pub(super) fn places(&self) -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let quarter = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
        self.connections.min(quarter).max(Self::FEWEST)
    }
}
