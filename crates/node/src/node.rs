use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use parking_lot::{Mutex, RwLock};
use peerl_proto::channel::ChannelLimits;
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::Established;
use peerl_proto::handshake::arbitration::AttemptId;
use peerl_proto::node_name::NodeName;
use peerl_proto::tick::TickTimer;
use peerl_term::{Atom, Pid};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::connection::{self, Connection};
use crate::dial::{self, ConnectError};
use crate::epmd::{PortMapper, Registered};
use crate::event::{Level, LogEvent, LogOutput};
use crate::exports::Exports;
use crate::granted_names::{Grant, GrantError, GrantedNames};
use crate::guest::GuestNames;
use crate::identity::Identity;
use crate::peers::{Peers, Wish};
use crate::process::{Core, Message, NodeDown, NodeMonitors, NodeUp, ProcessTable};
use crate::rpc::Served;
use crate::system::{Output, Services};
use crate::{NodeDownReason, NodeEvent, Visibility, accept, system};

/// A running node of an Erlang cluster.
///
/// Clones are handles to the same node. When the last one is dropped the node stops, as after
/// [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
    _stop: Arc<StopOnDrop>,
}

/// What all tasks of a node share.
pub(crate) struct Inner {
    pub(crate) identity: Identity,
    /// The names that the node may have at its peers, if it is a guest.
    pub(crate) guest: Option<GuestNames>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    cookies: RwLock<HashMap<NodeName, Cookie>>,
    pub(crate) epmd: PortMapper,
    pub(crate) net_ticktime: Duration,
    pub(crate) limits: Limits,
    pub(crate) peers: Peers,
    pub(crate) granted_names: GrantedNames,
    pub(crate) processes: ProcessTable,
    pub(crate) exports: Exports,
    pub(crate) served: Served,
    pub(crate) draining: AtomicBool,
    /// The pid in whose name the node itself makes requests. It is no process: answers to it are matched by their
    /// reference.
    pub(crate) requester: Pid,
    events: broadcast::Sender<NodeEvent>,
    pub(crate) node_monitors: NodeMonitors,
    /// Held from when a connection can be found until its event is sent: nobody who finds it and ends it at once
    /// gets ahead of that.
    coming_up: Mutex<()>,
    /// The node listens no more; it drains, or has stopped.
    pub(crate) unlisted: CancellationToken,
    pub(crate) stopped: CancellationToken,
    pub(crate) started: Instant,
    pub(crate) services: OnceLock<Services>,
    output: Option<Output>,
    log_output: Option<LogOutput>,
}

/// What a node accepts from a peer. A peer knows the cookie, but may run amok.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of messages. One beyond these limits fails alone: its caller gets `system_limit`, an exit reason is replaced, anything
    /// else is dropped.
    pub channel: ChannelLimits,
    /// The most calls of peers that are served at a time; more are refused with `system_limit`.
    pub calls: usize,
    /// The most bytes that may wait to be written to a peer that asks and does not read the answers. One message alone
    /// may be larger, and so may the large answers of a peer that reads.
    pub queued: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channel: ChannelLimits::default(), calls: 1 << 18, queued: 256 << 20 }
    }
}

/// What a node is started with.
pub(crate) struct Settings {
    pub(crate) identity: Identity,
    pub(crate) guest: Option<GuestNames>,
    pub(crate) port: u16,
    pub(crate) visibility: Visibility,
    pub(crate) flags: DistributionFlags,
    pub(crate) cookie: Cookie,
    pub(crate) epmd: PortMapper,
    pub(crate) net_ticktime: Duration,
    pub(crate) limits: Limits,
    pub(crate) output: Option<Output>,
    pub(crate) log_output: Option<LogOutput>,
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
        f.debug_tuple("Node").field(&self.inner.identity.name).finish()
    }
}

impl Node {
    pub(crate) fn run(settings: Settings, listener: Option<TcpListener>) -> Self {
        let requester = settings.identity.next_pid();
        let inner = Arc::new(Inner {
            identity: settings.identity,
            guest: settings.guest,
            port: settings.port,
            visibility: settings.visibility,
            flags: settings.flags,
            cookie: settings.cookie,
            cookies: RwLock::default(),
            epmd: settings.epmd,
            net_ticktime: settings.net_ticktime,
            limits: settings.limits,
            peers: Peers::default(),
            granted_names: GrantedNames::default(),
            processes: ProcessTable::default(),
            exports: Exports::default(),
            served: Served::default(),
            draining: AtomicBool::new(false),
            requester,
            events: broadcast::channel(1024).0,
            node_monitors: NodeMonitors::default(),
            coming_up: Mutex::default(),
            unlisted: CancellationToken::new(),
            stopped: CancellationToken::new(),
            started: Instant::now(),
            services: OnceLock::new(),
            output: settings.output,
            log_output: settings.log_output,
        });
        let node = Self { _stop: Arc::new(StopOnDrop(inner.clone())), inner };
        let _ = node.inner.services.set(system::start(&node.inner));
        if let Some(listener) = listener {
            tokio::spawn(accept::listen(node.inner.clone(), listener));
        }
        node
    }

    /// A handle that does not keep the node running.
    pub fn downgrade(&self) -> WeakNode {
        WeakNode(Arc::downgrade(&self._stop))
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.inner.identity.name
    }

    /// The name by which a peer knows this node. Only a [guest](Self::guest) can have another one than its own, and only
    /// at a peer with which it is connected.
    pub fn name_at(&self, peer: &NodeName) -> NodeName {
        let connection = self.inner.peers.get(peer.as_atom());
        connection.map_or_else(|| self.name().clone(), |connection| connection.own_name.clone())
    }

    /// The port that the node listens on; 0 if it is a [guest](Self::guest), which listens nowhere.
    pub fn port(&self) -> u16 {
        self.inner.port
    }

    /// Which incarnation of the name this node is.
    pub fn creation(&self) -> u32 {
        self.inner.identity.creation
    }

    /// Whether the node shows in the `nodes()` of its peers.
    pub fn visibility(&self) -> Visibility {
        self.inner.visibility
    }

    /// The address of the EPMD that the node runs itself, if it does.
    pub fn embedded_epmd(&self) -> Option<std::net::SocketAddr> {
        self.inner.epmd.embedded_address()
    }

    /// Asks EPMD whether it knows this node: whether others can find it now.
    ///
    /// # Errors
    /// If EPMD does not answer.
    pub async fn registered_at_epmd(&self) -> Result<Registered, peerl_epmd::Error> {
        self.inner.epmd.registered().await
    }

    /// How long the node has been running.
    pub fn uptime(&self) -> Duration {
        self.inner.started.elapsed()
    }

    /// The number of processes, those included that serve calls of peers.
    pub fn process_count(&self) -> usize {
        self.inner.processes.len()
    }

    /// The names that processes of this node have registered.
    pub fn registered(&self) -> Vec<Atom> {
        self.inner.processes.registered()
    }

    /// The cookie of the cluster, as `erlang:get_cookie/0`.
    pub fn cookie(&self) -> &Cookie {
        &self.inner.cookie
    }

    /// Uses another cookie than the node's own for one peer, as `erlang:set_cookie/2` does.
    pub fn set_cookie(&self, peer: NodeName, cookie: Cookie) {
        self.inner.cookies.write().insert(peer, cookie);
    }

    /// How long a peer may be silent before its connection is given up.
    pub fn net_ticktime(&self) -> Duration {
        self.inner.net_ticktime
    }

    /// Finds out why a peer cannot be connected, by a handshake after which the connection is closed. Fine if the peer is
    /// connected already, or could be.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn probe(&self, peer: &NodeName) -> Result<(), ConnectError> {
        if self.inner.peers.get(peer.as_atom()).is_some() {
            return Ok(());
        }
        dial::probe(&self.inner, peer).await
    }

    /// Connects to a peer, unless it is connected already.
    ///
    /// # Errors
    /// If the peer cannot be found or reached, or the handshake fails.
    pub async fn connect(&self, peer: &NodeName) -> Result<(), ConnectError> {
        self.inner.connect(peer).await.map(drop)
    }

    /// Asks the EPMD of a peer's host at which port the peer listens; without EPMD, it is the port of all peers.
    ///
    /// # Errors
    /// If EPMD does not answer, or knows no such node.
    pub async fn port_of(&self, peer: &NodeName) -> Result<u16, ConnectError> {
        self.inner.epmd.port_of(peer).await
    }

    /// Ends the connection to a peer. Says whether there was one. The peer may connect again.
    pub fn disconnect(&self, peer: &NodeName) -> bool {
        let connection = self.inner.peers.get(peer.as_atom());
        if let Some(connection) = &connection {
            self.inner.bring_down(connection, NodeDownReason::Disconnect);
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
            .peers
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

    /// What becomes of connections from now on. A receiver that lags behind more than 1,024 events misses some.
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.inner.events.subscribe()
    }
}

/// The target of the lines of the log that tell which members come and go.
const MEMBERS: &str = "peerl::members";

impl Inner {
    /// The cookie for a peer.
    pub(crate) fn cookie_for(&self, peer: &NodeName) -> Cookie {
        self.cookies.read().get(peer).unwrap_or(&self.cookie).clone()
    }

    /// Gives a name to a peer that has none.
    pub(crate) fn grant_name(&self, host: &str) -> Result<Grant, GrantError> {
        loop {
            let grant = self.granted_names.grant(host)?;
            // A node that had the name may have come back by it.
            if self.peers.get(grant.name().as_atom()).is_none() {
                return Ok(grant);
            }
            grant.forget();
        }
    }

    /// The connection to a peer; a new one if there is none.
    pub(crate) async fn connect(self: &Arc<Self>, peer: &NodeName) -> Result<Arc<Connection>, ConnectError> {
        if let Some(connection) = self.peers.get(peer.as_atom()) {
            return Ok(connection);
        }
        dial::check_name(self, peer)?;
        if self.stopped.is_cancelled() {
            return Err(ConnectError::Disconnected);
        }
        let wish = self.peers.wish(peer, |attempt, cancelled| {
            let (node, peer) = (self.clone(), peer.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = cancelled.cancelled() => {}
                    () = dial::attempt(node, peer, attempt) => {}
                }
            });
        });
        match wish {
            Wish::Up(connection) => Ok(connection),
            Wish::Wait(waiter) => waiter.await.unwrap_or(Err(ConnectError::Disconnected)),
        }
    }

    /// Starts the tasks of a connection whose handshake has ended well, and shows it to everybody.
    pub(crate) fn bring_up(
        self: &Arc<Self>,
        attempt: AttemptId,
        stream: TcpStream,
        buffer: BytesMut,
        established: Established,
        own_name: NodeName,
        grant: Option<Grant>,
    ) {
        // A name that came through the handshake fits an atom.
        let Ok(atom) = Atom::new(established.peer.as_str()) else { return };
        let ticks = TickTimer::new(Instant::now(), self.net_ticktime, TickTimer::DEFAULT_INTENSITY);
        let mut connection =
            Connection::new(attempt, atom, &established, own_name, &self.identity, ticks, &self.limits);
        connection.grant = grant;
        let connection = Arc::new(connection);
        match connection.visibility() {
            Visibility::Visible => tracing::info!(target: MEMBERS, peer = %connection.peer, "node up"),
            Visibility::Hidden => tracing::info!(peer = %connection.peer, visibility = ?Visibility::Hidden, "node up"),
        }
        // Whoever sees the event finds the node connected; what the node sends is read after it.
        {
            let _held = self.coming_up.lock();
            self.peers.publish(&connection);
            let (node, visibility) = (connection.peer.clone(), connection.visibility());
            self.node_monitors.tell(&Message::NodeUp(Box::new(NodeUp { node: node.clone(), visibility })));
            let _ = self.events.send(NodeEvent::NodeUp { node, visibility });
        }
        let (read_half, write_half) = stream.into_split();
        tokio::spawn(connection::write(self.clone(), connection.clone(), write_half));
        tokio::spawn(connection::read(self.clone(), connection.clone(), read_half, buffer));
        if self.stopped.is_cancelled() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
    }

    /// Ends a connection; only the first caller does anything. When this returns, all processes know that the node
    /// is gone, and nobody finds the connection any more.
    pub(crate) fn bring_down(&self, connection: &Arc<Connection>, reason: NodeDownReason) {
        if !connection.close() {
            return;
        }
        let reason = if connection.outbox.is_finishing() { NodeDownReason::Shutdown } else { reason };
        match reason.level(connection.visibility()) {
            Level::Warning => tracing::warn!(target: MEMBERS, peer = %connection.peer, %reason, "node down"),
            Level::Info => tracing::info!(peer = %connection.peer, %reason, "node down"),
        }
        connection.calls.close(&reason);
        connection.monitors.close();
        self.node_gone(&connection.peer);
        let _held = self.coming_up.lock();
        self.peers.down(connection);
        let node = connection.peer.clone();
        let down = NodeDown { node: node.clone(), reason: reason.clone() };
        self.node_monitors.tell(&Message::NodeDown(Box::new(down)));
        let _ = self.events.send(NodeEvent::NodeDown { node, reason });
    }

    /// Has a process told of nodes from now on; gives those that are connected already.
    pub(crate) fn monitor_nodes(&self, process: &Arc<Core>) -> Vec<NodeUp> {
        let _held = self.coming_up.lock();
        self.node_monitors.add(process);
        let connected = self.peers.all().into_iter();
        connected.map(|peer| NodeUp { node: peer.peer.clone(), visibility: peer.visibility() }).collect()
    }

    /// Does with printed text what the node was set up to do.
    pub(crate) fn print(&self, text: &str) {
        match &self.output {
            Some(output) => output(text),
            None => tracing::info!(target: "peerl::output", "{}", text.trim_end()),
        }
    }

    /// Does with a log event of a peer what the node was set up to do.
    pub(crate) fn log(&self, event: &LogEvent) {
        match &self.log_output {
            Some(output) => output(event),
            None => event.trace(),
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.unlisted.cancel();
        self.epmd.abandon();
        self.peers.abort_attempts();
        for connection in self.peers.all() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
        for process in self.processes.all() {
            self.end(&process, &crate::reason::atom("shutdown"));
        }
    }
}
