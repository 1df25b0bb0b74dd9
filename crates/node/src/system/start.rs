use std::sync::Arc;

use super::unfinished::Unfinished;
use super::{Services, group_leader, logger, net_kernel, rex};
use crate::inner::Inner;

/// Starts the processes of the node itself.
pub(crate) fn start(node: &Arc<Inner>) -> Services {
    let unfinished = Unfinished::default();
    net_kernel::start(node);
    rex::start(node);
    let leader = group_leader::start(node, unfinished.clone());
    logger::start(node, unfinished.clone());
    node.kernel.set_group_leader(leader);
    Services { unfinished }
}
