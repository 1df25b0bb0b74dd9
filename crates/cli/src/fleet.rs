//! The fleet: the nodes that discovery finds, seen from outside, and made a mesh of.
//!
//! ```text
//!   sight ──▶ connectivity ──▶ healer ──▶ event     one look after another, and what is done about it
//!   what a node says           │
//!                              └──▶ report          the matrix, once
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
mod sight;
pub(crate) use sight::call_failure;
pub use sight::{Kind, Nature};

use std::time::Duration;

use peerl_node::NodeName;
use serde::Serializer;

/// A node's name as a text.
pub(crate) fn as_text<S: Serializer>(node: &NodeName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(node.as_str())
}

/// A time as a number.
pub(crate) fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
