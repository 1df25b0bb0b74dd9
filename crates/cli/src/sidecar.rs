//! The sidecar: keeps another node, which has no discovery of its own, connected to its peers.
//!
//! ```text
//!   strategies ──▶ Reconciler ──▶ RemoteMesh ──calls──▶ the app's node ──connects──▶ its peers
//! ```

mod app;
use app::{App, AppReadiness};
mod event;
pub use event::SidecarEvent;
mod cached_strategy;
use cached_strategy::CachedStrategy;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use peerl_discovery::{
    Backoff, MeshError, MeshEvent, Novelty, Reconciler, RemoteError, RemoteMesh, RemoteNode, Removal, Standing,
    Strategy,
};
use peerl_node::{ErrorChain, Node, NodeName};
use tokio::time::{Instant, sleep};

use crate::admin::{Administered, PeerRequirement, Readiness};
use crate::explain;
use crate::failure::Failure;
use crate::fan_out;
use crate::fleet;

/// Keeps one node connected.
pub struct Sidecar {
    remote: RemoteNode,
    strategies: Vec<Arc<CachedStrategy>>,
    interval: Duration,
    removal: Removal,
    peer_requirement: PeerRequirement,
    /// The app's standing in the lists, across its restarts.
    standing: Mutex<Standing>,
    readiness: AppReadiness,
}

impl Sidecar {
    /// How often the app's connections are listed.
    const LOOK: Duration = Duration::from_secs(1);

    /// An app that has been up for this time is not in a crash loop.
    const LASTING: Duration = Duration::from_secs(5);

    /// Makes the sidecar of an app, which it controls through a guest node. The strategies are polled at this
    /// interval.
    pub fn new(guest: Node, app: NodeName, strategies: Vec<Arc<dyn Strategy>>, interval: Duration) -> Self {
        Self {
            remote: RemoteNode::new(guest, app),
            strategies: CachedStrategy::each(strategies),
            interval,
            removal: Removal::Never,
            peer_requirement: PeerRequirement::default(),
            standing: Mutex::default(),
            readiness: AppReadiness::default(),
        }
    }

    /// Sets the time-out of calls to the app.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { remote: self.remote.timeout(timeout), ..self }
    }

    /// Sets when the app leaves the mesh because it is no longer listed. Default: never.
    pub fn removal(self, removal: Removal) -> Self {
        Self { removal, ..self }
    }

    /// Sets whether the app needs peers to be ready. Default: it does.
    pub fn peer_requirement(self, peer_requirement: PeerRequirement) -> Self {
        Self { peer_requirement, ..self }
    }

    /// The app, for an admin endpoint.
    pub fn administered(&self) -> Arc<dyn Administered> {
        Arc::new(App::new(self.remote.clone(), self.readiness.clone()))
    }

    /// Keeps the app connected; waits for it at the start and after each of its ends. Can be dropped at any time; the
    /// app's connections stay.
    ///
    /// # Errors
    /// If an event cannot be reported.
    pub async fn run(&self, mut tell: impl FnMut(SidecarEvent) -> Result<(), Failure>) -> Result<Infallible, Failure> {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        let (mut failures, mut told) = (0_u32, None);
        let node = || self.remote.name().clone();
        loop {
            sleep(backoff.delay(failures)).await;
            failures = failures.saturating_add(1);
            let mesh = match RemoteMesh::start(self.remote.clone(), Self::LOOK.min(self.interval)).await {
                Ok(mesh) => mesh,
                Err(error) => {
                    let failure = fleet::call_failure(error, "erlang:nodes/1", self.remote.name());
                    if told.as_ref() != Some(&failure) {
                        tell(SidecarEvent::Waiting { node: node(), error: failure.to_string() })?;
                        told = Some(failure);
                    }
                    continue;
                }
            };
            told = None;
            tell(SidecarEvent::Up { node: node() })?;
            let began = Instant::now();
            self.keep(mesh, &mut tell).await?;
            tell(SidecarEvent::Down { node: node() })?;
            if began.elapsed() >= Self::LASTING {
                failures = 0;
            }
        }
    }

    /// Keeps one run of the app connected, until it ends.
    async fn keep(
        &self,
        mesh: RemoteMesh,
        tell: &mut impl FnMut(SidecarEvent) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let strategies = self.strategies.iter().map(|strategy| {
            strategy.begin();
            strategy.clone() as Arc<dyn Strategy>
        });
        let reconciler = Reconciler::new(mesh.clone(), strategies.collect())
            .interval(self.interval)
            .removal(self.removal)
            .standing(*self.standing.lock().unwrap_or_else(PoisonError::into_inner))
            .check_interval(Self::LOOK.min(self.interval));
        let (mut events, mut known) = (reconciler.events(), Reported::default());
        let set = |readiness| *self.readiness.lock().unwrap_or_else(PoisonError::into_inner) = readiness;
        set(Some(Readiness::follow(&reconciler, self.remote.name(), self.peer_requirement)));
        let running = reconciler.start();
        let result = loop {
            let event = tokio::select! {
                () = mesh.gone() => break Ok(()),
                event = events.recv() => event,
            };
            // A missed event is only missing in the output.
            let Ok(event) = event else { continue };
            if let Some(Err(failure)) = known.news(event).map(&mut *tell) {
                break Err(failure);
            }
        };
        set(None);
        let standing = running.stop().await;
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
        result
    }
}

/// The errors that were reported already.
#[derive(Default)]
struct Reported {
    /// Why peers cannot be connected.
    refused: HashMap<NodeName, String>,
    /// Why the app cannot leave.
    stuck: Option<String>,
}

impl Reported {
    /// Converts an event, unless it was reported already.
    fn news(&mut self, event: MeshEvent) -> Option<SidecarEvent> {
        Some(match event {
            MeshEvent::PollFailed { novelty: Novelty::Repetition, .. }
            | MeshEvent::PollEmpty { novelty: Novelty::Repetition, .. } => return None,
            MeshEvent::PollFailed { strategy, error, .. } => {
                SidecarEvent::DiscoveryFailed { strategy, error: ErrorChain(&*error).to_string() }
            }
            MeshEvent::PollEmpty { strategy, asked, .. } => {
                SidecarEvent::DiscoveryFailed { strategy, error: fan_out::nothing_found("it", &asked) }
            }
            MeshEvent::Connected { peer } => {
                self.refused.remove(&peer);
                SidecarEvent::Connected { peer }
            }
            MeshEvent::ConnectFailed { peer, error, retry_in } => {
                let error = message(&error);
                let before = self.refused.insert(peer.clone(), error.clone());
                (before.as_ref() != Some(&error)).then_some(SidecarEvent::CannotConnect { peer, error, retry_in })?
            }
            MeshEvent::Lost { peer, .. } => SidecarEvent::Lost { peer },
            MeshEvent::Unlisted { peer, unlisted_for, by, has_ended } => {
                SidecarEvent::Unlisted { peer, unlisted_for, by, has_ended }
            }
            MeshEvent::Relisted { peer } => SidecarEvent::Relisted { peer },
            MeshEvent::Left { unlisted_for, disconnected } => {
                self.stuck = None;
                SidecarEvent::Left { unlisted_for, disconnected }
            }
            MeshEvent::CannotLeave { error } => {
                let error = ErrorChain(&*error).to_string();
                let before = self.stuck.replace(error.clone());
                (before.as_ref() != Some(&error)).then_some(SidecarEvent::CannotLeave { error })?
            }
            MeshEvent::Rejoining => {
                self.stuck = None;
                SidecarEvent::Rejoining
            }
            MeshEvent::Forgotten { peer } => {
                self.refused.remove(&peer);
                SidecarEvent::Forgotten { peer }
            }
            _ => return None,
        })
    }
}

fn message(error: &MeshError) -> String {
    match error.downcast_ref::<RemoteError>() {
        Some(RemoteError::Call(error)) => format!("the app's node does not do it: {}", ErrorChain(error)),
        Some(RemoteError::CannotConnect { obstacle, .. }) => explain::obstacle(obstacle).to_string(),
        _ => ErrorChain(&**error).to_string(),
    }
}
