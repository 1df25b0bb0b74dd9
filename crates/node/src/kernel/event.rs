use std::io;

use peerl_proto::node_name::NodeName;

use super::violation::Violation;

/// Whether a node shows itself in the `nodes()` of its peers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// An ordinary member.
    #[default]
    Visible,
    /// As a node started by `erl -hidden`: it is in `nodes(hidden)`, and its peers do not announce it.
    Hidden,
}

/// The id of a connection, unique among all connections of the node while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// A change of a connection, as `net_kernel:monitor_nodes/1` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A node is connected.
    NodeUp {
        /// Its name.
        node: NodeName,
        /// Whether the connection shows in `nodes()`.
        visibility: Visibility,
    },
    /// A node is connected no longer.
    NodeDown {
        /// Its name.
        node: NodeName,
        /// Why.
        reason: NodeDownReason,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeDownReason {
    /// The peer closed the connection, or its host did.
    #[error("connection closed")]
    ConnectionClosed,
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(io::ErrorKind),
    /// The peer was silent for the net tick time.
    #[error("the peer was silent for the whole net tick time")]
    NetTickTimeout,
    /// This node closed the connection.
    #[error("disconnected")]
    Disconnect,
    /// The peer connected anew.
    #[error("replaced by a new connection of the same node")]
    Replaced,
    /// The peer broke the protocol.
    #[error("protocol violation: {0}")]
    Protocol(Violation),
    /// The peer does not read.
    #[error("the peer does not read: too much is queued for it")]
    Congested,
    /// This node is shutting down.
    #[error("this node is shutting down")]
    Shutdown,
}

/// The log level of the end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Shown by default.
    Warning,
    /// Shown with `-v`.
    Info,
}

impl NodeDownReason {
    /// The loss of a member of the mesh is a warning. The end of a guest's connection is not, nor are the ends of all
    /// connections when this node stops.
    pub(crate) fn level(&self, peer: Visibility) -> Level {
        match self {
            Self::Shutdown => Level::Info,
            Self::ConnectionClosed | Self::Io(_) if peer == Visibility::Hidden => Level::Info,
            _ => Level::Warning,
        }
    }
}
