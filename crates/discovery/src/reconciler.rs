//! Keeping the mesh joined.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_proto::node_name::NodeName;
use tokio::sync::{Semaphore, broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::backoff::jitter;
use crate::removal::{Absence, Evidence};
use crate::{Backoff, Mesh, MeshError, MeshEvent, Peers, Removal, Strategy, StrategyError, mesh_metrics};

/// Connects a node with the peers that its strategies find, and connects again what is lost.
///
/// A peer that no strategy lists any more is not dialled again, but it is not disconnected either, unless there is a
/// [`Removal`] policy that says so. A strategy that fails or suddenly finds nobody is taken to be wrong, and what it
/// said before stays in force.
pub struct Reconciler<M> {
    mesh: Arc<M>,
    strategies: Vec<Arc<dyn Strategy>>,
    interval: Duration,
    poll_timeout: Duration,
    check_interval: Duration,
    backoff: Backoff,
    dials: usize,
    removal: Removal,
    events: broadcast::Sender<MeshEvent>,
}

impl<M: Mesh> Reconciler<M> {
    /// Makes a reconciler with the usual times; [`start`](Self::start) starts it.
    pub fn new(mesh: M, strategies: Vec<Arc<dyn Strategy>>) -> Self {
        Self {
            mesh: Arc::new(mesh),
            strategies,
            interval: Duration::from_secs(5),
            poll_timeout: Duration::from_secs(30),
            check_interval: Duration::from_secs(1),
            backoff: Backoff::default(),
            dials: 32,
            removal: Removal::default(),
            events: broadcast::channel(1024).0,
        }
    }

    /// The longest time between the end of a strategy's poll and its next one; the real one is a random half to
    /// whole of it. 5 s unless told otherwise.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The time that a strategy has for an answer. 30 s unless told otherwise.
    pub fn poll_timeout(mut self, limit: Duration) -> Self {
        self.poll_timeout = limit;
        self
    }

    /// How often the node is looked at for lost connections. 1 s unless told otherwise.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// How long to wait between attempts to connect a peer.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// How many peers are dialled at once. 32 unless told otherwise; at least 1.
    pub fn dials(mut self, dials: usize) -> Self {
        self.dials = dials.max(1);
        self
    }

    /// When a connected peer that is no longer listed is disconnected. Never unless told otherwise.
    pub fn removal(mut self, removal: Removal) -> Self {
        self.removal = removal;
        self
    }

    /// The names of the strategies, as events have them: of one that combines others, the others' names.
    pub fn strategies(&self) -> Vec<String> {
        sources(self.strategies.clone()).iter().map(|source| source.strategy.name().to_owned()).collect()
    }

    /// What will happen, from the start on. A receiver that falls 1,024 events behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<MeshEvent> {
        self.events.subscribe()
    }

    /// Starts polling, in a task of the current tokio runtime.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(self) -> Running {
        mesh_metrics::describe();
        let (stop, stopped) = oneshot::channel();
        let driver = Driver {
            own_name: self.mesh.name(),
            mesh: self.mesh,
            sources: sources(self.strategies),
            listed: Peers::new(),
            peers: HashMap::new(),
            dials: Arc::new(Semaphore::new(self.dials)),
            interval: self.interval,
            poll_timeout: self.poll_timeout,
            check_interval: self.check_interval,
            backoff: self.backoff,
            removal: self.removal,
            events: self.events.clone(),
            work: FuturesUnordered::new(),
        };
        Running { events: self.events, stop, task: tokio::spawn(driver.run(stopped)) }
    }
}

/// A reconciler at work; it stops when this is dropped.
pub struct Running {
    events: broadcast::Sender<MeshEvent>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// What happens from now on. A receiver that falls 1,024 events behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<MeshEvent> {
        self.events.subscribe()
    }

    /// Stops it and waits until nothing of it runs any more. The connections stay.
    pub async fn stop(self) {
        // The task may have ended by itself.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

/// The time between two polls even if a strategy sees change all the time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

async fn poll(strategy: Arc<dyn Strategy>, limit: Duration) -> Result<Peers, StrategyError> {
    let start = Instant::now();
    let answer = timeout(limit, strategy.discover()).await;
    mesh_metrics::poll_took(strategy.name(), start.elapsed());
    answer.unwrap_or_else(|_| Err(StrategyError::TimedOut(limit)))
}

struct Driver<M> {
    own_name: NodeName,
    mesh: Arc<M>,
    sources: Vec<Source>,
    /// Whom the sources list, without the node itself.
    listed: Peers,
    peers: HashMap<NodeName, Peer>,
    dials: Arc<Semaphore>,
    interval: Duration,
    poll_timeout: Duration,
    check_interval: Duration,
    backoff: Backoff,
    removal: Removal,
    events: broadcast::Sender<MeshEvent>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// A strategy, the answer of it that is in force, and for how long it has been answering.
struct Source {
    strategy: Arc<dyn Strategy>,
    last: Peers,
    evidence: Evidence,
}

/// The strategies, and in place of one that combines others those others, so that each has its own last answer.
fn sources(strategies: Vec<Arc<dyn Strategy>>) -> Vec<Source> {
    let mut sources = Vec::with_capacity(strategies.len());
    let mut waiting = strategies;
    waiting.reverse();
    while let Some(strategy) = waiting.pop() {
        let members = strategy.members();
        match members.is_empty() {
            true => sources.push(Source { strategy, last: Peers::new(), evidence: Evidence::default() }),
            false => waiting.extend(members.into_iter().rev()),
        }
    }
    sources
}

/// What is known of a listed peer.
#[derive(Default)]
struct Peer {
    /// An attempt is under way.
    dialling: bool,
    /// When the next attempt is due; none if at once.
    retry_at: Option<Instant>,
    /// When the connection was first seen up; none if it is not.
    up_since: Option<Instant>,
    /// Attempts that failed, or connections that did not last, in a row.
    failures: u32,
    /// Since when it has not been listed while it is connected; none if it is listed.
    absence: Option<Absence>,
    /// It is being disconnected.
    leaving: bool,
}

/// A piece of work that has been done.
enum Done {
    Poll(usize, Result<Peers, StrategyError>),
    Dial(NodeName, Result<(), MeshError>),
    Disconnect(NodeName, Duration, Result<(), MeshError>),
    Retry,
    Wait,
}

impl<M: Mesh> Driver<M> {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        for index in 0..self.sources.len() {
            self.poll_at_once(index);
        }
        self.wait();
        loop {
            let done = tokio::select! {
                // Told to stop, or left alone.
                _ = &mut stopped => return,
                Some(done) = self.work.next() => done,
            };
            self.take_note(done);
            // In a large mesh, looking at all peers once for each of them would take long.
            while let Some(Some(done)) = self.work.next().now_or_never() {
                self.take_note(done);
            }
            self.reconcile();
        }
    }

    fn take_note(&mut self, done: Done) {
        match done {
            Done::Poll(index, answer) => {
                self.polled(index, answer);
                self.remove_gone();
                self.poll_later(index);
            }
            Done::Dial(peer, result) => self.dialled(peer, result),
            Done::Disconnect(peer, gone_for, result) => self.disconnected(peer, gone_for, result),
            Done::Retry => {}
            Done::Wait => self.wait(),
        }
    }

    fn polled(&mut self, index: usize, answer: Result<Peers, StrategyError>) {
        let Source { strategy, last, evidence } = &mut self.sources[index];
        let strategy = strategy.name().to_owned();
        match &answer {
            Ok(peers) if !peers.is_empty() => evidence.good(),
            _ => evidence.none(),
        }
        let event = match answer {
            Err(error) => {
                tracing::warn!(strategy, %error, "discovery failed; the peers found before stay");
                MeshEvent::PollFailed { strategy, error: Arc::new(error) }
            }
            Ok(peers) if peers.is_empty() && !last.is_empty() => {
                tracing::warn!(strategy, "discovery finds no peers; those found before stay");
                MeshEvent::PollEmpty { strategy }
            }
            Ok(peers) => {
                last.clone_from(&peers);
                self.listed = self.sources.iter().flat_map(|source| &source.last).cloned().collect();
                self.listed.remove(&self.own_name);
                MeshEvent::Polled { strategy, peers }
            }
        };
        self.tell(event);
    }

    /// Disconnects, if that is wanted, who has been missed by every strategy for long enough.
    fn remove_gone(&mut self) {
        let connected = self.mesh.connected();
        for (name, peer) in &mut self.peers {
            if self.listed.contains(name) || !connected.contains(name) {
                peer.absence = None;
                continue;
            }
            if peer.absence.is_none() {
                tracing::debug!(peer = %name, "no longer listed");
                tell(&self.events, MeshEvent::Unlisted { peer: name.clone() });
            }
            let evidence = self.sources.iter().map(|source| &source.evidence);
            let gone_for = peer.absence.get_or_insert_default().gone_for(evidence);
            let Removal::WhenGoneFor(limit) = self.removal else { continue };
            if gone_for >= limit && !peer.leaving {
                peer.leaving = true;
                let (mesh, name) = (self.mesh.clone(), name.clone());
                self.work.push(Box::pin(async move {
                    let result = mesh.disconnect(name.clone()).await;
                    Done::Disconnect(name, gone_for, result)
                }));
            }
        }
    }

    fn disconnected(&mut self, peer: NodeName, gone_for: Duration, result: Result<(), MeshError>) {
        match result {
            Ok(()) => {
                self.peers.remove(&peer);
                tracing::info!(%peer, ?gone_for, "disconnected, since it is no longer listed");
                self.tell(MeshEvent::Removed { peer, gone_for });
            }
            // The next good poll tries again.
            Err(error) => {
                tracing::warn!(%peer, %error, "can't be disconnected");
                self.peers.entry(peer).or_default().leaving = false;
            }
        }
    }

    fn dialled(&mut self, name: NodeName, result: Result<(), MeshError>) {
        let peer = self.peers.entry(name.clone()).or_default();
        peer.dialling = false;
        if let Err(error) = result {
            peer.failures = peer.failures.saturating_add(1);
            let retry_in = self.retry(&name);
            tracing::debug!(peer = %name, %error, ?retry_in, "a peer can't be connected");
            self.tell(MeshEvent::ConnectFailed { peer: name, error: Arc::new(error), retry_in });
        }
    }

    /// Compares what should be with what is, and sets going what is missing.
    fn reconcile(&mut self) {
        let connected = self.mesh.connected();
        for name in &self.listed {
            if !self.peers.contains_key(name) {
                self.peers.insert(name.clone(), Peer::default());
            }
        }
        let known: Vec<NodeName> = self.peers.keys().cloned().collect();
        for name in &known {
            let peer = self.peers.entry(name.clone()).or_default();
            match (peer.up_since, connected.contains(name)) {
                (None, true) => {
                    peer.up_since = Some(Instant::now());
                    peer.retry_at = None;
                    tracing::debug!(peer = %name, "connected");
                    self.tell(MeshEvent::Connected { peer: name.clone() });
                }
                (Some(since), false) => {
                    peer.up_since = None;
                    // A peer that takes connections only to drop them is to be backed off from, too.
                    let lasted = since.elapsed() >= self.backoff.longest;
                    peer.failures = if lasted { 1 } else { peer.failures.saturating_add(1) };
                    let retry_in = self.retry(name);
                    tracing::info!(peer = %name, ?retry_in, "lost");
                    self.tell(MeshEvent::Lost { peer: name.clone(), retry_in });
                }
                _ if peer.leaving => {}
                (None, false) if peer.dialling => {}
                (None, false) if !self.listed.contains(name) => {
                    self.peers.remove(name);
                    self.tell(MeshEvent::Forgotten { peer: name.clone() });
                }
                (None, false) if peer.retry_at.is_none_or(|at| at <= Instant::now()) => self.dial(name.clone()),
                (None, false) | (Some(_), true) => {}
            }
        }
        let up = self.peers.values().filter(|peer| peer.up_since.is_some()).count();
        mesh_metrics::peers(self.listed.len(), up);
    }

    /// Says when the peer may be dialled again, and sees to it that it is looked at then.
    fn retry(&mut self, name: &NodeName) -> Duration {
        let Some(peer) = self.peers.get_mut(name) else {
            return Duration::ZERO;
        };
        let retry_in = self.backoff.delay(peer.failures);
        peer.retry_at = Some(Instant::now() + retry_in);
        self.work.push(Box::pin(async move {
            sleep(retry_in).await;
            Done::Retry
        }));
        retry_in
    }

    fn dial(&mut self, name: NodeName) {
        self.peers.entry(name.clone()).or_default().dialling = true;
        let (mesh, dials) = (self.mesh.clone(), self.dials.clone());
        self.work.push(Box::pin(async move {
            let _permit = dials.acquire().await;
            // Meanwhile the peer itself may have connected.
            let result = match mesh.connected().contains(&name) {
                true => Ok(()),
                false => mesh.connect(name.clone()).await,
            };
            Done::Dial(name, result)
        }));
    }

    fn poll_at_once(&self, index: usize) {
        let poll = poll(self.sources[index].strategy.clone(), self.poll_timeout);
        self.work.push(Box::pin(poll.map(move |answer| Done::Poll(index, answer))));
    }

    /// Polls when the interval is over, or when the strategy says that something has changed.
    fn poll_later(&self, index: usize) {
        let (strategy, limit) = (self.sources[index].strategy.clone(), self.poll_timeout);
        let (least, delay) = (SHORTEST_INTERVAL, jitter(self.interval));
        self.work.push(Box::pin(async move {
            sleep(least).await;
            // Not an error: the interval is over.
            let _ = timeout(delay.saturating_sub(least), strategy.changed()).await;
            Done::Poll(index, poll(strategy, limit).await)
        }));
    }

    fn wait(&self) {
        let interval = self.check_interval;
        self.work.push(Box::pin(async move {
            sleep(interval).await;
            Done::Wait
        }));
    }

    fn tell(&self, event: MeshEvent) {
        tell(&self.events, event);
    }
}

fn tell(events: &broadcast::Sender<MeshEvent>, event: MeshEvent) {
    mesh_metrics::count(&event);
    // Nobody needs to listen.
    let _ = events.send(event);
}

#[cfg(test)]
mod tests;
