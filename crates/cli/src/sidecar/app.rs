//! The app, as the subject of a sidecar's admin endpoint.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use metrics::{describe_gauge, gauge};
use peerl_discovery::{RemoteError, RemoteNode};
use peerl_node::{CallError, ErrorChain, NodeName};

use crate::admin::{Administered, Check, NodeLists, Readiness};
use crate::explain;

/// The app's readiness, while it is up.
pub(super) type AppReadiness = Arc<Mutex<Option<Readiness>>>;

/// The app, which is queried and controlled by remote calls.
pub(super) struct App {
    remote: RemoteNode,
    readiness: AppReadiness,
}

impl App {
    pub(super) fn new(remote: RemoteNode, readiness: AppReadiness) -> Self {
        describe_gauge!("peerl_sidecar_app_up", "1 if the app's node is up");
        Self { remote, readiness }
    }

    fn with<T>(&self, work: impl FnOnce(Option<&Readiness>) -> T) -> T {
        work(self.readiness.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
    }

    fn names(&self, nodes: BTreeSet<NodeName>) -> Vec<String> {
        // The sidecar's own node is not a peer.
        let own = self.remote.guest().name_at(self.remote.name());
        nodes.into_iter().filter(|node| *node != own).map(|node| node.to_string()).collect()
    }
}

impl Administered for App {
    fn nodes(&self) -> BoxFuture<'_, Result<NodeLists, String>> {
        Box::pin(async {
            let lists = futures::try_join!(self.remote.visible(), self.remote.hidden());
            let (nodes, hidden) = lists.map_err(|error: CallError| ErrorChain(&error).to_string())?;
            let (nodes, hidden) = (self.names(nodes), self.names(hidden));
            Ok(NodeLists { name: self.remote.name().to_string(), nodes, hidden })
        })
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), String>> {
        Box::pin(async move {
            self.remote.connect(&peer).await.map_err(|error| match &error {
                RemoteError::CannotConnect { obstacle, .. } => explain::obstacle(obstacle).to_string(),
                other => ErrorChain(other).to_string(),
            })
        })
    }

    /// Calls the app's node.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        Box::pin(async { vec![Check::new("app", self.remote.connected().await)] })
    }

    fn readiness(&self) -> Result<(), String> {
        self.with(|readiness| readiness.map_or_else(|| Err("the app's node is not up".to_owned()), Readiness::get))
    }

    fn record(&self) {
        gauge!("peerl_sidecar_app_up").set(self.with(|readiness| if readiness.is_some() { 1.0 } else { 0.0 }));
    }
}
