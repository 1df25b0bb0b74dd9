//! How the node is found: through an EPMD that runs, one that it runs itself, or none.

mod embedded;

use std::net::SocketAddr;
use std::sync::Arc;

use embedded::Embedded;
use parking_lot::Mutex;
use peerl_epmd::{Client, Lease, NodeType, Registration};
use peerl_proto::node_name::NodeName;

use super::connect_error::ConnectError;

/// Which EPMD the node uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Epmd {
    /// The one that runs on this host; if none does, the node runs one itself. It does so too when the one that it
    /// is registered with has been gone for a second: that may have been another node's, which has ended.
    #[default]
    Auto,
    /// The one that runs on this host. It is an error if none does.
    External,
    /// One that the node runs itself. It is an error if another is in its place.
    Embedded,
    /// The one of each peer's host, to find the peer; this node itself is registered nowhere. For a node that others
    /// need not find.
    Unregistered,
    /// None. Every peer is expected to listen on this port, as `erl -erl_epmd_port` has it.
    None {
        /// The port of all peers.
        port: u16,
    },
}

/// What EPMD says of the node when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Registered {
    /// The node is there, with its port.
    Yes,
    /// It is not there, or another node is in its place.
    No,
    /// It need not be there: no EPMD is used, or others need not find this node.
    NotNeeded,
}

/// Why a node is not registered with EPMD.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    Name(#[from] peerl_proto::epmd::NameError),
    #[error(transparent)]
    Epmd(#[from] peerl_epmd::Error),
}

/// The node's relation to EPMD while it runs.
#[derive(Debug)]
pub(crate) enum PortMapper {
    /// All peers listen on this port.
    Fixed(u16),
    Epmd {
        client: Client,
        lease: Mutex<Option<Lease>>,
        embedded: Embedded,
    },
}

impl PortMapper {
    /// Finds or starts EPMD, and registers the node. Gives the node's creation, if EPMD has given one.
    pub(crate) async fn register(
        epmd: Epmd,
        client: Option<Client>,
        name: &NodeName,
        port: u16,
    ) -> Result<(Self, Option<u32>), RegisterError> {
        if let Epmd::None { port } = epmd {
            return Ok((Self::Fixed(port), None));
        }
        let client = match client {
            Some(client) => client,
            None => Client::from_env()?,
        };
        let embedded = Embedded::default();
        match epmd {
            Epmd::Unregistered => return Ok((Self::Epmd { client, lease: Mutex::new(None), embedded }, None)),
            Epmd::External | Epmd::None { .. } => {}
            Epmd::Embedded => embedded.start(&client).await?,
            Epmd::Auto => embedded.start_if_missing(&client).await?,
        }
        // BEAM nodes register as ordinary nodes even when they are hidden; so does this one.
        let alive = name.name().parse()?;
        let registration = Registration::new(alive, port).with_type(NodeType::NORMAL);
        let lease = client.register(registration).await?;
        let creation = lease.creation();
        if epmd == Epmd::Auto {
            tokio::spawn(embedded.clone().take_over(client.clone(), lease.states()));
        }
        Ok((Self::Epmd { client, lease: Mutex::new(Some(lease)), embedded }, Some(creation)))
    }

    /// Asks EPMD whether the node is there under its name.
    pub(crate) async fn registered(&self) -> Result<Registered, peerl_epmd::Error> {
        let Self::Epmd { client, lease, .. } = self else { return Ok(Registered::NotNeeded) };
        let Some(node) = lease.lock().as_ref().map(|lease| lease.node().clone()) else {
            return Ok(Registered::NotNeeded);
        };
        let found = client.lookup(node.name.as_str()).await?;
        Ok(if found.is_some_and(|found| found.port == node.port) { Registered::Yes } else { Registered::No })
    }

    /// The port on which a peer listens.
    pub(crate) async fn port_of(&self, peer: &NodeName) -> Result<u16, ConnectError> {
        let client = match self {
            Self::Fixed(port) => return Ok(*port),
            Self::Epmd { client, .. } => client,
        };
        match client.for_host(peer.host()).lookup(peer.name()).await {
            Ok(Some(found)) => Ok(found.port),
            Ok(None) => Err(ConnectError::UnknownNode(peer.clone())),
            Err(source) => Err(ConnectError::Epmd { peer: peer.clone(), source: Arc::new(source) }),
        }
    }

    /// Gives the name back. An EPMD that the node runs goes on: other nodes have their names there.
    pub(crate) async fn unregister(&self) {
        let Self::Epmd { lease, .. } = self else { return };
        let lease = lease.lock().take();
        if let Some(lease) = lease {
            lease.release().await;
        }
    }

    /// Stops the EPMD that the node runs, if it runs one.
    pub(crate) async fn release(&self) {
        if let Self::Epmd { embedded, .. } = self
            && let Some(server) = embedded.end()
        {
            server.shutdown().await;
        }
    }

    /// Gives the name back soon, and ends the EPMD that the node runs, without waiting.
    pub(crate) fn abandon(&self) {
        if let Self::Epmd { lease, embedded, .. } = self {
            drop(lease.lock().take());
            drop(embedded.end());
        }
    }

    /// The address of the EPMD that the node runs, if it runs one.
    pub(crate) fn embedded_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Fixed(_) => None,
            Self::Epmd { embedded, .. } => embedded.address(),
        }
    }
}
