use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use peerl_proto::budget::Budget;
use peerl_term::{Atom, Pid};
use tokio::sync::broadcast;

use super::connection::{Connection, NodeSide};
use super::connections::Connections;
use super::event::NodeEvent;
use super::exports::Exports;
use super::figures::FormerPeers;
use super::identity::Identity;
use super::limits::Limits;
use super::process::{NodeMonitors, ProcessTable};
use super::reason;
use super::repeats::Repeats;
use super::serving::Served;
use super::transferred::Transferred;

/// How many bytes a peer's share borrows at a time.
const MEMORY_CHUNK: usize = 64 << 10;

/// The processes of a node, the functions that it exports, and the connections that are up.
pub(crate) struct Kernel {
    pub(crate) identity: Identity,
    pub(crate) limits: Limits,
    /// The bytes that are kept for peers.
    pub(crate) memory: Arc<Budget>,
    pub(crate) connections: Connections,
    pub(crate) processes: ProcessTable,
    pub(crate) exports: Exports,
    pub(crate) served: Served,
    draining: AtomicBool,
    /// The sender of the node's own requests. No process has this pid: answers are matched by their reference.
    pub(crate) requester: Pid,
    /// The process that receives the output of functions that this node calls.
    group_leader: OnceLock<Pid>,
    pub(crate) events: broadcast::Sender<NodeEvent>,
    pub(super) node_monitors: NodeMonitors,
    /// Held while a connection comes up or goes down: a receiver of an event finds the table in agreement with it.
    pub(super) changing: Mutex<()>,
    /// What the connections that are no longer up have carried. Changed while `changing` is held.
    pub(super) formerly_transferred: Mutex<Transferred>,
    pub(super) former_peers: Mutex<FormerPeers>,
    /// Messages for full mailboxes.
    pub(super) dropped_messages: Arc<Repeats>,
    /// Messages whose contents were dropped.
    pub(super) lost_messages: Arc<Repeats>,
}

impl Kernel {
    pub(crate) fn new(identity: Identity, limits: Limits) -> Self {
        let requester = identity.next_pid();
        let memory = Budget::with_factor(limits.memory, MEMORY_CHUNK, Limits::PEER_FACTOR);
        Self {
            identity,
            limits,
            connections: Connections::default(),
            processes: ProcessTable::default(),
            exports: Exports::default(),
            served: Served::new(limits.calls, &memory),
            memory,
            draining: AtomicBool::new(false),
            requester,
            group_leader: OnceLock::new(),
            events: broadcast::channel(1024).0,
            node_monitors: NodeMonitors::default(),
            changing: Mutex::default(),
            formerly_transferred: Mutex::default(),
            former_peers: Mutex::default(),
            dropped_messages: Arc::default(),
            lost_messages: Arc::default(),
        }
    }

    /// What a new connection has of this node.
    pub(crate) fn side(&self, peer: Atom) -> NodeSide<'_> {
        let memory = Arc::new(self.memory.share());
        let served = self.served.peer(peer, memory.clone());
        NodeSide { identity: &self.identity, limits: &self.limits, served, memory }
    }

    /// The bytes that are kept for peers, beside those of the connections themselves. Of a connection that has ended, what it keeps
    /// for later counts until nothing is kept for it.
    pub(crate) fn kept_bytes(&self) -> usize {
        let connections = self.connections.all();
        let others = |connection: &Arc<Connection>| {
            connection.memory.unused() + connection.memory.taken() - connection.kept_bytes()
        };
        let others: usize = connections.iter().map(others).sum();
        self.memory.lent().saturating_sub(others)
    }

    /// The process that receives the output of functions that this node calls.
    pub(crate) fn group_leader(&self) -> &Pid {
        self.group_leader.get().unwrap_or(&self.requester)
    }

    /// Sets the group leader. Only the first one counts.
    pub(crate) fn set_group_leader(&self, pid: Pid) {
        let _ = self.group_leader.set(pid);
    }

    /// From now on no call of a peer is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Ends all processes.
    pub(crate) fn stop(&self) {
        for process in self.processes.all() {
            self.end(&process, &reason::atom("shutdown"));
        }
    }
}
