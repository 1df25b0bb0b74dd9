//! Keeping the mesh joined.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_proto::node_name::NodeName;
use tokio::sync::{Semaphore, broadcast, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::mesh::{LeaveError, Mesh, MeshError};
use crate::poll_state::PollState;
use crate::removal::{Gone, Removal, RemovalPolicy, Standing, Verdict};
use crate::strategy::{Answer, Strategy, StrategyError};
use crate::{Backoff, MeshEvent, Novelty, mesh_metrics};

/// Connects a node with the peers that its strategies find, and connects again what is lost.
///
/// A peer that no strategy lists any more is not dialled again, and never disconnected: it is told of. The node itself
/// leaves the mesh if there is a [`Removal`] policy and the node has not been listed for its time. A strategy that fails or
/// suddenly finds nobody is taken to be wrong, and what it said before stays in force.
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
            standing: Standing::default(),
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
        self.dials = u32::try_from(dials).unwrap_or(u32::MAX).max(1);
        self
    }

    /// When the node leaves the mesh because it is no longer listed. Never unless told otherwise.
    pub fn removal(mut self, removal: Removal) -> Self {
        self.removal = removal;
        self
    }

    /// What the node is to the strategies' lists at the start: what [`Running::stop`] gave, for a reconciler that goes on
    /// where another one has stopped.
    pub fn standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// The names of the strategies, as events have them: of one that combines others, the others' names.
    pub fn strategies(&self) -> Vec<String> {
        leaves(self.strategies.clone()).iter().map(|strategy| strategy.name().to_owned()).collect()
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

/// A reconciler at work; it stops when this is dropped.
pub struct Running {
    events: broadcast::Sender<MeshEvent>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Standing>,
}

impl Running {
    /// What happens from now on. A receiver that falls 1,024 events behind misses the oldest.
    pub fn events(&self) -> broadcast::Receiver<MeshEvent> {
        self.events.subscribe()
    }

    /// Stops it and waits until nothing of it runs any more. The connections stay. Gives what the node is to the lists.
    pub async fn stop(self) -> Standing {
        // The task may have ended by itself.
        let _ = self.stop.send(());
        self.task.await.unwrap_or_default()
    }
}

/// The time between two polls even if a strategy sees change all the time.
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
    /// The node is out of the mesh: a dial that has waited for its turn is not made.
    has_left: Arc<AtomicBool>,
    /// An attempt to leave that has failed.
    unfinished_leave: Option<Gone>,
    interval: Duration,
    poll_timeout: Duration,
    check_interval: Duration,
    backoff: Backoff,
    events: broadcast::Sender<MeshEvent>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// The strategies, and in place of one that combines others those others, so that each has its own last answer.
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
}

/// A piece of work that has been done.
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
                // Told to stop, or left alone.
                _ = &mut stopped => return self.policy.standing(),
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
                match novelty {
                    Novelty::Repetition => tracing::debug!(strategy, %error, "discovery fails still"),
                    _ => tracing::warn!(strategy, %error, kept, "discovery failed; the peers found before stay"),
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
                    Novelty::Repetition => tracing::debug!(strategy, asked, "discovery finds no nodes still"),
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

    /// Does what follows from the answers for those that are known.
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

    /// Takes the node out of the mesh, when no dial is under way that would take it in again.
    fn leave(&mut self, gone: Gone) {
        self.has_left.store(true, Ordering::Release);
        self.unfinished_leave = None;
        let (mesh, has_left) = (self.mesh.clone(), self.has_left.clone());
        let (dials, all) = (self.dials.clone(), self.most_dials);
        self.work.push(Box::pin(async move {
            let _permits = dials.acquire_many(all).await;
            match has_left.load(Ordering::Acquire) {
                true => Done::Left(gone, mesh.leave().await),
                // Listed again meanwhile.
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
                tracing::warn!(node = %self.own_name, %error, "the node stays connected");
                // The next poll tries again, unless that is in vain.
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

    /// The strategies, all of which miss a node that is not listed.
    fn strategy_names(&self) -> String {
        const LONGEST: usize = 80;
        let name = |strategy: &Arc<dyn Strategy>| strategy.name().chars().take(LONGEST).collect::<String>();
        self.strategies.iter().map(name).collect::<Vec<_>>().join(", ")
    }

    fn dialled(&mut self, name: NodeName, result: Result<(), MeshError>) {
        // It may have been forgotten meanwhile.
        let Some(peer) = self.peers.get_mut(&name) else { return };
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

    /// Takes note of the connections that have come up or gone.
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
                    // A peer that takes connections only to drop them is to be backed off from, too.
                    let lasted = since.elapsed() >= self.backoff.longest;
                    peer.failures = if lasted { 1 } else { peer.failures.saturating_add(1) };
                    let retry_in = self.retry(&name);
                    tracing::info!(peer = %name, ?retry_in, "lost");
                    self.tell(MeshEvent::Lost { peer: name, retry_in });
                }
            }
        }
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
        let (mesh, dials, has_left) = (self.mesh.clone(), self.dials.clone(), self.has_left.clone());
        self.work.push(Box::pin(async move {
            let _permit = dials.acquire().await;
            // Meanwhile the peer itself may have connected.
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

    /// Polls when the interval is over, or when the strategy says that something has changed.
    fn poll_later(&self, index: usize) {
        let (strategy, limit) = (self.strategies[index].clone(), self.poll_timeout);
        let (least, delay) = (SHORTEST_INTERVAL, self.poll_states[index].pause(self.interval));
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

/// What is the matter with a node that is not listed.
fn why(gone: &Gone) -> &'static str {
    if gone.ended { "said to be at its end" } else { "no longer listed" }
}

fn tell(events: &broadcast::Sender<MeshEvent>, event: MeshEvent) {
    mesh_metrics::count(&event);
    // Nobody needs to listen.
    let _ = events.send(event);
}

#[cfg(test)]
mod tests;
