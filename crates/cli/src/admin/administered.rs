//! What is behind an admin endpoint.

use futures::future::BoxFuture;
use peerl_node::NodeName;
use serde::Serialize;

/// What an admin endpoint is about: a worker, or a node that a sidecar keeps clustered.
pub trait Administered: Send + Sync + 'static {
    /// With whom the node is connected.
    ///
    /// # Errors
    /// If it cannot be found out, saying why.
    fn nodes(&self) -> BoxFuture<'_, Result<NodeLists, String>>;

    /// Connects the node with a peer.
    ///
    /// # Errors
    /// If that fails, saying why.
    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), String>>;

    /// Finds out, by doing it, whether work can be done. Asked at most once a second, and given up after 5 s.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>>;

    /// Whether work should be sent here.
    ///
    /// # Errors
    /// If not, saying why.
    fn readiness(&self) -> Result<(), String>;

    /// Brings the figures up to date that nobody counts as they change.
    fn record(&self);
}

/// With whom a node is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeLists {
    /// The node's own name.
    pub name: String,
    /// Its visible peers.
    pub nodes: Vec<String>,
    /// Its hidden peers.
    pub hidden: Vec<String>,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was tried, in a word.
    pub name: &'static str,
    /// What is wrong, if something is.
    pub problem: Option<String>,
}

impl Check {
    /// Makes one of its outcome.
    pub fn new<T, E: ToString>(name: &'static str, outcome: Result<T, E>) -> Self {
        Self { name, problem: outcome.err().map(|error| error.to_string()) }
    }
}
