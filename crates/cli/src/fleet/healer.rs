//! Inspects the nodes of a fleet, and makes missing connections.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_discovery::{Backoff, MeshError, MeshEvent, Novelty, RemoteError, RemoteNode};
use peerl_node::{CallError, ConnectError, ErrorChain, Node, NodeName, Nodes};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};

use super::profile::{self, NodeProfile};
use super::{Connectivity, FleetEvent, Gap};
use crate::explain;
use crate::failure::Failure;
use crate::fan_out::nothing_found;

/// The options of a healer.
#[derive(Clone, Debug)]
pub struct HealerOptions {
    /// Whether missing connections are made.
    pub mode: HealerMode,
    /// Whether hidden nodes are connected, too.
    pub with_hidden: bool,
    /// The time-out of a node's answers.
    pub timeout: Duration,
    /// How long a node that does not answer delays the others.
    pub patience: Duration,
    /// The most simultaneous connection attempts.
    pub joins: usize,
    /// The pauses between attempts to connect two nodes.
    pub backoff: Backoff,
}

impl Default for HealerOptions {
    fn default() -> Self {
        Self {
            mode: HealerMode::Heal,
            with_hidden: false,
            timeout: Duration::from_secs(10),
            patience: Duration::from_secs(1),
            joins: 32,
            backoff: Backoff::default(),
        }
    }
}

/// The reaction to a missing connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealerMode {
    /// It is made.
    Heal,
    /// It is reported: a dry run.
    Report,
}

/// Connects the nodes of a fleet to a mesh. It never ends a connection.
///
/// All work happens while [`next`](Self::next) is awaited.
pub struct Healer {
    node: Node,
    options: HealerOptions,
    members: BTreeMap<NodeName, Member>,
    attempts: HashMap<Pair, Attempt>,
    /// The reports of a dry run.
    told: HashSet<Pair>,
    joins: Arc<Semaphore>,
    joined: usize,
    state: Option<FleetEvent>,
    events: VecDeque<FleetEvent>,
    work: FuturesUnordered<BoxFuture<'static, Done>>,
}

/// The state of a node.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) profile: Option<NodeProfile>,
    /// The nodes that it last reported as connected; `None` if it has a problem or was never inspected.
    pub(crate) connected: Option<BTreeSet<NodeName>>,
    /// Why it cannot be inspected.
    pub(crate) trouble: Option<Failure>,
    /// The start of the pending inspection.
    looking: Option<Instant>,
    /// Whether others no longer wait for it.
    late: bool,
}

/// Two nodes, the lesser first.
type Pair = (NodeName, NodeName);

/// The attempts to connect two nodes.
#[derive(Debug, Default)]
struct Attempt {
    joining: bool,
    failures: u32,
    retry_at: Option<Instant>,
    error: Option<String>,
}

/// The result of a task.
enum Done {
    Looked(NodeName, Box<Result<(NodeProfile, BTreeSet<NodeName>), Failure>>),
    Joined(Gap, Result<Pair, String>),
}

impl Healer {
    /// Makes a healer that acts through this node.
    pub fn new(node: Node, options: HealerOptions) -> Self {
        let joins = Arc::new(Semaphore::new(options.joins.max(1)));
        Self {
            node,
            options,
            members: BTreeMap::new(),
            attempts: HashMap::new(),
            told: HashSet::new(),
            joins,
            joined: 0,
            state: None,
            events: VecDeque::new(),
            work: FuturesUnordered::new(),
        }
    }

    /// Adds a node to the fleet and inspects it, connecting to it if necessary. Its previous state is dropped.
    pub fn look(&mut self, name: NodeName) {
        if name == *self.node.name() {
            return;
        }
        let member = self.members.entry(name.clone()).or_default();
        *member = Member { trouble: member.trouble.take(), looking: member.looking, ..Member::default() };
        self.start_look(name);
    }

    /// Inspects again the nodes that have answered.
    pub fn verify(&mut self) {
        self.look_again_at(|_, member| member.connected.is_some());
    }

    /// Inspects again all connected nodes, including those that have not answered.
    pub fn look_again(&mut self) {
        let connected: HashSet<NodeName> = self.node.nodes(Nodes::Connected).into_iter().collect();
        self.look_again_at(|name, _| connected.contains(name));
    }

    fn look_again_at(&mut self, which: impl Fn(&NodeName, &Member) -> bool) {
        self.joined = 0;
        let chosen = self.members.iter().filter(|(name, member)| which(name, member));
        let chosen: Vec<NodeName> = chosen.map(|(name, _)| name.clone()).collect();
        for name in chosen {
            self.start_look(name);
        }
    }

    /// Records that a node cannot be reached.
    pub fn lost(&mut self, name: NodeName, why: Failure) {
        let member = self.members.entry(name.clone()).or_default();
        // When it returns, it may be another node.
        (member.profile, member.connected) = (None, None);
        if member.trouble.as_ref() != Some(&why) {
            self.events.push_back(FleetEvent::Unreachable { node: name, error: why.to_string() });
            member.trouble = Some(why);
        }
        self.evaluate();
    }

    /// Removes a node from the fleet. It keeps its connections.
    pub fn forget(&mut self, name: &NodeName) {
        if self.members.remove(name).is_some() {
            self.events.push_back(FleetEvent::Gone { node: name.clone() });
            self.evaluate();
        }
    }

    /// Processes an event of the guest's own mesh; returns a new error of discovery, if it is one.
    pub fn heed(&mut self, event: MeshEvent) -> Option<FleetEvent> {
        let (strategy, error) = match event {
            MeshEvent::Connected { peer } => {
                self.look(peer);
                return None;
            }
            MeshEvent::ConnectFailed { peer, error, .. } => {
                self.lost(peer, unreachable(&error));
                return None;
            }
            MeshEvent::Lost { peer, .. } => {
                let why = Failure::new(format!("the connection to {peer} has ended"));
                self.lost(peer, why);
                return None;
            }
            MeshEvent::Forgotten { peer } => {
                self.forget(&peer);
                return None;
            }
            MeshEvent::PollFailed { novelty: Novelty::Repetition, .. }
            | MeshEvent::PollEmpty { novelty: Novelty::Repetition, .. } => return None,
            MeshEvent::PollFailed { strategy, error, .. } => (strategy, ErrorChain(&*error).to_string()),
            MeshEvent::PollEmpty { strategy, asked, .. } => (strategy, nothing_found("it", &asked)),
            _ => return None,
        };
        Some(FleetEvent::DiscoveryFailed { strategy, error })
    }

    /// Runs until something happens; `None` if nothing is left to do.
    ///
    /// Can be dropped and called again.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let patience_ends = self.waited_for().map(|began| began + self.options.patience).min();
            tokio::select! {
                done = self.work.next() => match done? {
                    Done::Looked(name, result) => self.looked(name, *result),
                    Done::Joined(gap, result) => self.has_joined(&gap, result),
                },
                () = sleep_until(patience_ends.unwrap_or_else(Instant::now)), if patience_ends.is_some() => {
                    let patience = self.options.patience;
                    for member in self.members.values_mut() {
                        member.late = member.late || member.looking.is_some_and(|began| began.elapsed() >= patience);
                    }
                    self.evaluate();
                }
            }
        }
    }

    /// The number of connections made since the last inspection.
    pub fn joined(&self) -> usize {
        self.joined
    }

    pub(crate) fn members(&self) -> &BTreeMap<NodeName, Member> {
        &self.members
    }

    /// The connections among the answering nodes of the mesh.
    pub fn connectivity(&self) -> Connectivity {
        let mut connectivity = Connectivity::default();
        for (name, member) in self.members.iter().filter(|(_, member)| self.is_wanted(member)) {
            if let Some(connected) = &member.connected {
                connectivity.insert(name.clone(), connected.clone());
            }
        }
        connectivity
    }

    /// Whether a node should be connected to all others, as far as is known.
    pub(super) fn is_wanted(&self, member: &Member) -> bool {
        self.options.with_hidden || !member.profile.as_ref().is_some_and(|profile| profile.hidden)
    }

    /// The error of the last attempt to connect two nodes.
    pub(super) fn error(&self, gap: &Gap) -> Option<&str> {
        self.attempts.get(&pair(&gap.node, &gap.peer))?.error.as_deref()
    }

    fn start_look(&mut self, name: NodeName) {
        let (remote, limit) = (self.remote(name.clone()), self.options.timeout);
        let Some(member) = self.members.get_mut(&name) else { return };
        if member.looking.is_some() {
            return;
        }
        (member.looking, member.late) = (Some(Instant::now()), false);
        let known = member.profile.clone();
        self.work.push(Box::pin(async move {
            let connected = timeout(limit, remote.guest().connect(&name)).await;
            let looked = match connected {
                Ok(Ok(())) => profile::look(&remote, known).await,
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(profile::call_failure(CallError::Timeout(limit), "", &name)),
            };
            Done::Looked(name, Box::new(looked))
        }));
    }

    fn looked(&mut self, name: NodeName, result: Result<(NodeProfile, BTreeSet<NodeName>), Failure>) {
        let Some(member) = self.members.get_mut(&name) else { return };
        (member.looking, member.late) = (None, false);
        match result {
            Ok((profile, connected)) => {
                if member.profile.is_none() || member.trouble.is_some() {
                    self.events.push_back(FleetEvent::Reached { node: name, profile: profile.clone() });
                }
                (member.profile, member.connected, member.trouble) = (Some(profile), Some(connected), None);
                if self.waited_for().next().is_none() {
                    self.evaluate();
                }
            }
            Err(failure) => self.lost(name, failure),
        }
    }

    fn has_joined(&mut self, gap: &Gap, result: Result<Pair, String>) {
        let attempt = self.attempts.entry(pair(&gap.node, &gap.peer)).or_default();
        attempt.joining = false;
        match result {
            Ok((node, peer)) => {
                *attempt = Attempt::default();
                self.joined += 1;
                for (one, other) in [(&node, &peer), (&peer, &node)] {
                    if let Some(connected) = self.members.get_mut(one).and_then(|member| member.connected.as_mut()) {
                        connected.insert(other.clone());
                    }
                }
                self.events.push_back(FleetEvent::Connected { node, peer });
            }
            Err(error) => {
                attempt.failures = attempt.failures.saturating_add(1);
                let retry_in = self.options.backoff.delay(attempt.failures);
                attempt.retry_at = Some(Instant::now() + retry_in);
                if attempt.error.as_ref() != Some(&error) {
                    attempt.error = Some(error.clone());
                    let (node, peer) = (gap.node.clone(), gap.peer.clone());
                    self.events.push_back(FleetEvent::CannotConnect { node, peer, error, retry_in });
                }
            }
        }
        if !self.attempts.values().any(|attempt| attempt.joining) {
            self.evaluate();
        }
    }

    /// The start times of the inspections that others wait for.
    fn waited_for(&self) -> impl Iterator<Item = Instant> {
        self.members.values().filter(|member| !member.late).filter_map(|member| member.looking)
    }

    /// Compares the desired with the actual connections and starts missing ones.
    fn evaluate(&mut self) {
        let connectivity = self.connectivity();
        let (gaps, partitions) = (connectivity.gaps(), connectivity.partitions());
        let unreachable = self.members.values().filter(|member| member.connected.is_none()).count();
        let state = match partitions.len() {
            0 => return,
            _ if gaps.is_empty() => FleetEvent::Whole { nodes: connectivity.len(), unreachable },
            1 => FleetEvent::Incomplete { missing: gaps.clone() },
            _ => FleetEvent::Partitioned { partitions },
        };
        if self.state.as_ref() != Some(&state) {
            self.events.push_back(state.clone());
            self.state = Some(state);
        }
        let missing: HashSet<Pair> = gaps.iter().map(|gap| pair(&gap.node, &gap.peer)).collect();
        self.attempts.retain(|pair, attempt| attempt.joining || missing.contains(pair));
        self.told.retain(|pair| missing.contains(pair));
        for gap in gaps {
            self.close(gap);
        }
    }

    fn close(&mut self, gap: Gap) {
        let pair = pair(&gap.node, &gap.peer);
        if self.options.mode == HealerMode::Report {
            if self.told.insert(pair) {
                self.events.push_back(FleetEvent::WouldConnect { node: gap.node, peer: gap.peer });
            }
            return;
        }
        let attempt = self.attempts.entry(pair).or_default();
        if attempt.joining || attempt.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        attempt.joining = true;
        let (joins, one, other) = (self.joins.clone(), self.remote(gap.node.clone()), self.remote(gap.peer.clone()));
        self.work.push(Box::pin(async move {
            let _permit = joins.acquire().await;
            let result = join(&one, &other).await;
            Done::Joined(gap, result)
        }));
    }

    fn remote(&self, name: NodeName) -> RemoteNode {
        RemoteNode::new(self.node.clone(), name).timeout(self.options.timeout)
    }
}

fn unreachable(error: &MeshError) -> Failure {
    match error.downcast_ref::<ConnectError>() {
        Some(error) => error.clone().into(),
        None => Failure::from_error(&**error),
    }
}

fn pair(one: &NodeName, other: &NodeName) -> Pair {
    let (lesser, greater) = if one < other { (one, other) } else { (other, one) };
    (lesser.clone(), greater.clone())
}

/// Connects one node to the other; if a firewall or a name service prevents it, tries the other direction.
async fn join(one: &RemoteNode, other: &RemoteNode) -> Result<Pair, String> {
    let mut errors = Vec::new();
    for (node, peer) in [(one, other), (other, one)] {
        match node.connect(peer.name()).await {
            Ok(()) => return Ok((node.name().clone(), peer.name().clone())),
            Err(RemoteError::Call(error)) => {
                errors
                    .push(profile::call_failure(error, "net_kernel:connect_node/1", node.name()).message().to_owned());
            }
            Err(RemoteError::CannotConnect { node, peer, obstacle }) => {
                errors.push(format!("{node} cannot connect {peer}: {}", explain::obstacle(&obstacle)));
            }
            Err(error) => errors.push(ErrorChain(&error).to_string()),
        }
    }
    Err(errors.join("; "))
}
