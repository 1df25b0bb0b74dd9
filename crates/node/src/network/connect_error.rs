use std::io;
use std::sync::Arc;

use peerl_proto::handshake::HandshakeError;
use peerl_proto::node_name::NodeName;

/// Why there is no connection to a peer.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The node to connect to is this node.
    #[error("{0} is this node itself")]
    Myself(NodeName),
    /// This node has a long name and the peer a short one, or the other way round: OTP nodes refuse such a pair.
    #[error("{ours} and {peer} cannot connect: one has a long host name and the other a short one")]
    NameKind {
        /// This node.
        ours: NodeName,
        /// The peer.
        peer: NodeName,
    },
    /// The EPMD at the peer's host does not answer.
    #[error("cannot ask EPMD about {peer}")]
    Epmd {
        /// The peer.
        peer: NodeName,
        /// What went wrong.
        source: Arc<peerl_epmd::Error>,
    },
    /// The EPMD at the peer's host does not know the name.
    #[error("EPMD at {} knows no node {}", .0.host(), .0.name())]
    UnknownNode(NodeName),
    /// The peer's host cannot be found, or does not answer at the port.
    #[error("cannot connect to {peer} at port {port}")]
    Io {
        /// The peer.
        peer: NodeName,
        /// The port that it listens on.
        port: u16,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// The handshake failed.
    #[error("{peer} did not accept the connection")]
    Handshake {
        /// The peer.
        peer: NodeName,
        /// What went wrong.
        source: HandshakeError,
    },
    /// Other guests have all the names that a guest can have. Give the node a name of its own.
    #[error("other guests have all 256 names of guests at {0}")]
    NoGuestName(NodeName),
    /// The connection ended at once, or the node is shutting down.
    #[error("the connection ended before it was used")]
    Disconnected,
}
