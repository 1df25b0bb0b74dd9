use std::any::Any;

use futures::future::BoxFuture;
use peerl_proto::node_name::NodeName;

/// Why a service did not start.
pub type ServiceError = Box<dyn std::error::Error + Send + Sync>;

/// A service of a node that runs. Dropped when the node has stopped. Its crate finds it again with
/// [`Node::service`](crate::Node::service).
pub trait RunningService: Any + Send + Sync {
    /// The node [takes nothing new](crate::Node::drain), and waits until what is under way is done; so is what this waits for.
    fn drain(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Leaves the mesh, if the service has brought the node into one: ends the connections with its members so that none of them
    /// takes the node for lost, and gives their names. The node connects with them again.
    fn leave_mesh(&self) -> BoxFuture<'_, Vec<NodeName>> {
        Box::pin(async { Vec::new() })
    }

    /// The node is about to [close its connections](crate::Node::shutdown), and waits for this first. Later services are told
    /// first.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// A service that has nothing to do when its node leaves.
impl RunningService for () {}
