//! What runs with a node, and is told when the node leaves its cluster.

use futures::future::BoxFuture;

use crate::node::Node;

/// Why a service did not start.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync>;

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

/// A service of a node that runs. Dropped when the node has stopped.
pub trait RunningService: Send + Sync {
    /// The node [takes nothing new](Node::drain), and waits until what is under way is done; so is what this waits for.
    fn drain<'a>(&'a self, _node: &'a Node) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }

    /// The node is about to [close its connections](Node::shutdown), and waits for this first. Later services are told first.
    fn shutdown<'a>(&'a self, _node: &'a Node) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// A service that has nothing to do when its node leaves.
impl RunningService for () {}
