//! Keeps the mesh connected.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_node::ErrorChain;
use peerl_proto::node_name::NodeName;
use tokio::sync::{Semaphore, broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::mesh::{LeaveError, Mesh, MeshError};
use crate::poll_state::PollState;
use crate::removal::{Gone, Removal, RemovalPolicy, Standing, Verdict};
use crate::strategy::{Answer, Strategy, StrategyError};
use crate::{Backoff, MeshEvent, Novelty, mesh_metrics};

/// Connects a node to the peers that its strategies find, and reconnects lost ones.
///
/// A peer that no strategy lists any more is reported; it is not dialled again, but never disconnected. The node
/// itself leaves the mesh if it has not been listed for the time of its [`Removal`] policy. If a strategy fails, or
/// suddenly finds no nodes, its last answer stays in force.
pub struct Reconciler<M> {
    mesh: Arc<M>,
    strategies: Vec<Arc<dyn Strategy>>,
    interval: Duration,
    poll_timeout: Duration,
    check_interval: Duration,
    backoff: Backoff,
    dials: u32,
    removal: Removal,
    standing: Standing,
    events: broadcast::Sender<MeshEvent>,
}

impl<M: Mesh> Reconciler<M> {
    /// How long a poll may take, unless another [time](Self::poll_timeout) is set.
    pub const POLL_TIMEOUT: Duration = Duration::from_secs(30);

    /// Makes a reconciler with the default times; [`start`](Self::start) starts it.
    pub fn new(mesh: M, strategies: Vec<Arc<dyn Strategy>>) -> Self {
        Self {
            mesh: Arc::new(mesh),
            strategies,
            interval: Duration::from_secs(5),
            poll_timeout: Self::POLL_TIMEOUT,
            check_interval: Duration::from_secs(1),
            backoff: Backoff::default(),
            dials: 32,
            removal: Removal::default(),
            standing: Standing::default(),
            events: broadcast::channel(1024).0,
        }
    }

    /// Sets the longest pause between polls of a strategy; the actual one is a random half to all of it. Default: 5
    /// s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the time-out of a poll. Default: 30 s.
    pub fn poll_timeout(mut self, limit: Duration) -> Self {
        self.poll_timeout = limit;
        self
    }

    /// Sets how often the node is checked for lost connections. Default: 1 s.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// Sets the pauses between attempts to connect to a peer.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how many peers are dialled at once, at least 1. Default: 32.
    pub fn dials(mut self, dials: usize) -> Self {
        self.dials = u32::try_from(dials).unwrap_or(u32::MAX).max(1);
        self
    }

    /// Sets when the node leaves the mesh because it is no longer listed. Default: never.
    pub fn removal(mut self, removal: Removal) -> Self {
        self.removal = removal;
        self
    }

    /// Sets the node's initial standing: the result of [`Running::stop`], for a reconciler that continues another
    /// one's work.
    pub fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// The names of the strategies, as in events; for a strategy that combines others, their names.
    pub fn strategies(&self) -> Vec<String> {
        leaves(self.strategies.clone()).iter().map(|strategy| strategy.name().to_owned()).collect()
    }

    /// All events from the start on. A receiver that falls 1,024 events behind misses the oldest.
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
        let (own_name, strategies) = (self.mesh.name(), leaves(self.strategies));
        let driver = Driver {
            policy: RemovalPolicy::new(self.removal, own_name.clone(), strategies.len(), self.standing),
            own_name,
            mesh: self.mesh,
            poll_states: strategies.iter().map(|_| PollState::default()).collect(),
            strategies,
            peers: HashMap::new(),
            dials: Arc::new(Semaphore::new(self.dials as usize)),
            most_dials: self.dials,
            has_left: Arc::new(AtomicBool::new(self.standing == Standing::Out)),
            unfinished_leave: None,
            interval: self.interval,
            poll_timeout: self.poll_timeout,
            check_interval: self.check_interval,
            backoff: self.backoff,
            events: self.events.clone(),
            work: FuturesUnordered::new(),
        };
        Running { events: self.events, stop, task: tokio::spawn(driver.run(stopped)) }
    }
}

/// A running reconciler; it stops when this is dropped.
pub struct Running {
    events: broadcast::Sender<MeshEvent>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Standing>,
}

impl Running {
    /// All events from now on. A receiver that falls 1,024 events behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<MeshEvent> {
        self.events.subscribe()
    }

    /// Stops the reconciler and waits for its end. The connections stay. Returns the node's standing.
    pub async fn stop(self) -> Standing {
        // The task may already have ended.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}

/// The shortest pause between polls, even if a strategy reports changes all the time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

async fn poll(strategy: Arc<dyn Strategy>, limit: Duration) -> Result<Answer, StrategyError> {
    let start = Instant::now();
    let answer = timeout(limit, strategy.discover()).await;
    mesh_metrics::poll_took(strategy.name(), start.elapsed());
    answer.unwrap_or_else(|_| Err(StrategyError::TimedOut(limit)))
}

struct Driver<M> {
    own_name: NodeName,
    mesh: Arc<M>,
    strategies: Vec<Arc<dyn Strategy>>,
    poll_states: Vec<PollState>,
    policy: RemovalPolicy,
    peers: HashMap<NodeName, Peer>,
    dials: Arc<Semaphore>,
    most_dials: u32,
    /// Set while the node is out of the mesh: queued dials are then skipped.
    has_left: Arc<AtomicBool>,
    /// A failed attempt to leave, to be repeated.
    unfinished_leave: Option<Gone>,
    interval: Duration,
    poll_timeout: Duration,
    check_interval: Duration,
    backoff: Backoff,
    events: broadcast::Sender<MeshEvent>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// The strategies, with each combined strategy replaced by its members, so that each has its own last answer.
fn leaves(strategies: Vec<Arc<dyn Strategy>>) -> Vec<Arc<dyn Strategy>> {
    let mut leaves = Vec::with_capacity(strategies.len());
    let mut waiting = strategies;
    waiting.reverse();
    while let Some(strategy) = waiting.pop() {
        let members = strategy.members();
        match members.is_empty() {
            true => leaves.push(strategy),
            false => waiting.extend(members.into_iter().rev()),
        }
    }
    leaves
}

/// The state of a listed peer.
#[derive(Default)]
struct Peer {
    /// Whether an attempt is pending.
    dialling: bool,
    /// When the next attempt is due; `None` means at once.
    retry_at: Option<Instant>,
    /// When the connection was first seen up; `None` if it is down.
    up_since: Option<Instant>,
    /// The number of consecutive failed attempts or short-lived connections.
    failures: u32,
}

/// The result of a task.
enum Done {
    Poll(usize, Result<Answer, StrategyError>),
    Dial(NodeName, Result<(), MeshError>),
    Left(Gone, Result<Vec<NodeName>, LeaveError>),
    Retry,
    Wait,
}

impl<M: Mesh> Driver<M> {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Standing {
        for index in 0..self.strategies.len() {
            self.poll_at_once(index);
        }
        self.wait();
        loop {
            let done = tokio::select! {
                // Stopped, or the handle was dropped.
                _ = &mut stopped => return self.policy.standing(),
                Some(done) = self.work.next() => done,
            };
            self.take_note(done);
            // Process all finished tasks before checking the peers: one check per task would be slow in a large mesh.
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
                if let Some(gone) = self.unfinished_leave.take() {
                    self.leave(gone);
                }
                self.poll_later(index);
            }
            Done::Dial(peer, result) => self.dialled(peer, result),
            Done::Left(gone, result) => self.left(gone, result),
            Done::Retry => {}
            Done::Wait => self.wait(),
        }
    }

    fn polled(&mut self, index: usize, answer: Result<Answer, StrategyError>) {
        let strategy = self.strategies[index].name().to_owned();
        let novelty = self.poll_states[index].note(&answer);
        let kept = self.policy.in_force(index).len();
        let event = match answer {
            Err(error) => {
                self.policy.unanswered(index);
                let chain = ErrorChain(&error);
                match novelty {
                    Novelty::Repetition => tracing::debug!(strategy, error = %chain, "discovery still fails"),
                    _ => {
                        tracing::warn!(strategy, error = %chain, kept, "discovery failed; the peers found before stay")
                    }
                }
                MeshEvent::PollFailed { strategy, error: Arc::new(error), novelty }
            }
            Ok(answer) if answer.is_empty() => {
                let asked = answer.asked.clone();
                match kept {
                    0 => self.policy.answered(index, answer, Instant::now()),
                    _ => self.policy.unanswered(index),
                }
                match novelty {
                    Novelty::Repetition => tracing::debug!(strategy, asked, "discovery still finds no nodes"),
                    _ => tracing::warn!(strategy, asked, kept, "discovery finds no nodes; the peers found before stay"),
                }
                MeshEvent::PollEmpty { strategy, asked, kept, novelty }
            }
            Ok(answer) => {
                if novelty == Novelty::Change {
                    tracing::warn!(strategy, nodes = answer.len(), "discovery finds nodes");
                }
                let peers = answer.peers.clone();
                self.policy.answered(index, answer, Instant::now());
                MeshEvent::Polled { strategy, peers }
            }
        };
        self.tell(event);
    }

    /// Acts on the removal policy's verdicts.
    fn follow_the_answers(&mut self, connected: &BTreeSet<NodeName>) {
        for verdict in self.policy.verdicts(self.peers.keys(), connected) {
            match verdict {
                Verdict::Unlisted { peer, gone } => {
                    let (why, by) = (why(&gone), self.strategy_names());
                    tracing::warn!(%peer, unlisted_for = ?gone.time, %by, "{why}; it is alive, and stays connected");
                    self.tell(MeshEvent::Unlisted { peer, unlisted_for: gone.time, by, has_ended: gone.ended });
                }
                Verdict::Relisted { peer } => {
                    tracing::warn!(%peer, "listed again");
                    self.tell(MeshEvent::Relisted { peer });
                }
                Verdict::Forget { peer, gone } => {
                    let (why, by) = (why(&gone), self.strategy_names());
                    tracing::warn!(%peer, unlisted_for = ?gone.time, %by, "{why}, and not connected; it is forgotten");
                    self.peers.remove(&peer);
                    self.tell(MeshEvent::Forgotten { peer });
                }
                Verdict::Leave { gone } => {
                    let (why, by) = (why(&gone), self.strategy_names());
                    tracing::warn!(node = %self.own_name, unlisted_for = ?gone.time, %by, "the node itself is {why}; it leaves the mesh");
                    self.leave(gone);
                }
                Verdict::Rejoin => self.rejoin(),
            }
        }
    }

    /// Leaves the mesh, once no pending dial could rejoin it.
    fn leave(&mut self, gone: Gone) {
        self.has_left.store(true, Ordering::Release);
        self.unfinished_leave = None;
        let (mesh, has_left) = (self.mesh.clone(), self.has_left.clone());
        let (dials, all) = (self.dials.clone(), self.most_dials);
        self.work.push(Box::pin(async move {
            let _permits = dials.acquire_many(all).await;
            match has_left.load(Ordering::Acquire) {
                true => Done::Left(gone, mesh.leave().await),
                // Listed again in the meantime.
                false => Done::Retry,
            }
        }));
    }

    fn left(&mut self, gone: Gone, result: Result<Vec<NodeName>, LeaveError>) {
        match result {
            Ok(disconnected) => {
                tracing::warn!(node = %self.own_name, peers = disconnected.len(), "the node has left the mesh");
                self.tell(MeshEvent::Left { unlisted_for: gone.time, disconnected });
            }
            Err(error) => {
                tracing::warn!(node = %self.own_name, error = %ErrorChain(&error), "the node stays connected");
                // The next poll tries again, unless it cannot succeed.
                self.unfinished_leave = Some(gone).filter(|_| !matches!(error, LeaveError::Unsupported));
                self.tell(MeshEvent::CannotLeave { error: Arc::new(error) });
            }
        }
    }

    fn rejoin(&mut self) {
        tracing::warn!(node = %self.own_name, "the node itself is listed again; it joins the mesh");
        self.has_left.store(false, Ordering::Release);
        self.unfinished_leave = None;
        for peer in self.peers.values_mut() {
            (peer.retry_at, peer.failures) = (None, 0);
        }
        self.tell(MeshEvent::Rejoining);
    }

    /// The names of all strategies, none of which lists the node.
    fn strategy_names(&self) -> String {
        const LONGEST: usize = 80;
        let name = |strategy: &Arc<dyn Strategy>| strategy.name().chars().take(LONGEST).collect::<String>();
        self.strategies.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn dialled(&mut self, name: NodeName, result: Result<(), MeshError>) {
        // The peer may have been forgotten in the meantime.
        let Some(peer) = self.peers.get_mut(&name) else { return };
        peer.dialling = false;
        if let Err(error) = result {
            peer.failures = peer.failures.saturating_add(1);
            let retry_in = self.retry(&name);
            tracing::debug!(peer = %name, error = %ErrorChain(&*error), ?retry_in, "cannot connect to a peer");
            self.tell(MeshEvent::ConnectFailed { peer: name, error: Arc::new(error), retry_in });
        }
    }

    /// Compares the desired with the actual connections and starts missing ones.
    fn reconcile(&mut self) {
        let connected = self.mesh.connected();
        for name in self.policy.listed() {
            if !self.peers.contains_key(name) {
                self.peers.insert(name.clone(), Peer::default());
            }
        }
        self.note_connections(&connected);
        self.follow_the_answers(&connected);
        let now = Instant::now();
        let is_due = |peer: &Peer| {
            peer.up_since.is_none() && !peer.dialling && peer.retry_at.is_none_or(|retry_at| retry_at <= now)
        };
        let missing = self.peers.iter().filter(|(name, peer)| is_due(peer) && self.policy.wants(name));
        let missing: Vec<NodeName> = missing.map(|(name, _)| name.clone()).collect();
        missing.into_iter().for_each(|name| self.dial(name));
        let up = self.peers.values().filter(|peer| peer.up_since.is_some()).count();
        mesh_metrics::peers(self.policy.listed().len(), up);
    }

    /// Records new and lost connections.
    fn note_connections(&mut self, connected: &BTreeSet<NodeName>) {
        let is_news = |(name, peer): &(&NodeName, &Peer)| peer.up_since.is_some() != connected.contains(*name);
        let news: Vec<NodeName> = self.peers.iter().filter(is_news).map(|(name, _)| name.clone()).collect();
        for name in news {
            let peer = self.peers.entry(name.clone()).or_default();
            match peer.up_since.take() {
                None => {
                    peer.up_since = Some(Instant::now());
                    peer.retry_at = None;
                    tracing::debug!(peer = %name, "connected");
                    self.tell(MeshEvent::Connected { peer: name });
                }
                Some(since) => {
                    // Back off from a peer that accepts connections only to drop them, too.
                    let lasted = since.elapsed() >= self.backoff.longest;
                    peer.failures = if lasted { 1 } else { peer.failures.saturating_add(1) };
                    let retry_in = self.retry(&name);
                    tracing::info!(peer = %name, ?retry_in, "lost");
                    self.tell(MeshEvent::Lost { peer: name, retry_in });
                }
            }
        }
    }

    /// Schedules the next dial and a check at that time; returns the pause.
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
        let (mesh, dials, has_left) = (self.mesh.clone(), self.dials.clone(), self.has_left.clone());
        self.work.push(Box::pin(async move {
            let _permit = dials.acquire().await;
            // The peer itself may have connected in the meantime.
            let result = match mesh.connected().contains(&name) {
                true => Ok(()),
                false if has_left.load(Ordering::Acquire) => Err("the node has left the mesh".into()),
                false => mesh.connect(name.clone()).await,
            };
            Done::Dial(name, result)
        }));
    }

    fn poll_at_once(&self, index: usize) {
        let poll = poll(self.strategies[index].clone(), self.poll_timeout);
        self.work.push(Box::pin(poll.map(move |answer| Done::Poll(index, answer))));
    }

    /// Polls at the end of the interval, or when the strategy reports a change.
    fn poll_later(&self, index: usize) {
        let (strategy, limit) = (self.strategies[index].clone(), self.poll_timeout);
        let (least, delay) = (SHORTEST_INTERVAL, self.poll_states[index].pause(self.interval));
        self.work.push(Box::pin(async move {
            sleep(least).await;
            // A time-out means the end of the interval.
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

/// Why a node counts as removed.
fn why(gone: &Gone) -> &'static str {
    if gone.ended { "said to be at its end" } else { "no longer listed" }
}

fn tell(events: &broadcast::Sender<MeshEvent>, event: MeshEvent) {
    mesh_metrics::count(&event);
    // There may be no receiver.
    let _ = events.send(event);
}

#[cfg(test)]
mod tests;
