//! Lists and changes the connections of another node, by remote calls.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peerl_node::{Atom, CallError, Class, ConnectError, Mfa, Node, Term};
use peerl_proto::node_name::NodeName;
use tokio::time::timeout;

use crate::LeaveError;

/// A node that a guest controls. It needs no code of its own: the called functions exist on every BEAM node and on
/// peerl's workers.
#[derive(Clone, Debug)]
pub struct RemoteNode {
    guest: Node,
    name: NodeName,
    timeout: Duration,
}

impl RemoteNode {
    /// The time-out of an EPMD query.
    const LOOK_UP: Duration = Duration::from_secs(2);

    /// Makes one of the calling node and the called node's name. The time-out of calls is 10 s.
    pub fn new(guest: Node, name: NodeName) -> Self {
        Self { guest, name, timeout: Duration::from_secs(10) }
    }

    /// Sets the time-out of calls. A BEAM node gives up a connection attempt after 7 s (`net_setuptime`).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The calling node.
    pub fn guest(&self) -> &Node {
        &self.guest
    }

    /// Its connected nodes, including hidden ones and the guest.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn connected(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("connected").await
    }

    /// The nodes in its `nodes()`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn visible(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("visible").await
    }

    /// Its connected hidden nodes, including the guest.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn hidden(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("hidden").await
    }

    /// Its virtual machine, usually `BEAM`, by `erlang:system_info/1`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn machine(&self) -> Result<String, CallError> {
        self.call("erlang", "system_info", vec![Term::atom("machine")]).await.map(text)
    }

    /// Its OTP release, or the release whose protocol it speaks.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn release(&self) -> Result<String, CallError> {
        self.call("erlang", "system_info", vec![Term::atom("otp_release")]).await.map(text)
    }

    /// Whether it was started as a hidden node, by `init:get_argument/1`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn is_hidden(&self) -> Result<bool, CallError> {
        let found: Term = self.call("init", "get_argument", vec![Term::atom("hidden")]).await?;
        Ok(found.as_tuple().is_some())
    }

    /// Whether it connects by itself to the nodes that its peers know: `connect_all` of the application `kernel`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn connects_all(&self) -> Result<bool, CallError> {
        let found: Term =
            self.call("application", "get_env", vec![Term::atom("kernel"), Term::atom("connect_all")]).await?;
        Ok(found.as_tuple().is_none_or(|found| found.last() != Some(&Term::from(false))))
    }

    /// Connects it to a peer, by `net_kernel:connect_node/1`; succeeds if it is connected already. A peer whose name
    /// the EPMD of its host does not have, as seen by the guest, is not dialled: some OTP releases leak memory with
    /// each failed dial.
    ///
    /// # Errors
    /// If it does not answer, or cannot connect; the error then has the reason that it sees.
    pub async fn connect(&self, peer: &NodeName) -> Result<(), RemoteError> {
        match self.look_up(peer).await {
            LookUp::Unregistered => self.refuse(peer, Obstacle::UnknownName { host: peer.host().to_owned() }).await,
            LookUp::Registered | LookUp::Silent => self.dial(peer).await,
        }
    }

    /// Makes it leave the mesh, by `global:disconnect/0`, which ends its own connections without causing others to
    /// end. Returns the nodes that it was connected to.
    ///
    /// # Errors
    /// If its release lacks the function, or it does not answer.
    pub async fn leave(&self) -> Result<Vec<NodeName>, LeaveError> {
        match self.call::<Vec<Atom>>("global", "disconnect", Vec::new()).await {
            Ok(nodes) => Ok(nodes.iter().filter_map(|node| NodeName::new(node.as_str()).ok()).collect()),
            Err(CallError::Exception(error)) if error.class == Class::Error && error.reason.is_atom("undef") => {
                Err(LeaveError::Unsupported)
            }
            Err(error) => Err(LeaveError::Failed(error.into())),
        }
    }

    /// What the EPMD of a peer's host reports about the peer, queried by the guest from its own host.
    pub(crate) async fn look_up(&self, peer: &NodeName) -> LookUp {
        match timeout(Self::LOOK_UP, self.guest.port_of(peer)).await {
            Ok(Ok(_)) => LookUp::Registered,
            Ok(Err(ConnectError::UnknownNode(_))) => LookUp::Unregistered,
            Ok(Err(_)) | Err(_) => LookUp::Silent,
        }
    }

    /// Connects it to a peer, without a query to EPMD.
    pub(crate) async fn dial(&self, peer: &NodeName) -> Result<(), RemoteError> {
        let answer: Term = self.call("net_kernel", "connect_node", vec![peer.as_atom().clone().into()]).await?;
        if answer.is_atom("true") {
            return Ok(());
        }
        let obstacle = self.obstacle(peer).await;
        Err(self.cannot_connect(peer, obstacle))
    }

    /// Reports the obstacle instead of dialling a peer; succeeds if it is connected already.
    pub(crate) async fn refuse(&self, peer: &NodeName, obstacle: Obstacle) -> Result<(), RemoteError> {
        match self.connected().await?.contains(peer) {
            true => Ok(()),
            false => Err(self.cannot_connect(peer, obstacle)),
        }
    }

    fn cannot_connect(&self, peer: &NodeName, obstacle: Obstacle) -> RemoteError {
        RemoteError::CannotConnect { node: self.name.clone(), peer: peer.clone(), obstacle }
    }

    /// The most nodes that are kept of such an answer: a hostile node may make up any number.
    const MOST_NODES: usize = 1 << 14;

    async fn nodes(&self, which: &'static str) -> Result<BTreeSet<NodeName>, CallError> {
        let nodes: Vec<Atom> = self.call("erlang", "nodes", vec![Term::atom(which)]).await?;
        Ok(nodes.iter().filter_map(|node| NodeName::new(node.as_str()).ok()).take(Self::MOST_NODES).collect())
    }

    /// Calls a function. Private, so that this file lists every operation on the node; none harms other nodes.
    async fn call<T: serde::de::DeserializeOwned + 'static>(
        &self,
        module: &'static str,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Result<T, CallError> {
        let mfa = Mfa::with_terms(Atom::from_static(module), Atom::from_static(function), arguments);
        self.guest.call(&self.name, mfa).timeout(self.timeout).await
    }

    /// The guest's own result for a peer that this node has found but cannot connect to.
    async fn seen_by_guest(&self, peer: &NodeName, port: u16) -> Obstacle {
        match timeout(self.timeout, self.guest.probe(peer)).await {
            Ok(Ok(())) => Obstacle::OnlyFromThere { port },
            Ok(Err(error)) => Obstacle::Seen(Box::new(error)),
            Err(_) => Obstacle::NoHandshake { port },
        }
    }

    /// The obstacle as this node sees it.
    async fn obstacle(&self, peer: &NodeName) -> Obstacle {
        if peer.is_long() != self.name.is_long() {
            return Obstacle::NameKind;
        }
        let host = peer.host().to_owned();
        let Ok(names) = self.call::<Term>("net_adm", "names", vec![Term::charlist(&host)]).await else {
            return Obstacle::Unknown;
        };
        match names.as_tuple() {
            Some([kind, names]) if kind.is_atom("ok") => {
                let port = names.as_list().unwrap_or_default().iter().find_map(|entry| match entry.as_tuple() {
                    Some([Term::List(name), port]) if name.to_text().as_deref() == Some(peer.name()) => {
                        u16::try_from(port.as_integer()?).ok()
                    }
                    _ => None,
                });
                match port {
                    Some(port) => self.seen_by_guest(peer, port).await,
                    None => Obstacle::UnknownName { host },
                }
            }
            Some([_, reason]) if reason.is_atom("address") => Obstacle::NoEpmd { host },
            Some([_, reason]) if reason.is_atom("nxdomain") => Obstacle::UnknownHost { host },
            _ => Obstacle::Unknown,
        }
    }
}

/// What the EPMD of a peer's host reports about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// The name is registered.
    Registered,
    /// The name is not registered.
    Unregistered,
    /// EPMD does not answer.
    Silent,
}

fn text(term: Term) -> String {
    match term {
        Term::List(list) => list.to_text().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Why a node cannot connect to a peer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The node does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The node tried and failed.
    #[error("{node} cannot connect {peer}: {obstacle}")]
    CannotConnect {
        /// The node that tried.
        node: NodeName,
        /// The peer.
        peer: NodeName,
        /// The obstacle, as the node sees it.
        obstacle: Obstacle,
    },
}

/// The obstacle to a connection, as the dialling node sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// One has a long name, the other a short one.
    NameKind,
    /// The dialling node finds no address of the peer's host.
    UnknownHost {
        /// The host.
        host: String,
    },
    /// No EPMD answers at the peer's host.
    NoEpmd {
        /// The host.
        host: String,
    },
    /// The EPMD at the peer's host does not have the peer's name.
    UnknownName {
        /// The host.
        host: String,
    },
    /// The node finds the peer, but no connection comes up; the guest's own attempt failed with this error.
    Seen(Box<ConnectError>),
    /// The node finds the peer, but no connection comes up; the guest's own attempt, from its host, succeeded.
    OnlyFromThere {
        /// The port of the peer.
        port: u16,
    },
    /// The node finds the peer, but neither its own nor the guest's connection comes up in time.
    NoHandshake {
        /// The port of the peer.
        port: u16,
    },
    /// The reason is unknown.
    Unknown,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameKind => f.write_str("one has a long host name, the other a short one"),
            Self::UnknownHost { host } => write!(f, "it finds no address of the host {host}"),
            Self::NoEpmd { host } => write!(f, "no EPMD answers it at {host}"),
            Self::UnknownName { host } => write!(f, "the EPMD at {host} knows no such node"),
            Self::Seen(error) => error.fmt(f),
            Self::OnlyFromThere { port } => write!(
                f,
                "it finds it at port {port}, but no connection comes up, while peerl's own does: a firewall lies between \
                 the two nodes, or one has a cookie of its own for the other"
            ),
            Self::NoHandshake { port } => {
                write!(f, "it finds it at port {port}, where nothing answers in time: a firewall, or it hangs")
            }
            Self::Unknown => f.write_str("it does not say why; its log may"),
        }
    }
}
