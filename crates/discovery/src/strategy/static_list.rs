//! A list of nodes that never changes.

use futures::future::{BoxFuture, ready};
use peerl_proto::node_name::NodeName;

use super::{Peers, Strategy, StrategyError};

/// The strategy `static`: always the same nodes.
#[derive(Clone, Debug)]
pub struct StaticList {
    name: String,
    peers: Peers,
}

impl StaticList {
    /// Makes the strategy of its nodes.
    pub fn new(peers: impl IntoIterator<Item = NodeName>) -> Self {
        let peers: Peers = peers.into_iter().collect();
        let names: Vec<&str> = peers.iter().map(NodeName::as_str).collect();
        Self { name: format!("static:{}", names.join(",")), peers }
    }
}

impl Strategy for StaticList {
    fn name(&self) -> &str {
        &self.name
    }

    fn discover(&self) -> BoxFuture<'_, Result<Peers, StrategyError>> {
        Box::pin(ready(Ok(self.peers.clone())))
    }
}
