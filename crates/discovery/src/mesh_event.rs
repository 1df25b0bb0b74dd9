//! What happens while the mesh is kept joined.

use std::sync::Arc;
use std::time::Duration;

use peerl_proto::node_name::NodeName;

use crate::mesh::{LeaveError, MeshError};
use crate::{Novelty, Peers, StrategyError};

/// What the reconciler found or did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeshEvent {
    /// A strategy answered, and lists somebody.
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
        /// Whether it failed like this at the poll before.
        novelty: Novelty,
    },
    /// A strategy answered, and lists nobody; its last answer stays in force.
    PollEmpty {
        /// The strategy's name.
        strategy: String,
        /// What was asked, and where; empty if the strategy does not say.
        asked: String,
        /// How many nodes the answer in force has.
        kept: usize,
        /// Whether it was so at the poll before.
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
    /// A connected peer is no longer listed. It stays connected.
    Unlisted {
        /// The peer.
        peer: NodeName,
        /// For how long all strategies have answered without it.
        unlisted_for: Duration,
        /// The strategies.
        by: String,
        /// Whether one of them says that the peer is at its end: its machine stops, or drains.
        has_ended: bool,
    },
    /// A peer that was told to be unlisted is listed again.
    Relisted {
        /// The peer.
        peer: NodeName,
    },
    /// The node itself has left the mesh, because no strategy had listed it for the time that the
    /// [`Removal`](crate::Removal) policy says. It connects with nobody until it is listed again.
    Left {
        /// For how long all strategies had answered without it.
        unlisted_for: Duration,
        /// Whom it was connected with.
        disconnected: Vec<NodeName>,
    },
    /// The node itself should leave the mesh, and could not.
    CannotLeave {
        /// Why.
        error: Arc<LeaveError>,
    },
    /// The node itself, which has left the mesh, is listed again.
    Rejoining,
    /// A peer is no longer listed and not connected, so that it is no longer dialled.
    Forgotten {
        /// The peer.
        peer: NodeName,
    },
}
