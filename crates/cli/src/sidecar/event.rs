//! Events of an app and its peers.

use std::fmt;
use std::time::Duration;

use peerl_node::NodeName;
use serde::{Serialize, Serializer};

use crate::fleet::{as_text, milliseconds};

/// An observation or action of the sidecar. Its text is a line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum SidecarEvent {
    /// The sidecar runs, whether or not the app does.
    Ready {
        /// The name of the sidecar's hidden node.
        #[serde(serialize_with = "as_text")]
        name: NodeName,
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app's node cannot be reached; the sidecar waits for it.
    Waiting {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The reason.
        error: String,
    },
    /// The app's node is up.
    Up {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app's node is gone.
    Down {
        /// The app's node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The app is connected to a peer.
    Connected {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// The app cannot connect to a peer.
    CannotConnect {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// The reason.
        error: String,
        /// The time until the next attempt.
        #[serde(rename = "retry_in_ms", serialize_with = "milliseconds")]
        retry_in: Duration,
    },
    /// The app has lost a connection.
    Lost {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// A connected peer is no longer listed. It stays connected.
    Unlisted {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// The time for which all strategies have answered without it.
        #[serde(rename = "unlisted_for_ms", serialize_with = "milliseconds")]
        unlisted_for: Duration,
        /// The strategies.
        by: String,
        /// Whether a strategy reports it as ended.
        has_ended: bool,
    },
    /// A peer that was reported as unlisted is listed again.
    Relisted {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// The app has left the mesh, because it was not listed for the time of the policy.
    Left {
        /// The time for which it was not listed.
        #[serde(rename = "unlisted_for_ms", serialize_with = "milliseconds")]
        unlisted_for: Duration,
        /// The peers that it was connected to.
        #[serde(serialize_with = "all_as_text")]
        disconnected: Vec<NodeName>,
    },
    /// The app should leave the mesh, but cannot.
    CannotLeave {
        /// The reason.
        error: String,
    },
    /// The app, which had left the mesh, is listed again and rejoins.
    Rejoining,
    /// A disconnected peer is no longer listed, and no longer dialled.
    Forgotten {
        /// The peer.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// Discovery failed; its last result stays in force.
    DiscoveryFailed {
        /// The strategy.
        strategy: String,
        /// The error.
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
            Self::Unlisted { peer, unlisted_for, by, has_ended } => {
                let why = if *has_ended { "said to be at its end" } else { "not listed any more" };
                let seconds = unlisted_for.as_secs_f64();
                write!(f, "unlisted {peer}: {why}, for {seconds:.0} s, by {by}; it is alive, and stays connected")
            }
            Self::Relisted { peer } => write!(f, "listed {peer}"),
            Self::Left { unlisted_for, disconnected } => {
                let seconds = unlisted_for.as_secs_f64();
                write!(f, "left {}: the app itself was not listed for {seconds:.0} s", words(disconnected))
            }
            Self::CannotLeave { error } => {
                write!(f, "cannot-leave: the app itself is not listed any more, but {error}; it stays connected")
            }
            Self::Rejoining => f.write_str("rejoining: the app itself is listed again"),
            Self::Forgotten { peer } => write!(f, "forgotten {peer}"),
            Self::DiscoveryFailed { strategy, error } => write!(f, "discovery-failed {strategy}: {error}"),
        }
    }
}

/// Names separated by spaces, or the word for none.
fn words(names: &[NodeName]) -> String {
    match names {
        [] => "nobody".to_owned(),
        names => names.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn all_as_text<S: Serializer>(nodes: &[NodeName], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(nodes.iter().map(NodeName::as_str))
}
