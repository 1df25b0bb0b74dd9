//! The limits of a server's connections.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// The limits of a server's connections. Layers of its router limit its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections. One client address can have half of them, unless the server is on the loopback address.
    /// For a further one, the connection that has waited longest for its client is closed; if none waits for its
    /// client, one whose answer is an event stream.
    pub connections: usize,
    /// The time for sending the head of a request, and between requests.
    pub head: Duration,
    /// The longest head of a request.
    pub head_bytes: usize,
    /// How long a client may stop reading an answer, or sending a body; no shorter than `head`.
    pub stall: Duration,
    /// The lifetime of a connection.
    pub lifetime: Lifetime,
    /// The memory for the bodies of requests and for whole answers, in bytes. A connection may have four times what it leaves for the
    /// others; a request that finds none is answered with 503.
    pub memory: usize,
}

/// The lifetime of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// After this time the connection takes no further request, and after twice this time it is closed: a client that
    /// reads byte by byte would keep it forever.
    Limited(Duration),
    /// As long as the client reads: for event streams.
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
            memory: 16 << 20,
        }
    }
}

impl Limits {
    /// The fewest connections.
    const FEWEST: usize = 8;

    /// The number of connections: a quarter of this process's file descriptors, so that peers can still be reached
    /// when all are in use.
    pub(super) fn connections(&self) -> usize {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let quarter = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
        self.connections.min(quarter).max(Self::FEWEST)
    }
}
