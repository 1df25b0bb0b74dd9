//! What happens to a fleet.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use peerl_node::NodeName;
use serde::{Serialize, Serializer};

use super::{Gap, Nature, as_text, milliseconds};

/// What was found, or done. As text it is a line for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum FleetEvent {
    /// A node answers, for the first time or again.
    Reached {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// What it is.
        #[serde(flatten)]
        nature: Nature,
    },
    /// A node cannot be reached, or does not answer.
    Unreachable {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// Why, and what can be done about it.
        error: String,
    },
    /// A node is no longer among those that discovery finds.
    Gone {
        /// The node.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
    },
    /// The fleet falls into parts that know nothing of each other.
    Partitioned {
        /// The parts, largest first.
        #[serde(serialize_with = "parts_as_text")]
        partitions: Vec<BTreeSet<NodeName>>,
    },
    /// The fleet is in one part, but not all of its nodes are connected with all others.
    Incomplete {
        /// What is missing.
        missing: Vec<Gap>,
    },
    /// All nodes that answer are connected with all others.
    Whole {
        /// How many they are.
        nodes: usize,
        /// How many do not answer.
        unreachable: usize,
    },
    /// One node was made to connect with another.
    Connected {
        /// The node that connected.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
    },
    /// Neither of two nodes can connect the other.
    CannotConnect {
        /// One.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other.
        #[serde(serialize_with = "as_text")]
        peer: NodeName,
        /// Why.
        error: String,
        /// When it will be tried again.
        #[serde(rename = "retry_in_ms", serialize_with = "milliseconds")]
        retry_in: Duration,
    },
    /// One node would be made to connect with another, if this were not a dry run.
    WouldConnect {
        /// The node that would connect.
        #[serde(serialize_with = "as_text")]
        node: NodeName,
        /// The other.
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

impl fmt::Display for FleetEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reached { node, nature } => {
                write!(f, "reached {node} ({}, OTP {}", nature.kind.as_str(), nature.release)?;
                f.write_str(if nature.hidden { ", hidden)" } else { ")" })
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

/// Names with spaces between.
pub(super) fn words<'a>(names: impl IntoIterator<Item = &'a NodeName>) -> String {
    names.into_iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn parts_as_text<S: Serializer>(parts: &[BTreeSet<NodeName>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(parts.iter().map(|part| part.iter().map(NodeName::as_str).collect::<Vec<_>>()))
}
