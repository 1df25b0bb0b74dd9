use std::any::Any;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use peerl_proto::budget::Budget;
use peerl_proto::cookie::Cookie;
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid};
use tokio::sync::broadcast;

use crate::inner::Inner;
use crate::kernel::event::{ConnectionId, NodeDownReason, NodeEvent, Visibility};
#[cfg(feature = "metrics")]
use crate::kernel::figures::{FunctionFigures, PeerFigures};
use crate::kernel::limits::Limits;
use crate::kernel::process::{Message, ProcessInfo, ProcessSummary};
use crate::kernel::transferred::Transferred;
use crate::network::connect_error::ConnectError;
use crate::network::dial;
use crate::network::epmd::Registered;
use crate::running_service::RunningService;

/// A running node of an Erlang cluster.
///
/// Clones are handles to the same node. When the last one is dropped the node stops, as after
/// [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

/// Which nodes [`Node::nodes`] gives, as `erlang:nodes/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nodes {
    /// Those that are connected and visible: `nodes()`.
    Visible,
    /// Those that are connected and hidden.
    Hidden,
    /// All that are connected.
    Connected,
    /// This node.
    This,
}

/// A handle that does not keep the node running: what an exported function holds of the node that exports it.
#[derive(Clone)]
pub struct WeakNode(Weak<StopOnDrop>);

impl fmt::Debug for WeakNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakNode")
    }
}

impl WeakNode {
    /// The node, if it still runs.
    pub fn upgrade(&self) -> Option<Node> {
        let stop = self.0.upgrade()?;
        Some(Node { inner: stop.0.clone(), _stop: stop })
    }
}

struct StopOnDrop(Arc<Inner>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Node").field(&self.inner.kernel.identity.name).finish()
    }
}

impl Node {
    pub(crate) fn new(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        Self { _stop: Arc::new(StopOnDrop(inner.clone())), inner }
    }

    /// A handle that does not keep the node running.
    pub fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self._stop))
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.inner.kernel.identity.name
    }

    /// The name by which a peer knows this node. Only a [guest](crate::NodeBuilder::guest) can have another one than its own, and only
    /// at a peer with which it is connected.
    pub fn name_at(&self, peer: &NodeName) -> NodeName {
        let connection = self.inner.kernel.connections.get(peer.as_atom());
        connection.map_or_else(|| self.name().clone(), |connection| connection.own_name.clone())
    }

    /// The port that the node listens on; 0 if it is a [guest](crate::NodeBuilder::guest), which listens nowhere.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Which incarnation of the name this node is.
    pub fn creation(&self) -> u32 {
        self.inner.kernel.identity.creation
    }

    /// Whether the node shows in the `nodes()` of its peers.
    pub fn visibility(&self) -> Visibility {
        self.inner.visibility
    }

    /// The address of the EPMD that the node runs itself, if it does.
    pub fn embedded_epmd(&self) -> Option<std::net::SocketAddr> {
        self.inner.network.epmd.embedded_address()
    }

    /// Asks EPMD whether it knows this node: whether others can find it now.
    ///
    /// # Errors
    /// If EPMD does not answer.
    pub async fn registered_at_epmd(&self) -> Result<Registered, peerl_epmd::Error> {
        self.inner.network.epmd.registered().await
    }

    /// Whether a pid is one of this node, in this incarnation.
    pub fn is_local(&self, pid: &Pid) -> bool {
        self.inner.kernel.identity.is_local(pid)
    }

    /// The process that gets what functions print that this node calls. Until one is [set](Self::set_group_leader), it is none
    /// that exists.
    pub fn group_leader(&self) -> &Pid {
        self.inner.kernel.group_leader()
    }

    /// Sets the group leader. Only the first one counts, since peers may keep it.
    pub fn set_group_leader(&self, pid: &Pid) {
        self.inner.kernel.set_group_leader(pid.clone());
    }

    /// The connected peers at which this node has called functions that may have spawned processes: these have
    /// [its group leader](Self::group_leader).
    pub fn group_leader_lent_to(&self) -> Vec<NodeName> {
        let connections = self.inner.kernel.connections.all().into_iter();
        let lent = connections.filter(|connection| connection.lends_group_leader.load(Ordering::Relaxed));
        lent.map(|connection| connection.peer.clone()).collect()
    }

    /// How long the node has been running.
    pub fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// The bytes that all connections have carried since the node started, those included that are no longer up. Handshakes do not
    /// count.
    pub fn transferred(&self) -> Transferred {
        self.inner.kernel.transferred()
    }

    /// What the connections with each peer have carried since the node started, those included that are no longer up.
    #[cfg(feature = "metrics")]
    pub fn peer_figures(&self) -> Vec<PeerFigures> {
        self.inner.kernel.peer_figures()
    }

    /// How the calls of each exported function have ended.
    #[cfg(feature = "metrics")]
    pub fn function_figures(&self) -> Vec<FunctionFigures> {
        self.inner.kernel.exports.figures()
    }

    /// The number of messages that wait in all mailboxes, and about how many bytes they have. With thousands of processes these are
    /// counted once a second.
    pub fn mailbox_totals(&self) -> (usize, usize) {
        self.inner.kernel.processes.mailbox_totals()
    }

    /// The number of processes, those included that serve calls of peers.
    pub fn process_count(&self) -> usize {
        self.inner.kernel.processes.len()
    }

    /// The names that processes of this node have registered.
    pub fn registered(&self) -> Vec<Atom> {
        self.inner.kernel.processes.registered()
    }

    /// The pids of the node's processes. A call of a peer whose value is there at once has no process.
    pub fn processes(&self) -> Vec<Pid> {
        self.inner.kernel.processes.all().iter().map(|process| process.pid.clone()).collect()
    }

    /// What a table of processes shows of one, if it is one of this node and lives.
    pub fn process_summary(&self, pid: &Pid) -> Option<ProcessSummary> {
        self.inner.kernel.process(pid)?.summary()
    }

    /// What is known of a process, if it is one of this node and lives.
    pub fn process_info(&self, pid: &Pid) -> Option<ProcessInfo> {
        self.inner.kernel.process(pid)?.info(&self.inner.kernel)
    }

    /// The messages that a process of this node has not received yet, if they have no more bytes than this.
    pub fn waiting_messages(&self, pid: &Pid, bytes: usize) -> Option<Vec<Message>> {
        self.inner.kernel.process(pid)?.waiting(bytes)
    }

    /// The number of calls of peers that are under way.
    pub fn calls_served(&self) -> usize {
        self.inner.kernel.served.active()
    }

    /// The number of calls of peers that have been taken since the node started, those under way among them.
    pub fn calls_taken(&self) -> u64 {
        self.inner.kernel.served.taken()
    }

    /// The bytes that the node keeps for its peers: what they have sent or is to be sent to them, and their monitors and links. It
    /// keeps at most [`Limits::memory`](crate::Limits::memory).
    pub fn kept_bytes(&self) -> usize {
        self.inner.kernel.kept_bytes()
    }

    /// What the node accepts from its peers.
    pub fn limits(&self) -> &Limits {
        &self.inner.kernel.limits
    }

    /// The memory that the node has for its peers. A service that keeps what peers send takes shares of it.
    pub fn memory(&self) -> &Arc<Budget> {
        &self.inner.kernel.memory
    }

    /// The cookie of the cluster, as `erlang:get_cookie/0`.
    pub fn cookie(&self) -> &Cookie {
        &self.inner.network.cookie
    }

    /// Uses another cookie than the node's own for one peer, as `erlang:set_cookie/2` does.
    pub fn set_cookie(&self, peer: NodeName, cookie: Cookie) {
        self.inner.network.cookies.write().insert(peer, cookie);
    }

    /// How long a peer may be silent before its connection is given up.
    pub fn net_ticktime(&self) -> Duration {
        self.inner.network.net_ticktime
    }

    /// Finds out why a peer cannot be connected, by a handshake after which the connection is closed. Fine if the peer is
    /// connected already, or could be.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn probe(&self, peer: &NodeName) -> Result<(), ConnectError> {
        if self.inner.kernel.connections.get(peer.as_atom()).is_some() {
            return Ok(());
        }
        dial::probe(&self.inner.network, peer).await
    }

    /// Connects to a peer, unless it is connected already.
    ///
    /// # Errors
    /// If the peer cannot be found or reached, or the handshake fails.
    pub async fn connect(&self, peer: &NodeName) -> Result<(), ConnectError> {
        self.inner.network.connect(peer).await.map(drop)
    }

    /// Connects to a peer as [`connect`](Self::connect) does, because another peer asks for it. That one may name any host: only some
    /// look-ups of such names go on at a time, and its look-ups wait for each other.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_for(&self, asker: &NodeName, peer: &NodeName) -> Result<(), ConnectError> {
        self.inner.network.connect_for(asker, peer).await
    }

    /// Begins to connect to a peer, unless it is connected already, and does not wait: processes that
    /// [monitor nodes](crate::Process::monitor_nodes) learn that the peer is up. [`connect`](Self::connect) waits, and tells why
    /// the peer cannot be connected.
    ///
    /// # Errors
    /// If this node may not connect to a peer of this name.
    pub fn begin_connect(&self, peer: &NodeName) -> Result<(), ConnectError> {
        self.inner.network.begin_connect(peer).map(drop)
    }

    /// The connection to a peer, if it is up. It is another one after the peer has been down.
    pub fn connection(&self, peer: &NodeName) -> Option<ConnectionId> {
        self.inner.kernel.connections.get(peer.as_atom()).map(|connection| connection.id())
    }

    /// Asks the EPMD of a peer's host at which port the peer listens; without EPMD, it is the port of all peers.
    ///
    /// # Errors
    /// If EPMD does not answer, or knows no such node.
    pub async fn port_of(&self, peer: &NodeName) -> Result<u16, ConnectError> {
        self.inner.network.epmd.port_of(peer).await
    }

    /// Ends the connection to a peer. Returns whether there was one. The peer may connect again.
    pub fn disconnect(&self, peer: &NodeName) -> bool {
        let connection = self.inner.kernel.connections.get(peer.as_atom());
        if let Some(connection) = &connection {
            self.inner.network.bring_down(connection, NodeDownReason::Disconnect);
        }
        connection.is_some()
    }

    /// The names of the connected nodes, sorted.
    pub fn nodes(&self, which: Nodes) -> Vec<NodeName> {
        if which == Nodes::This {
            return vec![self.name().clone()];
        }
        let mut nodes: Vec<NodeName> = self
            .inner
            .kernel
            .connections
            .all()
            .into_iter()
            .filter(|connection| match which {
                Nodes::Visible => connection.visibility() == Visibility::Visible,
                Nodes::Hidden => connection.visibility() == Visibility::Hidden,
                _ => true,
            })
            .map(|connection| connection.peer.clone())
            .collect();
        nodes.sort();
        nodes
    }

    /// The [service](crate::Service) of this type, if the node runs one.
    pub fn service<S: RunningService>(&self) -> Option<&S> {
        self.inner.running().find_map(|service| (service as &dyn Any).downcast_ref())
    }

    /// What becomes of connections from now on. A receiver that lags behind more than 1,024 events misses some.
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.inner.kernel.events.subscribe()
    }
}
