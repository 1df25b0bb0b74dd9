//! What happens to an app and its peers.

use std::fmt;
use std::time::Duration;

use peerl_node::NodeName;
use serde::Serialize;

use crate::fleet::{as_text, milliseconds};

/// What the sidecar saw, or did. As text it is a line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SidecarEvent {
    /// The sidecar runs, whether or not the app does.
    Ready {
        /// The name of the sidecar's own, hidden node.
        #[serde(serialize_with = "as_text")]
        name: NodeName,
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app's node cannot be reached; it is waited for.
    Waiting {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// Why.
        error: String,
    },
    /// The app's node is up.
    Up {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app's node has gone.
    Down {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app is connected with a peer.
    Connected {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// The app cannot connect with a peer.
    CannotConnect {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// Why.
        error: String,
        /// When it will be tried again.
        #[serde(rename = "retry_in_ms", serialize_with = "milliseconds")]
        retry_in: Duration,
    },
    /// The app has lost a peer.
    Lost {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// A connected peer is not listed any more; it stays connected, at least for the time that the policy says.
    Unlisted {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// The app was disconnected from a peer that has not been listed for the time that the policy says.
    Removed {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// For how long.
        #[serde(rename = "gone_for_ms", serialize_with = "milliseconds")]
        gone_for: Duration,
    },
    /// A peer that is not connected is not listed any more, and no longer tried.
    Forgotten {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// Discovery failed; what it found before stays in force.
    DiscoveryFailed {
        /// The strategy.
        strategy: String,
        /// What it said.
        error: String,
    },
}

impl fmt::Display for SidecarEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready { name, node } => write!(f, "ready {name} for {node}"),
            Self::Waiting { node, error } => write!(f, "waiting {node}: {error}"),
            Self::Up { node } => write!(f, "up {node}"),
            Self::Down { node } => write!(f, "down {node}"),
            Self::Connected { peer } => write!(f, "connected {peer}"),
            Self::CannotConnect { peer, error, retry_in } => {
                write!(f, "cannot-connect {peer}: {error}; again in {:.1} s", retry_in.as_secs_f64())
            }
            Self::Lost { peer } => write!(f, "lost {peer}"),
            Self::Unlisted { peer } => write!(f, "unlisted {peer}"),
            Self::Removed { peer, gone_for } => {
                write!(f, "removed {peer}: not listed for {:.0} s", gone_for.as_secs_f64())
            }
            Self::Forgotten { peer } => write!(f, "forgotten {peer}"),
            Self::DiscoveryFailed { strategy, error } => write!(f, "discovery-failed {strategy}: {error}"),
        }
    }
}
