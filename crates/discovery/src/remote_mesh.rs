//! Another node's mesh, for the reconciler.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use peerl_node::{CallError, ErrorChain, NodeEvent};
use peerl_proto::node_name::NodeName;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::remote_node::LookUp;
use crate::{Backoff, LeaveError, Mesh, MeshError, Obstacle, RemoteNode};

/// The connections of a [`RemoteNode`], for a [`Reconciler`](crate::Reconciler): it keeps any unmodified BEAM node
/// connected to the discovered peers. Clones are the same mesh.
///
/// It lasts for one run of the node: when the node or the connection to it ends, [`gone`](Self::gone) completes, and
/// the list of connections stays as it was. A node that only fails to answer is not gone.
#[derive(Clone)]
pub struct RemoteMesh {
    remote: RemoteNode,
    connections: Arc<Mutex<Connections>>,
    /// Pauses before dials to peers whose host has no answering EPMD.
    pauses: Arc<Mutex<HashMap<NodeName, Pause>>>,
    gone: watch::Receiver<bool>,
    _looking: Arc<AbortOnDrop>,
}

impl RemoteMesh {
    /// Lists the node's connections, now and at this interval.
    ///
    /// # Errors
    /// If the node cannot be reached or does not answer.
    pub async fn start(remote: RemoteNode, every: Duration) -> Result<Self, CallError> {
        let events = remote.guest().events();
        let connections =
            Arc::new(Mutex::new(Connections { connected: remote.connected().await?, fresh: BTreeSet::new() }));
        let (tell, gone) = watch::channel(false);
        let looking = tokio::spawn(look(remote.clone(), connections.clone(), events, every, tell));
        Ok(Self { remote, connections, pauses: Arc::default(), gone, _looking: Arc::new(AbortOnDrop(looking)) })
    }

    /// The pauses between dials to a peer whose EPMD does not answer. The dialling node leaks memory with each
    /// failure.
    fn silent_backoff() -> Backoff {
        Backoff::new(Duration::from_secs(15), Duration::from_secs(600))
    }

    /// Whether a peer of a silent host may be dialled now; if so, schedules the next dial.
    fn may_dial_silent(&self, peer: &NodeName) -> bool {
        let (now, mut pauses) = (Instant::now(), self.pauses.lock());
        let pause = pauses.entry(peer.clone()).or_insert(Pause { dials: 0, ends: now });
        if pause.ends > now {
            return false;
        }
        pause.dials = pause.dials.saturating_add(1);
        pause.ends = now + Self::silent_backoff().delay(pause.dials);
        true
    }

    /// Waits for the end of the node or of the connection to it.
    pub async fn gone(&self) {
        // The polling task drops the sender when the node is gone.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

/// The number of failed dials to a peer, and when the next one may follow.
struct Pause {
    dials: u32,
    ends: Instant,
}

/// The node's connections, as last listed.
struct Connections {
    connected: BTreeSet<NodeName>,
    /// Peers connected since the last request was sent; its answer may not have them.
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
    connections: Arc<Mutex<Connections>>,
    mut events: broadcast::Receiver<NodeEvent>,
    every: Duration,
    gone: watch::Sender<bool>,
) {
    let ends = async {
        loop {
            match events.recv().await {
                Ok(NodeEvent::NodeDown { node, .. }) if node == *remote.name() => return,
                Ok(_) => {}
                // A missed event may have been that one; restarting costs little.
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
            connections.lock().fresh.clear();
            match remote.connected().await {
                Ok(mut connected) => {
                    answers = true;
                    let mut connections = connections.lock();
                    connected.extend(connections.fresh.iter().cloned());
                    connections.connected = connected;
                }
                Err(error @ (CallError::Connect(_) | CallError::NodeDown | CallError::Disconnected(_))) => {
                    tracing::debug!(node = %remote.name(), error = %ErrorChain(&error), "the node is gone");
                    return;
                }
                Err(error) => {
                    if std::mem::take(&mut answers) {
                        let error = ErrorChain(&error);
                        tracing::warn!(node = %remote.name(), %error, "the node does not list its connections");
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
        self.connections.lock().connected.clone()
    }

    fn connect(&self, peer: NodeName) -> BoxFuture<'_, Result<(), MeshError>> {
        Box::pin(async move {
            match self.remote.look_up(&peer).await {
                LookUp::Registered => {
                    self.pauses.lock().remove(&peer);
                    self.remote.dial(&peer).await?;
                }
                LookUp::Silent if self.may_dial_silent(&peer) => self.remote.dial(&peer).await?,
                LookUp::Silent => self.remote.refuse(&peer, Obstacle::NoEpmd { host: peer.host().to_owned() }).await?,
                LookUp::Unregistered => {
                    self.pauses.lock().remove(&peer);
                    self.remote.refuse(&peer, Obstacle::UnknownName { host: peer.host().to_owned() }).await?;
                }
            }
            self.pauses.lock().remove(&peer);
            let mut connections = self.connections.lock();
            connections.fresh.insert(peer.clone());
            connections.connected.insert(peer);
            Ok(())
        })
    }

    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>> {
        Box::pin(async move {
            let left = self.remote.leave().await?;
            let mut connections = self.connections.lock();
            for peer in &left {
                connections.fresh.remove(peer);
                connections.connected.remove(peer);
            }
            Ok(left)
        })
    }
}
