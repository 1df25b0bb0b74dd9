//! A worker, as the subject of an admin endpoint.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use metrics::{describe_gauge, gauge};
use peerl_node::{ErrorChain, Node, NodeName, Nodes, Registered};

use super::{Administered, Check, NodeLists, Readiness};
use crate::failure::Failure;
use crate::self_check::self_check;

/// A member of the mesh: a node that serves functions.
pub struct Member {
    node: Node,
    listen: Option<IpAddr>,
    readiness: Arc<Readiness>,
}

impl Member {
    /// Makes one of a node that listens at this address.
    pub fn new(node: Node, listen: Option<IpAddr>, readiness: Arc<Readiness>) -> Self {
        Self { node, listen, readiness }
    }

    fn names(&self, which: Nodes) -> Vec<String> {
        self.node.nodes(which).iter().map(ToString::to_string).collect()
    }

    async fn registered(&self) -> Result<(), String> {
        match self.node.registered_at_epmd().await {
            Ok(Registered::Yes | Registered::NotNeeded) => Ok(()),
            Ok(_) => Err("this node is not registered at EPMD".to_owned()),
            Err(error) => Err(ErrorChain(&error).to_string()),
        }
    }
}

impl Administered for Member {
    fn nodes(&self) -> BoxFuture<'_, Result<NodeLists, String>> {
        Box::pin(async {
            let (nodes, hidden) = (self.names(Nodes::Visible), self.names(Nodes::Hidden));
            Ok(NodeLists { name: self.node.name().to_string(), nodes, hidden })
        })
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            if peer == *self.node.name() {
                return Err("this is the node itself".to_owned());
            }
            if self.node.is_draining() {
                return Err("it is draining".to_owned());
            }
            let connected = self.node.connect(&peer).await;
            connected.map_err(|error| Failure::from(error).to_string())?;
            self.readiness.joined();
            Ok(())
        })
    }

    /// Calls a function of the node itself, begins a handshake at its port, and looks its name up in EPMD.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async {
            let (work, registered) =
                tokio::join!(self_check(&self.node, self.listen, Duration::from_secs(4)), self.registered());
            vec![Check::new("work", work), Check::new("epmd", registered)]
        })
    }

    fn readiness(&self) -> Result<(), String> {
        if !self.node.nodes(Nodes::Connected).is_empty() {
            self.readiness.joined();
        }
        self.readiness.get()
    }

    fn record(&self) {
        let node = &self.node;
        peerl_node::metrics::record(node);
        let (name, version) = (node.name().to_string(), env!("CARGO_PKG_VERSION"));
        gauge!("peerl_node_info", "name" => name, "version" => version).set(1.0);
    }
}

/// Describes each metric.
pub(super) fn describe() {
    peerl_node::metrics::describe();
    describe_gauge!("peerl_node_info", "The node's name and the version of peerl; always 1");
}
