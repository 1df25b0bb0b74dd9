//! A node somewhere else that is asked, by remote calls, whom it is connected with, and told to connect.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peerl_node::{Atom, CallError, Mfa, Node, Term};
use peerl_proto::node_name::NodeName;

/// A node that another one, a guest, talks to. It needs no code of its own for that: what is called is there on every
/// BEAM node, and on peerl's workers.
#[derive(Clone, Debug)]
pub struct RemoteNode {
    guest: Node,
    name: NodeName,
    timeout: Duration,
}

impl RemoteNode {
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
        let nodes: Vec<Atom> = self.call("erlang", "nodes", vec![Term::atom("connected")]).await?;
        Ok(nodes.iter().filter_map(|node| NodeName::new(node.as_str()).ok()).collect())
    }

    /// Has it connect with a peer, by `net_kernel:connect_node/1`; fine if it is connected already.
    ///
    /// # Errors
    /// If it does not answer, or cannot connect: then it is asked what it knows of the peer.
    pub async fn connect(&self, peer: &NodeName) -> Result<(), RemoteError> {
        let answer: Term = self.call("net_kernel", "connect_node", vec![peer.as_atom().clone().into()]).await?;
        if answer.is_atom("true") {
            return Ok(());
        }
        let obstacle = self.obstacle(peer).await;
        Err(RemoteError::CannotConnect { node: self.name.clone(), peer: peer.clone(), obstacle })
    }

    /// Has it end its connection with a peer, by `erlang:disconnect_node/1`; fine if there is none.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn disconnect(&self, peer: &NodeName) -> Result<(), CallError> {
        self.call::<Term>("erlang", "disconnect_node", vec![peer.as_atom().clone().into()]).await.map(drop)
    }

    /// Calls a function there.
    ///
    /// # Errors
    /// If it does not answer in time, or the function fails.
    pub async fn call<T: serde::de::DeserializeOwned + 'static>(
        &self,
        module: &'static str,
        function: &'static str,
        arguments: Vec<Term>,
    ) -> Result<T, CallError> {
        let mfa = Mfa::with_terms(Atom::from_static(module), Atom::from_static(function), arguments);
        self.guest.call(&self.name, mfa).timeout(self.timeout).await
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
                port.map_or(Obstacle::UnknownName { host }, |port| Obstacle::NoHandshake { port })
            }
            Some([_, reason]) if reason.is_atom("address") => Obstacle::NoEpmd { host },
            Some([_, reason]) if reason.is_atom("nxdomain") => Obstacle::UnknownHost { host },
            _ => Obstacle::Unknown,
        }
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// It finds the peer, but no connection comes up.
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
            Self::NoHandshake { port } => {
                write!(
                    f,
                    "it finds it at port {port}, but no connection comes up: another cookie, a firewall, or it hangs"
                )
            }
            Self::Unknown => f.write_str("it does not say why; its log may"),
        }
    }
}
