//! The processes that every node has, and that its peers talk to.

mod group_leader;
mod net_kernel;
mod rex;

use std::sync::Arc;

use crate::node::Inner;

pub(crate) use group_leader::Output;

/// Starts them.
pub(crate) fn start(node: &Arc<Inner>) {
    net_kernel::start(node);
    rex::start(node);
    group_leader::start(node);
}
