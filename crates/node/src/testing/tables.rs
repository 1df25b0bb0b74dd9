use crate::kernel::connection::Connection;
use crate::node::Node;

/// How many entries the tables of a node have: a test sees whether something has been left behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tables {
    /// Connections that are up.
    pub connections: usize,
    /// Peers that are connected, or to which a connection is under way.
    pub peers: usize,
    /// Processes, those of the node itself included.
    pub processes: usize,
    /// Registered names.
    pub names: usize,
    /// Aliases of processes.
    pub aliases: usize,
    /// Links of all processes, those included whose end has not been acknowledged.
    pub links: usize,
    /// Monitors that processes of this node have.
    pub monitors: usize,
    /// Monitors on processes of this node.
    pub monitored: usize,
    /// Monitors of peers on processes of this node, as the connections know them.
    pub monitored_by_peers: usize,
    /// Requests to peers that have not been answered.
    pub requests: usize,
    /// Calls of peers that are under way.
    pub calls_served: usize,
    /// Bytes of answers that wait for a peer to read.
    pub answer_bytes: usize,
    /// Bytes that are kept for peers, of [`Limits::memory`](crate::Limits::memory).
    pub kept_bytes: usize,
}

impl Tables {
    /// Counts them.
    pub fn of(node: &Node) -> Self {
        let kernel = &node.inner.kernel;
        let connections = kernel.connections.all();
        let sum = |of: fn(&Connection) -> usize| connections.iter().map(|connection| of(connection)).sum();
        let mut tables = Self {
            connections: connections.len(),
            peers: node.inner.network.attempts.len(),
            names: kernel.processes.registered().len(),
            aliases: kernel.processes.aliases(),
            monitored_by_peers: sum(|connection| connection.monitors.len()),
            requests: sum(|connection| connection.calls.len()),
            calls_served: kernel.served.active(),
            answer_bytes: sum(|connection| connection.answers.bytes()),
            kept_bytes: kernel.kept_bytes(),
            ..Self::default()
        };
        for process in kernel.processes.all() {
            let Some(state) = process.alive() else { continue };
            tables.processes += 1;
            tables.links += state.links.len();
            tables.monitors += state.watched.len();
            tables.monitored += state.watchers.len() + usize::from(state.spawner.is_some());
        }
        tables
    }
}
