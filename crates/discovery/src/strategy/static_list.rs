//! A list of nodes that never changes.

use std::sync::Arc;

use futures::future::{BoxFuture, ready};
use peerl_proto::node_name::NodeName;
use serde::{Deserialize, Serialize};

use super::{Answer, Peers, Strategy, StrategyError};
use crate::spec::{SpecError, StrategySettings, one_or_many};

/// The strategy `static`: a constant list of nodes.
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

    fn discover(&self) -> BoxFuture<'_, Result<Answer, StrategyError>> {
        Box::pin(ready(Ok(Answer::whole(self.peers.clone()))))
    }
}

/// The settings of `static`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticListSettings {
    /// The nodes.
    #[serde(default, deserialize_with = "one_or_many")]
    pub nodes: Vec<String>,
}

impl StaticListSettings {
    fn parsed(&self) -> Result<Peers, SpecError> {
        let parse =
            |node: &String| NodeName::new(node).map_err(|reason| SpecError::Node { node: node.clone(), reason });
        self.nodes.iter().map(parse).collect()
    }
}

impl StrategySettings for StaticListSettings {
    const NAME: &'static str = "static";
    const BARE: Option<&'static str> = Some("nodes");

    fn check(&self) -> Result<(), SpecError> {
        match self.nodes.is_empty() {
            true => Err(SpecError::settings::<Self>("needs nodes: static:NAME@HOST,…")),
            false => self.parsed().map(drop),
        }
    }

    fn build(&self) -> Result<Arc<dyn Strategy>, SpecError> {
        Ok(Arc::new(StaticList::new(self.parsed()?)))
    }
}
