//! The node's interface to the reconciler.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, ready};
use peerl_node::{Node, Nodes};
use peerl_proto::node_name::NodeName;

/// Why a peer cannot be connected.
pub type MeshError = Box<dyn std::error::Error + Send + Sync>;

/// Why a node cannot leave the mesh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The node's release has no function for it.
    #[error("it cannot leave the mesh: it has no global:disconnect/0, which OTP has from 25.1 on")]
    Unsupported,
    /// The node has failed to leave.
    #[error("it does not leave the mesh")]
    Failed(#[source] MeshError),
}

/// A node whose connections can be listed and changed: a running node, or a fake one in a test.
pub trait Mesh: Send + Sync + 'static {
    /// The node's own name, which is not a peer.
    fn name(&self) -> NodeName;

    /// The connected peers.
    fn connected(&self) -> BTreeSet<NodeName>;

    /// Connects to the peer; `Ok` if a connection is up, whichever side opened it.
    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>>;

    /// Leaves the mesh: ends this node's connections to all visible peers at once, and returns them. No operation
    /// ends the connection to a single peer: where overlapping partitions are prevented, the other nodes would then
    /// disconnect both.
    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>>;
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

    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>> {
        let peers = self.nodes(Nodes::Visible);
        for peer in &peers {
            self.disconnect(peer);
        }
        Box::pin(ready(Ok(peers)))
    }
}
