//! The fleet: the nodes that discovery finds, inspected from outside and connected to a mesh.
//!
//! ```text
//!   profile ──▶ connectivity ──▶ healer ──▶ event     repeated inspections, and what follows
//!   what a node reports          │
//!                                └──▶ report          the matrix, once
//! ```

mod connectivity;
pub use connectivity::{Connectivity, Gap};
mod event;
pub use event::FleetEvent;
mod healer;
pub(crate) use healer::Member;
pub use healer::{Healer, HealerMode, HealerOptions};
mod report;
pub use report::Report;
mod profile;
pub(crate) use profile::call_failure;
pub use profile::{Kind, NodeProfile};

use std::time::Duration;

use peerl_node::NodeName;
use serde::Serializer;

/// Serializes a node's name as text.
pub(crate) fn as_text<S: Serializer>(node: &NodeName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(node.as_str())
}

/// Serializes a duration in milliseconds.
pub(crate) fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
