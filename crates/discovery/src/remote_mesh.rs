//! A node somewhere else as a mesh that the reconciler keeps joined.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use peerl_node::{CallError, NodeEvent};
use peerl_proto::node_name::NodeName;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::{Mesh, MeshError, RemoteNode};

/// The connections of a [`RemoteNode`], for a [`Reconciler`](crate::Reconciler): so any BEAM node, unmodified, is kept
/// connected with the peers that discovery finds. Clones are the same mesh.
///
/// It is one run of the node: when the node ends, or the connection to it, this is [`gone`](Self::gone) for good, and
/// what it says of connections stays as it was last. A node that only gives no answer is not gone.
#[derive(Clone)]
pub struct RemoteMesh {
    remote: RemoteNode,
    sight: Arc<Mutex<Sight>>,
    gone: watch::Receiver<bool>,
    _looking: Arc<AbortOnDrop>,
}

impl RemoteMesh {
    /// Asks the node whom it is connected with, now and from now on in this interval.
    ///
    /// # Errors
    /// If it cannot be reached, or does not answer.
    pub async fn start(remote: RemoteNode, every: Duration) -> Result<Self, CallError> {
        let events = remote.guest().events();
        let sight = Arc::new(Mutex::new(Sight { connected: remote.connected().await?, fresh: BTreeSet::new() }));
        let (tell, gone) = watch::channel(false);
        let looking = tokio::spawn(look(remote.clone(), sight.clone(), events, every, tell));
        Ok(Self { remote, sight, gone, _looking: Arc::new(AbortOnDrop(looking)) })
    }

    /// Waits until the node, or the connection to it, has come to its end.
    pub async fn gone(&self) {
        // The sender goes with the task that looks, which only ends when the node is gone.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

/// Whom the node is connected with.
struct Sight {
    connected: BTreeSet<NodeName>,
    /// Those connected since the last question was asked, the answer to which may not have them yet.
    fresh: BTreeSet<NodeName>,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn look(
    remote: RemoteNode,
    sight: Arc<Mutex<Sight>>,
    mut events: broadcast::Receiver<NodeEvent>,
    every: Duration,
    gone: watch::Sender<bool>,
) {
    let ends = async {
        loop {
            match events.recv().await {
                Ok(NodeEvent::NodeDown { node, .. }) if node == *remote.name() => return,
                Ok(_) => {}
                // One that has been missed may have been that; to begin anew costs little.
                Err(_) => return,
            }
        }
    };
    let asks = async {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut answers = true;
        loop {
            ticks.tick().await;
            sight.lock().fresh.clear();
            match remote.connected().await {
                Ok(mut connected) => {
                    answers = true;
                    let mut sight = sight.lock();
                    connected.extend(sight.fresh.iter().cloned());
                    sight.connected = connected;
                }
                Err(error @ (CallError::Connect(_) | CallError::NodeDown)) => {
                    tracing::debug!(node = %remote.name(), %error, "gone");
                    return;
                }
                Err(error) => {
                    if std::mem::take(&mut answers) {
                        tracing::warn!(node = %remote.name(), %error, "it does not say whom it is connected with");
                    }
                }
            }
        }
    };
    tokio::select! {
        () = ends => {}
        () = asks => {}
    }
    let _ = gone.send(true);
}

impl Mesh for RemoteMesh {
    fn name(&self) -> NodeName {
        self.remote.name().clone()
    }

    fn connected(&self) -> BTreeSet<NodeName> {
        self.sight.lock().connected.clone()
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Box::pin(async move {
            self.remote.connect(&peer).await?;
            let mut sight = self.sight.lock();
            sight.fresh.insert(peer.clone());
            sight.connected.insert(peer);
            Ok(())
        })
    }

    fn disconnect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Box::pin(async move {
            self.remote.disconnect(&peer).await?;
            let mut sight = self.sight.lock();
            sight.fresh.remove(&peer);
            sight.connected.remove(&peer);
            Ok(())
        })
    }
}
