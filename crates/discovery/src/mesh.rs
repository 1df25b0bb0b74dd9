//! What the reconciler needs of a node.

use std::collections::BTreeSet;

use futures::future::{BoxFuture, ready};
use peerl_node::{Node, Nodes};
use peerl_proto::node_name::NodeName;

/// Why a peer could not be connected.
pub type MeshError = Box<dyn std::error::Error + Send + Sync>;

/// Why a node could not be taken out of the mesh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The node's release has no function for it.
    #[error("it cannot leave the mesh: it has no global:disconnect/0, which OTP has from 25.1 on")]
    Unsupported,
    /// The node does not do it.
    #[error("it does not leave the mesh: {0}")]
    Failed(MeshError),
}

/// A node that can be asked whom it is connected with, and told to connect and to leave: a running node, or a fake in a test.
pub trait Mesh: Send + Sync + 'static {
    /// The node's own name, which is not a peer.
    fn name(&self) -> NodeName;

    /// The peers with which a connection is up now.
    fn connected(&self) -> BTreeSet<NodeName>;

    /// Connects to the peer; `Ok` if the connection is up, whoever opened it.
    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>>;

    /// Takes the node out of the mesh: ends the connections of the node itself with all visible peers, at once, and gives
    /// these. There is nothing that ends the connection with one peer: where overlapping partitions are prevented, the
    /// others would then drop both.
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
