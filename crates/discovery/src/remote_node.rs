//! A node somewhere else that is asked, by remote calls, whom it is connected with, and told to connect and to leave.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peerl_node::{Atom, CallError, Class, ConnectError, Mfa, Node, Term};
use peerl_proto::node_name::NodeName;
use tokio::time::timeout;

use crate::LeaveError;

/// A node that another one, a guest, talks to. It needs no code of its own for that: what is called is there on every
/// BEAM node, and on peerl's workers.
#[derive(Clone, Debug)]
pub struct RemoteNode {
    guest: Node,
    name: NodeName,
    timeout: Duration,
}

impl RemoteNode {
    /// How long an EPMD may take to answer.
    const LOOK_UP: Duration = Duration::from_secs(2);

    /// Makes one of the node that calls, and the name of the one that is called. A call may take 10 s.
    pub fn new(guest: Node, name: NodeName) -> Self {
        Self { guest, name, timeout: Duration::from_secs(10) }
    }

    /// Sets how long an answer may take. A BEAM node gives up a connection after 7 s (`net_setuptime`).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The node's name.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The node that calls.
    pub fn guest(&self) -> &Node {
        &self.guest
    }

    /// The nodes that it is connected with, hidden ones and the guest among them.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn connected(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("connected").await
    }

    /// The nodes that it shows in its `nodes()`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn visible(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("visible").await
    }

    /// The hidden nodes that it is connected with, the guest among them.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn hidden(&self) -> Result<BTreeSet<NodeName>, CallError> {
        self.nodes("hidden").await
    }

    /// The virtual machine that it runs on, `BEAM` for most, by `erlang:system_info/1`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn machine(&self) -> Result<String, CallError> {
        self.call("erlang", "system_info", vec![Term::atom("machine")]).await.map(text)
    }

    /// The release of OTP that it is, or whose protocol it speaks.
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

    /// Whether it connects by itself with the nodes that its peers know: `connect_all` of the application `kernel`.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn connects_all(&self) -> Result<bool, CallError> {
        let found: Term =
            self.call("application", "get_env", vec![Term::atom("kernel"), Term::atom("connect_all")]).await?;
        Ok(found.as_tuple().is_none_or(|found| found.last() != Some(&Term::from(false))))
    }

    /// Has it connect with a peer, by `net_kernel:connect_node/1`; fine if it is connected already. A peer whose name the
    /// EPMD of its host does not know, as the guest sees it, is not tried: some releases of OTP leak with each dial that
    /// fails.
    ///
    /// # Errors
    /// If it does not answer, or cannot connect: then it is asked what it knows of the peer.
    pub async fn connect(&self, peer: &NodeName) -> Result<(), RemoteError> {
        match self.look_up(peer).await {
            LookUp::Unregistered => self.refuse(peer, Obstacle::UnknownName { host: peer.host().to_owned() }).await,
            LookUp::Registered | LookUp::Silent => self.dial(peer).await,
        }
    }

    /// Has it take itself out of the mesh, by `global:disconnect/0`, which ends its own connections in such a way that no
    /// others are ended. Gives the nodes that it was connected with.
    ///
    /// # Errors
    /// If its release has no such function, or it does not answer.
    pub async fn leave(&self) -> Result<Vec<NodeName>, LeaveError> {
        match self.call::<Vec<Atom>>("global", "disconnect", Vec::new()).await {
            Ok(nodes) => Ok(nodes.iter().filter_map(|node| NodeName::new(node.as_str()).ok()).collect()),
            Err(CallError::Exception(error)) if error.class == Class::Error && error.reason.is_atom("undef") => {
                Err(LeaveError::Unsupported)
            }
            Err(error) => Err(LeaveError::Failed(error.into())),
        }
    }

    /// What the EPMD of a peer's host says of the peer, asked by the guest from its own host.
    pub(crate) async fn look_up(&self, peer: &NodeName) -> LookUp {
        match timeout(Self::LOOK_UP, self.guest.port_of(peer)).await {
            Ok(Ok(_)) => LookUp::Registered,
            Ok(Err(ConnectError::UnknownNode(_))) => LookUp::Unregistered,
            Ok(Err(_)) | Err(_) => LookUp::Silent,
        }
    }

    /// Has it connect with a peer, whatever EPMD says.
    pub(crate) async fn dial(&self, peer: &NodeName) -> Result<(), RemoteError> {
        let answer: Term = self.call("net_kernel", "connect_node", vec![peer.as_atom().clone().into()]).await?;
        if answer.is_atom("true") {
            return Ok(());
        }
        let obstacle = self.obstacle(peer).await;
        Err(self.cannot_connect(peer, obstacle))
    }

    /// Does not have it dial a peer; fine if it is connected already.
    pub(crate) async fn refuse(&self, peer: &NodeName, obstacle: Obstacle) -> Result<(), RemoteError> {
        match self.connected().await?.contains(peer) {
            true => Ok(()),
            false => Err(self.cannot_connect(peer, obstacle)),
        }
    }

    fn cannot_connect(&self, peer: &NodeName, obstacle: Obstacle) -> RemoteError {
        RemoteError::CannotConnect { node: self.name.clone(), peer: peer.clone(), obstacle }
    }

    async fn nodes(&self, which: &'static str) -> Result<BTreeSet<NodeName>, CallError> {
        let nodes: Vec<Atom> = self.call("erlang", "nodes", vec![Term::atom(which)]).await?;
        Ok(nodes.iter().filter_map(|node| NodeName::new(node.as_str()).ok()).collect())
    }

    /// Calls a function there. Not for others: what is done to a node is listed here, and harms nobody else.
    async fn call<T: serde::de::DeserializeOwned + 'static>(
        &self,
        module: &'static str,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Result<T, CallError> {
        let mfa = Mfa::with_terms(Atom::from_static(module), Atom::from_static(function), arguments);
        self.guest.call(&self.name, mfa).timeout(self.timeout).await
    }

    /// What the guest finds of a peer that this node has found, and cannot connect.
    async fn seen_by_guest(&self, peer: &NodeName, port: u16) -> Obstacle {
        match timeout(self.timeout, self.guest.probe(peer)).await {
            Ok(Ok(())) => Obstacle::OnlyFromThere { port },
            Ok(Err(error)) => Obstacle::Seen(Box::new(error)),
            Err(_) => Obstacle::NoHandshake { port },
        }
    }

    /// What it finds of a peer that it cannot connect.
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

/// What the EPMD of a peer's host says of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// It knows the name.
    Registered,
    /// It does not know the name.
    Unregistered,
    /// It does not answer.
    Silent,
}

fn text(term: Term) -> String {
    match term {
        Term::List(list) => list.to_text().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Why one node could not be made to connect with another.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The node that should connect does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It has tried, without success.
    #[error("{node} cannot connect {peer}: {obstacle}")]
    CannotConnect {
        /// The node that tried.
        node: NodeName,
        /// The node that it was to connect with.
        peer: NodeName,
        /// What stood in the way, as the node that tried sees it.
        obstacle: Obstacle,
    },
}

/// What stands in the way of a connection, as the node sees it that wants it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// One has a long name, the other a short one.
    NameKind,
    /// The peer's host has no address there.
    UnknownHost {
        /// The host.
        host: String,
    },
    /// No EPMD answers it at the peer's host.
    NoEpmd {
        /// The host.
        host: String,
    },
    /// The EPMD at the peer's host does not know the peer.
    UnknownName {
        /// The host.
        host: String,
    },
    /// It finds the peer, and no connection comes up; the guest has tried the same, and this is why it could not.
    Seen(Box<ConnectError>),
    /// It finds the peer, and no connection comes up; the guest, from its own host, could connect.
    OnlyFromThere {
        /// The port at which it finds the peer.
        port: u16,
    },
    /// It finds the peer, and neither its own connection nor that of the guest comes up in time.
    NoHandshake {
        /// The port at which it finds the peer.
        port: u16,
    },
    /// It does not say.
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
