//! Events of a fleet.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peerl_node::NodeName;
use serde::{Serialize, Serializer};

use super::{Gap, NodeProfile, as_text, milliseconds};

/// An observation or action. Its text is a line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FleetEvent {
    /// A node answers, for the first time or again.
    Reached {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// Its kind and version.
        #[serde(flatten)]
        profile: NodeProfile,
    },
    /// A node cannot be reached, or does not answer.
    Unreachable {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The reason, with a hint.
        error: String,
    },
    /// Discovery no longer finds a node.
    Gone {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The fleet is partitioned.
    Partitioned {
        /// The partitions, largest first.
        #[serde(serialize_with = "parts_as_text")]
        partitions: Vec<BTreeSet<NodeName>>,
    },
    /// The fleet is not partitioned, but connections are missing.
    Incomplete {
        /// The missing connections.
        missing: Vec<Gap>,
    },
    /// All answering nodes are connected to all others.
    Whole {
        /// The number of nodes.
        nodes: usize,
        /// The number of nodes that do not answer.
        unreachable: usize,
    },
    /// A node was connected to another.
    Connected {
        /// The node that connected.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other node.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// Neither of two nodes can connect to the other.
    CannotConnect {
        /// One of them.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// The reason.
        error: String,
        /// The time until the next attempt.
        #[serde(rename = "retry_in_ms", serialize_with = "milliseconds")]
        retry_in: Duration,
    },
    /// A node would be connected to another, in a dry run.
    WouldConnect {
        /// The node that would connect.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other node.
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

impl fmt::Display for FleetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { node, profile } => {
                write!(f, "reached {node} ({}, OTP {}", profile.kind.as_str(), profile.release)?;
                f.write_str(if profile.hidden { ", hidden)" } else { ")" })
            }
            Self::Unreachable { node, error } => write!(f, "unreachable {node}: {error}"),
            Self::Gone { node } => write!(f, "gone {node}"),
            Self::Partitioned { partitions } => {
                let parts: Vec<String> = partitions.iter().map(words).collect();
                write!(f, "partitioned {}", parts.join(" | "))
            }
            Self::Incomplete { missing } => {
                let gaps: Vec<String> = missing.iter().map(|Gap { node, peer, .. }| format!("{node} {peer}")).collect();
                write!(f, "incomplete {}", gaps.join(", "))
            }
            Self::Whole { nodes, unreachable: 0 } => write!(f, "whole {nodes}"),
            Self::Whole { nodes, unreachable } => write!(f, "whole {nodes}, without {unreachable}"),
            Self::Connected { node, peer } => write!(f, "connected {node} {peer}"),
            Self::CannotConnect { node, peer, error, retry_in } => {
                let seconds = retry_in.as_secs_f64();
                write!(f, "cannot-connect {node} {peer}: {error}; again in {seconds:.1} s")
            }
            Self::WouldConnect { node, peer } => write!(f, "would-connect {node} {peer}"),
            Self::DiscoveryFailed { strategy, error } => write!(f, "discovery-failed {strategy}: {error}"),
        }
    }
}

/// Names, separated by spaces.
pub(super) fn words<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> String {
    names.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn parts_as_text<S: Serializer>(parts: &[BTreeSet<NodeName>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parts.iter().map(|part| part.iter().map(NodeName::as_str).collect::<Vec<_>>()))
}
