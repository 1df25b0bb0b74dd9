//! What runs with a node, and is told when the node leaves its cluster.

use crate::node::Node;
use crate::running_service::{RunningService, ServiceError};

/// Something that runs with a node, such as a process that all its peers expect there. It is given to
/// [`NodeBuilder::service`](crate::NodeBuilder::service).
pub trait Service: Send + 'static {
    /// Starts processes, exports functions. It must not keep the node: that would never stop if it were dropped. A process does not
    /// keep it, and a [`WeakNode`](crate::WeakNode) does not either.
    ///
    /// # Errors
    /// Any error keeps the node from starting.
    fn start(self: Box<Self>, node: &Node) -> Result<Box<dyn RunningService>, ServiceError>;
}
