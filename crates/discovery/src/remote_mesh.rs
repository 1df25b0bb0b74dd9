//! A node somewhere else as a mesh that the reconciler keeps joined.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use peerl_node::{CallError, NodeEvent};
use peerl_proto::node_name::NodeName;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::remote_node::LookUp;
use crate::{Backoff, LeaveError, Mesh, MeshError, Obstacle, RemoteNode};

/// The connections of a [`RemoteNode`], for a [`Reconciler`](crate::Reconciler): so any BEAM node, unmodified, is kept
/// connected with the peers that discovery finds. Clones are the same mesh.
///
/// It is one run of the node: when the node ends, or the connection to it, this is [`gone`](Self::gone) for good, and
/// what it says of connections stays as it was last. A node that only gives no answer is not gone.
#[derive(Clone)]
pub struct RemoteMesh {
    remote: RemoteNode,
    sight: Arc<Mutex<Sight>>,
    /// Of peers whose host has no EPMD that answers.
    pauses: Arc<Mutex<HashMap<NodeName, Pause>>>,
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
        Ok(Self { remote, sight, pauses: Arc::default(), gone, _looking: Arc::new(AbortOnDrop(looking)) })
    }

    /// The times between dials to a peer of which no EPMD says anything. The node dials; each that fails costs it.
    fn silent_backoff() -> Backoff {
        Backoff::new(Duration::from_secs(15), Duration::from_secs(600))
    }

    /// Whether a peer of a silent host may be dialled now; if so, the next one is for later.
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

    /// Waits until the node, or the connection to it, has come to its end.
    pub async fn gone(&self) {
        // The sender goes with the task that looks, which only ends when the node is gone.
        let _ = self.gone.clone().wait_for(|gone| *gone).await;
    }
}

/// How often a peer has been dialled in vain, and when it may be dialled again.
struct Pause {
    dials: u32,
    ends: Instant,
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
                Err(error @ (CallError::Connect(_) | CallError::NodeDown | CallError::Disconnected(_))) => {
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
            let mut sight = self.sight.lock();
            sight.fresh.insert(peer.clone());
            sight.connected.insert(peer);
            Ok(())
        })
    }

    fn leave(&self) -> BoxFuture<'_, Result<Vec<NodeName>, LeaveError>> {
        Box::pin(async move {
            let left = self.remote.leave().await?;
            let mut sight = self.sight.lock();
            for peer in &left {
                sight.fresh.remove(peer);
                sight.connected.remove(peer);
            }
            Ok(left)
        })
    }
}
