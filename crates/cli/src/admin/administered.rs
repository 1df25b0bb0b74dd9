//! The subject of an admin endpoint.

use futures::future::BoxFuture;
use peerl_node::NodeName;
use serde::Serialize;

/// The subject of an admin endpoint: a worker, or the app of a sidecar.
pub trait Administered: Send + Sync + 'static {
    /// The node's connections.
    ///
    /// # Errors
    /// The reason, if they are unknown.
    fn nodes(&self) -> BoxFuture<'_, Result<NodeLists, String>>;

    /// Connects the node to a peer.
    ///
    /// # Errors
    /// The reason of the failure.
    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), String>>;

    /// Tests whether the node can do work. Called at most once a second, with a time-out of 5 s.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>>;

    /// Whether the node should get work.
    ///
    /// # Errors
    /// The reason, if not.
    fn readiness(&self) -> Result<(), String>;

    /// Updates the gauges that are not updated by events.
    fn record(&self);
}

/// The connections of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeLists {
    /// The node's own name.
    pub name: String,
    /// Its visible peers.
    pub nodes: Vec<String>,
    /// Its hidden peers.
    pub hidden: Vec<String>,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The name of the test.
    pub name: &'static str,
    /// The problem, if there is one.
    pub problem: Option<String>,
}

impl Check {
    /// Makes a check of a test's outcome.
    pub fn new<T, E: ToString>(name: &'static str, outcome: Result<T, E>) -> Self {
        Self { name, problem: outcome.err().map(|error| error.to_string()) }
    }
}
