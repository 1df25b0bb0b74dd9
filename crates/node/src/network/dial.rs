//! Finding a peer's port and connecting to it.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use peerl_proto::error_chain::ErrorChain;
use peerl_proto::handshake::arbitration::{AttemptId, UpVerdict};
use peerl_proto::handshake::{Established, HandshakeError, SetupTimer};
use peerl_proto::node_name::NodeName;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::attempts::Requested;
use super::connect_error::ConnectError;
use super::handshake::{self, Initiated};
use super::state::Network;
use super::transport::Stream;
use crate::kernel::connection::Connection;

impl Network {
    /// The connection to a peer; a new one if there is none.
    pub(crate) async fn connect(self: &Arc<Self>, peer: &NodeName) -> Result<Arc<Connection>, ConnectError> {
        connected(self.begin_connect(peer)?).await
    }

    /// The same, if another peer asks for it: the look-ups of names take places of that one.
    pub(crate) async fn connect_for(self: &Arc<Self>, asker: &NodeName, peer: &NodeName) -> Result<(), ConnectError> {
        connected(self.request(peer, self.lookups.of(asker))?).await.map(drop)
    }

    /// Has a connection to a peer made, unless there is one.
    pub(crate) fn begin_connect(self: &Arc<Self>, peer: &NodeName) -> Result<Requested, ConnectError> {
        self.request(peer, Vec::new())
    }

    fn request(self: &Arc<Self>, peer: &NodeName, lookups: Vec<Arc<Semaphore>>) -> Result<Requested, ConnectError> {
        if let Some(connection) = self.kernel.connections.get(peer.as_atom()) {
            return Ok(Requested::Up(connection));
        }
        check_name(self, peer)?;
        if self.stopped.is_cancelled() {
            return Err(ConnectError::Disconnected);
        }
        Ok(self.attempts.request(&self.kernel.connections, peer, |attempt, cancelled| {
            let (node, peer) = (self.clone(), peer.clone());
            tokio::spawn(async move {
                tokio::select! {
                    biased;
                    () = cancelled.cancelled() => {}
                    () = peerl_epmd::in_places(lookups, self::attempt(node, peer, attempt)) => {}
                }
            });
        }))
    }
}

async fn connected(requested: Requested) -> Result<Arc<Connection>, ConnectError> {
    match requested {
        Requested::Up(connection) => Ok(connection),
        Requested::Pending(waiter) => waiter.await.unwrap_or(Err(ConnectError::Disconnected)),
    }
}

/// Tries to connect, and brings the connection up.
async fn attempt(node: Arc<Network>, peer: NodeName, attempt: AttemptId) {
    let error = match connect(&node, &peer, || node.attempts.replaces(&peer, attempt)).await {
        Ok(Some(connected)) => {
            let Connected { stream, buffer, established, name } = connected;
            match node.attempts.established(&peer, attempt) {
                // The requester has been dropped meanwhile.
                UpVerdict::Up if node.kernel.is_draining() && !node.attempts.is_awaited(&peer) => {
                    ConnectError::Disconnected
                }
                UpVerdict::Up => return node.bring_up(attempt, stream, buffer, established, name, None),
                UpVerdict::Replaces(_) | UpVerdict::Superseded => ConnectError::Disconnected,
            }
        }
        Ok(None) => {
            // The peer's own attempt wins, and should be here any moment.
            node.attempts.yielded(&peer, attempt);
            tokio::time::sleep(SetupTimer::DEFAULT_STEP).await;
            ConnectError::Disconnected
        }
        Err(error) => {
            tracing::debug!(%peer, error = %ErrorChain(&error), "cannot connect");
            error
        }
    };
    node.attempts.closed(&peer, attempt, Some(error));
}

struct Connected {
    stream: Stream,
    buffer: BytesMut,
    established: Established,
    /// The name by which the peer knows this node.
    name: NodeName,
}

/// Checks that this node may connect to a peer of this name.
fn check_name(node: &Network, peer: &NodeName) -> Result<(), ConnectError> {
    let ours = &node.kernel.identity.name;
    if peer == ours {
        return Err(ConnectError::Myself(peer.clone()));
    }
    if node.guest.is_none() && peer.is_long() != ours.is_long() {
        return Err(ConnectError::NameKind { ours: ours.clone(), peer: peer.clone() });
    }
    Ok(())
}

/// Tries to connect, and closes the connection at the end of the handshake.
pub(crate) async fn probe(node: &Network, peer: &NodeName) -> Result<(), ConnectError> {
    check_name(node, peer)?;
    match connect(node, peer, || false).await {
        // An older connection, or another attempt, is well: the peer takes this node.
        Ok(_) | Err(ConnectError::Disconnected) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Finds the peer and connects to it; `None` if the peer's own attempt wins.
async fn connect(
    node: &Network,
    peer: &NodeName,
    replaces: impl FnOnce() -> bool,
) -> Result<Option<Connected>, ConnectError> {
    let port = node.epmd.port_of(peer).await?;
    let Some(guest) = &node.guest else {
        return match dial(node, peer, port, node.kernel.identity.name.clone(), replaces).await? {
            Dialled::Up(connected) => Ok(Some(*connected)),
            Dialled::Yielded => Ok(None),
            Dialled::KeptOld => Err(ConnectError::Disconnected),
            Dialled::Closed(source) => Err(ConnectError::Handshake { peer: peer.clone(), source }),
        };
    };
    // OTP closes the connection of a guest without a word when another one of the same name comes while the handshake
    // goes on; but also, at the same place, that of a node with another cookie. Two guests of one name do not meet that
    // often again.
    let mut closed_so_often = 0;
    for name in guest.candidates(peer) {
        match dial(node, peer, port, name, || false).await? {
            Dialled::Up(connected) => {
                guest.was_free(peer, &connected.name);
                return Ok(Some(*connected));
            }
            // Another guest has the name, or has just gone and the peer still tries to reach it.
            Dialled::KeptOld | Dialled::Yielded => {}
            Dialled::Closed(_) if closed_so_often < MOST_CLOSED => closed_so_often += 1,
            Dialled::Closed(source) => return Err(ConnectError::Handshake { peer: peer.clone(), source }),
        }
    }
    Err(ConnectError::NoGuestName(peer.clone()))
}

/// How often a peer may close the connection of a guest, and the guest tries another name.
const MOST_CLOSED: u32 = 2;

/// How a handshake under one name ended.
enum Dialled {
    Up(Box<Connected>),
    /// The peer's own attempt wins.
    Yielded,
    /// The peer has an older connection with this name.
    KeptOld,
    /// The peer closed the connection.
    Closed(HandshakeError),
}

async fn dial(
    node: &Network,
    peer: &NodeName,
    port: u16,
    name: NodeName,
    replaces: impl FnOnce() -> bool,
) -> Result<Dialled, ConnectError> {
    let io = |source: io::Error| ConnectError::Io { peer: peer.clone(), port, source: Arc::new(source) };
    let mut stream = timeout(SetupTimer::DEFAULT_STEP, node.transport.dial(peer, port))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(io)?;
    let local = node.local_node(name.clone(), node.cookie_for(peer));
    let mut buffer = BytesMut::new();
    match handshake::initiate(&mut stream, &mut buffer, local, peer.clone(), &node.random, replaces).await {
        Ok(Initiated::Established(established)) => {
            Ok(Dialled::Up(Box::new(Connected { stream, buffer, established, name })))
        }
        Ok(Initiated::Yielded) => Ok(Dialled::Yielded),
        Ok(Initiated::KeptOld) => Ok(Dialled::KeptOld),
        Ok(Initiated::Closed(source)) => Ok(Dialled::Closed(source)),
        Err(handshake::Error::Io(source)) => Err(io(source)),
        Err(handshake::Error::Handshake(source)) => Err(ConnectError::Handshake { peer: peer.clone(), source }),
        // Only who accepts gives names.
        Err(handshake::Error::Grant(_)) => Err(ConnectError::Disconnected),
    }
}
