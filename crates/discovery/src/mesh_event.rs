//! What happens while the mesh is kept joined.

use std::sync::Arc;
use std::time::Duration;

use peerl_proto::node_name::NodeName;

use crate::{MeshError, Peers, StrategyError};

/// What the reconciler found or did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A strategy answered.
    Polled {
        /// The strategy's name.
        strategy: String,
        /// Its answer.
        peers: Peers,
    },
    /// A strategy failed; its last answer stays in force.
    PollFailed {
        /// The strategy's name.
        strategy: String,
        /// What it said.
        error: Arc<StrategyError>,
    },
    /// A strategy that had found peers now finds none; its last answer stays in force.
    PollEmpty {
        /// The strategy's name.
        strategy: String,
    },
    /// A connection to a listed peer is up.
    Connected {
        /// The peer.
        peer: NodeName,
    },
    /// An attempt to connect failed.
    ConnectFailed {
        /// The peer.
        peer: NodeName,
        /// What the node said.
        error: Arc<MeshError>,
        /// The time until the next attempt, if the peer is still listed then.
        retry_in: Duration,
    },
    /// A connection to a listed peer has gone.
    Lost {
        /// The peer.
        peer: NodeName,
        /// The time until the next attempt, if the peer is still listed then.
        retry_in: Duration,
    },
    /// A connected peer is no longer listed; it stays connected, at least for the time that the
    /// [`Removal`](crate::Removal) policy says.
    Unlisted {
        /// The peer.
        peer: NodeName,
    },
    /// A connected peer has been disconnected, because no strategy had listed it for the time that the
    /// [`Removal`](crate::Removal) policy says.
    Removed {
        /// The peer.
        peer: NodeName,
        /// For how long all strategies had answered without it.
        gone_for: Duration,
    },
    /// A peer is no longer listed and not connected, so that nothing more is tried.
    Forgotten {
        /// The peer.
        peer: NodeName,
    },
}
