//! What the reconciler needs of a node.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, ready};
use peerl_node::{Node, Nodes};
use peerl_proto::node_name::NodeName;

/// Why a peer could not be connected.
pub type MeshError = Box<dyn std::error::Error + Send + Sync>;

/// A node that can be asked whom it is connected with, and told to connect and disconnect: a running node, or a fake in a test.
pub trait Mesh: Send + Sync + 'static {
    /// The node's own name, which is not a peer.
    fn name(&self) -> NodeName;

    /// The peers with which a connection is up now.
    fn connected(&self) -> BTreeSet<NodeName>;

    /// Connects to the peer; `Ok` if the connection is up, whoever opened it.
    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>>;

    /// Ends the connection to the peer; `Ok` if there is none any more, or was none.
    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>>;
}

impl Mesh for Node {
    fn name(&self) -> NodeName {
        Node::name(self).clone()
    }

    fn connected(&self) -> BTreeSet<NodeName> {
        self.nodes(Nodes::Connected).into_iter().collect()
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Box::pin(async move {
            if self.is_draining() {
                return Err("this node is about to leave".into());
            }
            Node::connect(self, &peer).await.map_err(MeshError::from)
        })
    }

    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Node::disconnect(self, &peer);
        Box::pin(ready(Ok(())))
    }
}
