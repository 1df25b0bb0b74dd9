//! Events of the reconciler.

use std::sync::Arc;
use std::time::Duration;

use peerl_proto::node_name::NodeName;

use crate::mesh::{LeaveError, MeshError};
use crate::{Novelty, Peers, StrategyError};

/// An observation or action of the reconciler.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A strategy has found nodes.
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
        /// The error.
        error: Arc<StrategyError>,
        /// Whether the previous poll failed in the same way.
        novelty: Novelty,
    },
    /// A strategy suddenly found no nodes; its last answer stays in force.
    PollEmpty {
        /// The strategy's name.
        strategy: String,
        /// The question and its destination; empty if the strategy does not tell.
        asked: String,
        /// The number of nodes in the answer in force.
        kept: usize,
        /// Whether the previous poll had the same result.
        novelty: Novelty,
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
        /// The error.
        error: Arc<MeshError>,
        /// The time until the next attempt, if the peer is still listed then.
        retry_in: Duration,
    },
    /// A connection to a listed peer is lost.
    Lost {
        /// The peer.
        peer: NodeName,
        /// The time until the next attempt, if the peer is still listed then.
        retry_in: Duration,
    },
    /// A connected peer is no longer listed. It stays connected.
    Unlisted {
        /// The peer.
        peer: NodeName,
        /// The time for which all strategies have answered without it.
        unlisted_for: Duration,
        /// The strategies.
        by: String,
        /// Whether a strategy reports the peer as ended: its machine stops or drains.
        has_ended: bool,
    },
    /// A peer that was reported as unlisted is listed again.
    Relisted {
        /// The peer.
        peer: NodeName,
    },
    /// The node has left the mesh, because no strategy had listed it for the time of the [`Removal`](crate::Removal)
    /// policy. It connects to no peer until it is listed again.
    Left {
        /// The time for which all strategies had answered without it.
        unlisted_for: Duration,
        /// The peers that it was connected to.
        disconnected: Vec<NodeName>,
    },
    /// The node should leave the mesh, but cannot.
    CannotLeave {
        /// The reason.
        error: Arc<LeaveError>,
    },
    /// The node itself, which has left the mesh, is listed again.
    Rejoining,
    /// A peer is neither listed nor connected any more. It is no longer dialled.
    Forgotten {
        /// The peer.
        peer: NodeName,
    },
}
