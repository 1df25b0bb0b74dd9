//! The cluster as shown on a page: its nodes, their roles and their connections.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use peerl_discovery::MeshEvent;
use peerl_node::{Node, NodeEvent, NodeName, Nodes, Visibility};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::address::name_of;
use super::workers::{WorkerRole, Workers};
use crate::fleet::{FleetEvent, Healer, HealerMode, HealerOptions, Member};

/// The cluster at the last inspection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cluster {
    /// The name of the page's node.
    pub(crate) this: String,
    /// The nodes, grouped by partition.
    pub(crate) nodes: Vec<ClusterNode>,
    /// The partitions of the cluster, largest first; one if all is well.
    pub(crate) partitions: Vec<Vec<String>>,
    /// The number of pairs of nodes that are not connected in both directions.
    pub(crate) missing: usize,
    /// Strategies that fail or find no nodes, with their messages.
    pub(crate) discovery: BTreeMap<String, String>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ClusterNode {
    /// Its name.
    pub(crate) name: String,
    /// `beam` or `peerl`, once known.
    pub(crate) kind: Option<&'static str>,
    /// Whether it is hidden from the others' `nodes()`.
    pub(crate) hidden: bool,
    /// Its OTP release, or the one whose protocol it speaks.
    pub(crate) release: Option<String>,
    /// The start of its connection to the page's node, in milliseconds since 1970.
    pub(crate) connected_since_ms: Option<u64>,
    /// The nodes that it reports as connected; `null` if it does not answer.
    pub(crate) sees: Option<BTreeSet<String>>,
    /// Its role for jobs.
    pub(crate) role: Option<WorkerRole>,
    /// Why it does not answer.
    pub(crate) error: Option<String>,
}

impl Cluster {
    /// Whether each answering node sees all others.
    pub(crate) fn is_whole(&self) -> bool {
        self.partitions.len() <= 1 && self.missing == 0
    }

    /// The number of nodes that take checksums.
    pub(crate) fn able(&self) -> usize {
        self.nodes.iter().filter(|node| node.error.is_none() && matches!(node.role, Some(WorkerRole::Takes(_)))).count()
    }

    /// The nodes of the mesh; hidden nodes need not see each other.
    pub(crate) fn members(&self) -> impl Iterator<Item = &ClusterNode> {
        self.nodes.iter().filter(|node| !node.hidden)
    }

    /// A one-sentence summary.
    pub(crate) fn summary(&self) -> String {
        let silent = self.nodes.iter().filter(|node| node.error.is_some()).count();
        let lost = match silent {
            0 => String::new(),
            all if all == self.nodes.len() => String::new(),
            1 => " One node does not answer; it is tried again and again.".to_owned(),
            many => format!(" {many} nodes do not answer; they are tried again and again."),
        };
        let answering = self.partitions.iter().map(Vec::len).sum::<usize>();
        let state = match (answering, self.partitions.len()) {
            (0, _) if self.nodes.is_empty() && self.discovery.is_empty() => "No node has been found yet.".to_owned(),
            (0, _) if self.nodes.is_empty() => "No node has been found.".to_owned(),
            (0, _) if silent == self.nodes.len() => "No node answers; they are tried again and again.".to_owned(),
            (0, _) => "No node that is visible to others answers.".to_owned(),
            (1, _) => "One node, which has no others to see.".to_owned(),
            (count, 1) if self.missing == 0 => format!("All {count} nodes see each other."),
            (count, 1) if self.missing == 1 => format!("{count} nodes; one connection between two of them is missing."),
            (count, 1) => format!("{count} nodes; {} connections between them are missing.", self.missing),
            (_, parts) => format!("The cluster has fallen into {parts} parts that do not see each other."),
        };
        state + &lost
    }
}

/// The page node's knowledge of the cluster, refreshed while someone watches.
#[derive(Debug)]
pub(crate) struct ClusterView {
    cluster: watch::Receiver<Arc<Cluster>>,
    wanted: Arc<Mutex<Option<Instant>>>,
    task: JoinHandle<()>,
}

/// How often the nodes are queried while someone watches.
const EVERY: Duration = Duration::from_secs(3);

/// The most nodes that are inspected and shown. What they report is compared for each two of them.
const MOST: usize = 256;

/// The pause between two updates of the page's knowledge: many nodes may come and go at once.
const PAUSE: Duration = Duration::from_millis(250);

/// How long queries continue after the last page view.
const LINGERING: Duration = Duration::from_secs(15);

impl ClusterView {
    /// Follows the connections of a node, and its discovery.
    pub(crate) fn follow(node: &Node, mesh: broadcast::Receiver<MeshEvent>, workers: &Workers) -> Self {
        let this = name_of(node);
        let (sender, cluster) = watch::channel(Arc::new(Cluster { this, ..Cluster::default() }));
        let wanted = Arc::new(Mutex::new(None));
        let observer = Observer::new(node.clone(), workers.clone(), sender);
        let task = tokio::spawn(observer.run(mesh, wanted.clone()));
        Self { cluster, wanted, task }
    }

    /// The current cluster, and its changes. A reader must call this repeatedly to keep it refreshed.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Cluster>> {
        self.want();
        self.cluster.clone()
    }

    /// Records a page view.
    pub(crate) fn want(&self) {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The current cluster.
    pub(crate) fn now(&self) -> Arc<Cluster> {
        self.want();
        self.cluster.borrow().clone()
    }

    /// Whether a node belongs to the cluster, so that it may be called for a visitor.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.cluster.borrow().nodes.iter().any(|node| node.name == name)
    }
}

impl Drop for ClusterView {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Inspects the cluster and publishes the result.
struct Observer {
    node: Node,
    workers: Workers,
    healer: Healer,
    since: HashMap<NodeName, SystemTime>,
    /// The listed nodes that have been connected before.
    listed: BTreeSet<NodeName>,
    discovery: BTreeMap<String, String>,
    asking: FuturesUnordered<BoxFuture<'static, ()>>,
    cluster: watch::Sender<Arc<Cluster>>,
}

impl Observer {
    fn new(node: Node, workers: Workers, cluster: watch::Sender<Arc<Cluster>>) -> Self {
        let options = HealerOptions { mode: HealerMode::Report, ..HealerOptions::default() };
        let healer = Healer::new(node.clone(), options);
        let (since, listed, discovery) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { node, workers, healer, since, listed, discovery, asking: FuturesUnordered::new(), cluster }
    }

    async fn run(mut self, mut mesh: broadcast::Receiver<MeshEvent>, wanted: Arc<Mutex<Option<Instant>>>) {
        let mut events = self.node.events();
        for peer in self.node.nodes(Nodes::Visible) {
            self.up(peer);
        }
        if self.node.visibility() == Visibility::Visible {
            // A worker also works for its own page.
            self.ask(self.node.name().clone());
        }
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_old, mut publish_at) = (false, tokio::time::Instant::now());
        loop {
            tokio::select! {
                () = sleep_until(publish_at), if is_old => {
                    (is_old, publish_at) = (false, tokio::time::Instant::now() + PAUSE);
                    self.publish();
                    continue;
                }
                Some(_) = self.healer.next() => {}
                Some(()) = self.asking.next() => {}
                event = mesh.recv() => match event {
                    Ok(event) => self.heed(event),
                    Err(broadcast::error::RecvError::Lagged(_)) => continue,
                    // Discovery has ended, and so does the page.
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                event = events.recv() => match event {
                    Ok(NodeEvent::NodeUp { node, visibility: Visibility::Visible }) => self.up(node),
                    Ok(NodeEvent::NodeUp { node, .. }) => {
                        self.since.insert(node, SystemTime::now());
                    }
                    Ok(NodeEvent::NodeDown { node, .. }) => self.down(node),
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                _ = ticks.tick() => {
                    let wanted = *wanted.lock().unwrap_or_else(PoisonError::into_inner);
                    if wanted.is_none_or(|at| at.elapsed() > LINGERING) {
                        continue;
                    }
                    self.healer.look_again();
                }
            }
            is_old = true;
        }
    }

    fn heed(&mut self, event: MeshEvent) {
        match &event {
            MeshEvent::Polled { strategy, .. } => {
                self.discovery.remove(strategy);
            }
            MeshEvent::Connected { peer } => {
                self.listed.insert(peer.clone());
                self.since.entry(peer.clone()).or_insert_with(SystemTime::now);
                self.ask(peer.clone());
            }
            MeshEvent::ConnectFailed { peer, .. } | MeshEvent::Lost { peer, .. } => {
                self.listed.insert(peer.clone());
            }
            MeshEvent::Forgotten { peer } => {
                self.listed.remove(peer);
                self.workers.forget(peer);
            }
            _ => {}
        }
        let is_shown = match &event {
            MeshEvent::Connected { peer } | MeshEvent::ConnectFailed { peer, .. } | MeshEvent::Lost { peer, .. } => {
                self.has_room_for(peer)
            }
            _ => true,
        };
        if is_shown && let Some(FleetEvent::DiscoveryFailed { strategy, error }) = self.healer.heed(event) {
            self.discovery.insert(strategy, error);
        }
    }

    fn up(&mut self, peer: NodeName) {
        self.since.insert(peer.clone(), SystemTime::now());
        if self.has_room_for(&peer) {
            self.healer.look(peer.clone());
        }
        self.ask(peer);
    }

    fn has_room_for(&self, peer: &NodeName) -> bool {
        let members = self.healer.members();
        members.len() < MOST || members.contains_key(peer)
    }

    fn down(&mut self, peer: NodeName) {
        self.since.remove(&peer);
        // A listed node is reconnected; its jobs wait, and other nodes do its share in the meantime.
        if !self.listed.contains(&peer) {
            self.healer.forget(&peer);
            self.workers.forget(&peer);
        }
    }

    fn ask(&mut self, peer: NodeName) {
        let (node, workers) = (self.node.clone(), self.workers.clone());
        self.asking.push(Box::pin(async move { workers.ask(&node, &peer).await }));
    }

    fn publish(&self) {
        let cluster = self.cluster();
        self.cluster.send_if_modified(|known| {
            let is_new = **known != cluster;
            if is_new {
                *known = Arc::new(cluster);
            }
            is_new
        });
    }

    fn cluster(&self) -> Cluster {
        let mut connectivity = self.healer.connectivity();
        let mut nodes: Vec<ClusterNode> =
            self.healer.members().iter().map(|(name, member)| self.neighbour(name, member)).collect();
        if self.node.visibility() == Visibility::Visible {
            let peers: BTreeSet<NodeName> = self.node.nodes(Nodes::Visible).into_iter().collect();
            connectivity.insert_observer(self.node.name().clone(), peers.clone());
            nodes.push(self.this(peers));
        }
        let partitions: Vec<Vec<String>> =
            connectivity.partitions().iter().map(|part| part.iter().map(ToString::to_string).collect()).collect();
        let place = |node: &ClusterNode| {
            let part = partitions.iter().position(|part| part.contains(&node.name));
            (node.hidden, part.unwrap_or(usize::MAX), node.name.clone())
        };
        nodes.sort_by_cached_key(place);
        let (missing, discovery) = (connectivity.gaps().len(), self.discovery.clone());
        Cluster { this: name_of(&self.node), nodes, partitions, missing, discovery }
    }

    fn neighbour(&self, name: &NodeName, member: &Member) -> ClusterNode {
        let profile = member.profile.as_ref();
        let sees = |connected: &BTreeSet<NodeName>| {
            let mut sees: BTreeSet<String> = connected.iter().map(ToString::to_string).collect();
            // Unless the page's node is a visible member, remove it from the others' reports.
            if self.node.visibility() == Visibility::Visible && self.since.contains_key(name) {
                sees.insert(self.node.name().to_string());
            }
            sees
        };
        ClusterNode {
            name: name.to_string(),
            kind: profile.map(|profile| profile.kind.as_str()),
            hidden: profile.is_some_and(|profile| profile.hidden),
            release: profile.map(|profile| profile.release.clone()),
            connected_since_ms: self.since.get(name).map(|since| milliseconds(*since)),
            sees: member.connected.as_ref().map(sees),
            role: self.workers.role(name),
            error: member.trouble.as_ref().map(ToString::to_string),
        }
    }

    fn this(&self, peers: BTreeSet<NodeName>) -> ClusterNode {
        ClusterNode {
            name: self.node.name().to_string(),
            kind: Some("peerl"),
            hidden: false,
            release: Some(peerl_otp::functions::RELEASE.to_owned()),
            connected_since_ms: None,
            sees: Some(peers.iter().map(ToString::to_string).collect()),
            role: self.workers.role(self.node.name()),
            error: None,
        }
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    u64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
