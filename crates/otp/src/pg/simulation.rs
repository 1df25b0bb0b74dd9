//! Scope processes of several nodes in memory. What happens, and in which order messages arrive, depends on a seed alone.
//!
//! Messages between two nodes arrive in the order in which they were sent; those of different pairs in any. A connection that
//! is cut loses a part of what is under way, and each end learns of it later, for itself. Members end, scope processes
//! end and start anew, and so do whole nodes. Some nodes speak as OTP 27, some as OTP 29.
//!
//! When all are connected again and everything has arrived, all agree on who is a member of what.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use peerl_node::{Atom, Budget, NodeName, Pid, Term};

use super::groups::Groups;
use super::message::{self, PeerMessage, Version};
use super::state::{Action, Limits, State, Watched};
use super::view::{MonitorId, Subject, Update, View};

const NAMES: [&str; 8] = ["a@h.x", "b@h.x", "c@h.x", "d@h.x", "e@h.x", "f@h.x", "g@h.x", "h@h.x"];

/// Random numbers from a seed.
struct Random(fastrand::Rng);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0.usize(..limit)
    }

    fn choose<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        self.0.choice(from).cloned()
    }
}

/// What arrives at a node, from another one or from itself.
#[derive(Debug)]
enum Arrival {
    /// The nodes are connected; this is the number of the connection.
    Up(u64),
    /// They no longer are.
    Lost,
    /// A message to a process, or to the one that has the scope's name.
    Message(Option<Pid>, Term),
    /// The sender monitors this process, under this number.
    Monitor(Monitor, Pid),
    /// What was monitored has ended, or was not there.
    Down(Monitor),
}

/// The number of a monitor.
type Monitor = u64;

/// Which release a node speaks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Own,
    Otp27,
    Otp29,
}

struct Node {
    name: NodeName,
    dialect: Dialect,
    creation: u32,
    last_pid: u32,
    state: State,
    view: View,
    monitor: MonitorId,
    /// What the monitor of the scope has been told, applied.
    told: Groups,
    members: BTreeSet<Pid>,
    /// The monitors on its processes, and the nodes that have them.
    monitored: BTreeMap<Monitor, (Pid, usize)>,
    /// The monitors of its scope process.
    watched: BTreeMap<Monitor, Watched>,
    /// The connections that it has seen come up.
    connected: BTreeMap<usize, u64>,
}

impl Node {
    fn new(index: usize, creation: u32, dialect: Dialect) -> Self {
        let name = NodeName::new(NAMES[index]).unwrap();
        let own = Pid { node: Atom::from_static(NAMES[index]), id: 1, serial: 0, creation };
        let mut view = View::default();
        let monitor = view.monitor(Subject::Scope);
        Self {
            name,
            dialect,
            creation,
            last_pid: 1,
            state: State::new(own, Limits::new(Budget::new(usize::MAX, 1))),
            view,
            monitor,
            told: Groups::default(),
            members: BTreeSet::new(),
            monitored: BTreeMap::new(),
            watched: BTreeMap::new(),
            connected: BTreeMap::new(),
        }
    }

    fn next_pid(&mut self) -> Pid {
        self.last_pid += 1;
        Pid { node: self.name.as_atom().clone(), id: self.last_pid, serial: 0, creation: self.creation }
    }
}

struct Network {
    random: Random,
    nodes: Vec<Node>,
    /// The number of the connection between two nodes, the smaller one first.
    links: BTreeMap<(usize, usize), u64>,
    last_link: u64,
    last_monitor: Monitor,
    /// What is under way, from one node to another or to itself.
    queues: BTreeMap<(usize, usize), VecDeque<Arrival>>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut random = Random(fastrand::Rng::with_seed(seed));
        let count = 3 + random.below(6);
        let dialects = [Dialect::Own, Dialect::Own, Dialect::Otp27, Dialect::Otp29];
        let nodes = (0..count).map(|index| Node::new(index, 1, dialects[random.below(4)])).collect();
        Self { random, nodes, links: BTreeMap::new(), last_link: 0, last_monitor: 0, queues: BTreeMap::new() }
    }

    fn run(&mut self) {
        for _ in 0..200 + self.random.below(800) {
            self.step();
        }
        self.heal();
        while self.deliver() {}
        self.check();
    }

    fn step(&mut self) {
        let node = self.random.below(self.nodes.len());
        let other = self.random.below(self.nodes.len());
        match self.random.below(100) {
            0..60 => drop(self.deliver()),
            60..75 => self.join(node),
            75..82 => self.leave(node),
            82..87 => self.end_member(node),
            87..92 => self.cut(node, other),
            92..98 => self.connect(node, other),
            98 => self.restart_scope(node),
            _ => self.restart_node(node),
        }
    }

    fn group(&mut self) -> Term {
        Term::from(self.random.below(4))
    }

    /// Some members of a node, some of them twice.
    fn some_members(&mut self, node: usize) -> Vec<Pid> {
        let members: Vec<Pid> = self.nodes[node].members.iter().cloned().collect();
        (0..1 + self.random.below(3)).filter_map(|_| self.random.choose(&members)).collect()
    }

    fn join(&mut self, node: usize) {
        if self.random.below(3) == 0 {
            let pid = self.nodes[node].next_pid();
            self.nodes[node].members.insert(pid);
        }
        let (group, pids) = (self.group(), self.some_members(node));
        let actions = self.nodes[node].state.join(&group, &pids, None).unwrap();
        self.perform(node, actions);
    }

    fn leave(&mut self, node: usize) {
        let (group, pids) = (self.group(), self.some_members(node));
        let actions = self.nodes[node].state.leave(&group, &pids).unwrap_or_default();
        self.perform(node, actions);
    }

    fn end_member(&mut self, node: usize) {
        let Some(pid) = self.some_members(node).pop() else { return };
        self.nodes[node].members.remove(&pid);
        self.end_process(node, &pid);
    }

    /// Tells all who monitor the process.
    fn end_process(&mut self, node: usize, pid: &Pid) {
        let monitors = self.nodes[node].monitored.iter().filter(|(_, (monitored, _))| monitored == pid);
        let monitors: Vec<(Monitor, usize)> = monitors.map(|(monitor, (_, watcher))| (*monitor, *watcher)).collect();
        for (monitor, watcher) in monitors {
            self.nodes[node].monitored.remove(&monitor);
            self.send(node, watcher, Arrival::Down(monitor));
        }
    }

    fn cut(&mut self, a: usize, b: usize) {
        if self.links.remove(&(a.min(b), a.max(b))).is_none() {
            return;
        }
        for pair in [(a, b), (b, a)] {
            let queue = self.queues.entry(pair).or_default();
            // What belongs to this connection begins after the news of it.
            let start = queue.iter().rposition(|arrival| matches!(arrival, Arrival::Up(_))).map_or(0, |up| up + 1);
            let arrives = start + self.random.below(queue.len() - start + 1);
            queue.truncate(arrives);
            queue.push_back(Arrival::Lost);
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if a == b || self.links.contains_key(&pair) {
            return;
        }
        self.last_link += 1;
        self.links.insert(pair, self.last_link);
        for pair in [(a, b), (b, a)] {
            self.queues.entry(pair).or_default().push_back(Arrival::Up(self.last_link));
        }
    }

    fn restart_scope(&mut self, node: usize) {
        let ended = self.nodes[node].state.own().clone();
        self.end_process(node, &ended);
        let this = &mut self.nodes[node];
        let own = this.next_pid();
        this.state = State::new(own, Limits::new(Budget::new(usize::MAX, 1)));
        this.view = View::default();
        this.monitor = this.view.monitor(Subject::Scope);
        this.told = Groups::default();
        this.watched.clear();
        let peers: Vec<usize> = this.connected.keys().copied().collect();
        for peer in peers {
            let action = self.nodes[node].state.node_up(&self.nodes[peer].name);
            self.perform(node, vec![action]);
        }
    }

    fn restart_node(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            self.cut(node, other);
            self.queues.remove(&(other, node));
        }
        let creation = self.nodes[node].creation + 1;
        self.nodes[node] = Node::new(node, creation, self.nodes[node].dialect);
    }

    fn heal(&mut self) {
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.connect(a, b);
            }
        }
    }

    fn node_of(&self, name: &Atom) -> usize {
        self.nodes.iter().position(|node| node.name.as_atom() == name).unwrap()
    }

    /// Sends, if the sender is connected by the connection that there is; says whether.
    fn send(&mut self, from: usize, to: usize, arrival: Arrival) -> bool {
        let link = self.links.get(&(from.min(to), from.max(to)));
        let is_connected = from == to || link.is_some() && self.nodes[from].connected.get(&to) == link;
        if is_connected {
            self.queues.entry((from, to)).or_default().push_back(arrival);
        }
        is_connected
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::SendToScope(name, message) => {
                    let (to, message) = (self.node_of(name.as_atom()), self.spoken(node, message));
                    self.send(node, to, Arrival::Message(None, message));
                }
                Action::Send(to, message) => {
                    for pid in to {
                        let (to, message) = (self.node_of(&pid.node), self.spoken(node, message.clone()));
                        self.send(node, to, Arrival::Message(Some(pid), message));
                    }
                }
                Action::Monitor(watched) => {
                    assert!(!self.nodes[node].watched.values().any(|other| *other == watched), "monitored twice");
                    let (Watched::Peer(pid) | Watched::Member(pid)) = watched.clone();
                    self.last_monitor += 1;
                    let (monitor, to) = (self.last_monitor, self.node_of(&pid.node));
                    self.nodes[node].watched.insert(monitor, watched);
                    if !self.send(node, to, Arrival::Monitor(monitor, pid)) {
                        self.send(node, node, Arrival::Down(monitor));
                    }
                }
                Action::Demonitor(watched) => {
                    let this = &mut self.nodes[node];
                    let monitor =
                        this.watched.iter().find(|(_, other)| **other == watched).map(|(monitor, _)| *monitor);
                    this.watched.remove(&monitor.expect("it is monitored"));
                }
                Action::Changed(origin, change) => {
                    let this = &mut self.nodes[node];
                    for (monitor, update) in this.view.apply(origin, change) {
                        assert_eq!(monitor, this.monitor);
                        match update {
                            Update::Joined { group, pids } => {
                                let group = this.told.name(&group);
                                pids.iter().for_each(|pid| this.told.add(&group, pid));
                            }
                            Update::Left { group, pids } => {
                                assert!(pids.iter().all(|pid| this.told.remove(&group, pid)), "left and not there");
                            }
                        }
                    }
                }
                Action::Refused(refusal, peer) => panic!("refused {refusal:?} {peer:?}"),
            }
        }
    }

    /// A message as the sender's release writes it.
    fn spoken(&self, node: usize, message: Term) -> Term {
        let peer = PeerMessage::read(&message);
        match (self.nodes[node].dialect, peer) {
            (Dialect::Otp29, Some(PeerMessage { peer, content: message::Content::Discover(_) })) => {
                message::discover(&peer, Version::V1)
            }
            _ => message,
        }
    }

    /// A message as the receiver's release reads it.
    fn heard(&self, node: usize, message: &Term) -> PeerMessage {
        let message = match message.as_tuple() {
            Some([kind, cast]) if kind.is_atom("$gen_cast") => cast,
            _ => message,
        };
        let read = PeerMessage::read(message).unwrap();
        match (self.nodes[node].dialect, &read.content) {
            (Dialect::Otp27, message::Content::Discover(_)) => {
                PeerMessage { content: message::Content::Discover(Version::V0), ..read }
            }
            (Dialect::Otp27, message::Content::Data(version, _)) => {
                assert_eq!(*version, Version::V0, "an old release gets the new form");
                read
            }
            (Dialect::Otp27, message::Content::Update(_)) => {
                assert!(!message.as_tuple().unwrap()[0].is_atom("update"), "an old release gets the new form");
                read
            }
            _ => read,
        }
    }

    /// Lets something arrive, if anything is under way.
    fn deliver(&mut self) -> bool {
        let busy: Vec<(usize, usize)> =
            self.queues.iter().filter(|(_, queue)| !queue.is_empty()).map(|(pair, _)| *pair).collect();
        let Some((from, to)) = self.random.choose(&busy) else { return false };
        let Some(arrival) = self.queues.get_mut(&(from, to)).and_then(VecDeque::pop_front) else { return false };
        match arrival {
            Arrival::Up(link) => {
                self.nodes[to].connected.insert(from, link);
                let action = self.nodes[to].state.node_up(&self.nodes[from].name);
                self.perform(to, vec![action]);
            }
            Arrival::Lost => self.lost(to, from),
            Arrival::Message(pid, message) => {
                let own = self.nodes[to].state.own();
                if pid.is_none_or(|pid| pid == *own) {
                    let message = self.heard(to, &message);
                    let actions = self.nodes[to].state.received(&Atom::from_static(NAMES[from]), message);
                    self.perform(to, actions);
                }
            }
            Arrival::Monitor(monitor, pid) => {
                if pid == *self.nodes[to].state.own() || self.nodes[to].members.contains(&pid) {
                    self.nodes[to].monitored.insert(monitor, (pid, from));
                } else {
                    self.send(to, from, Arrival::Down(monitor));
                }
            }
            Arrival::Down(monitor) => self.down(to, monitor),
        }
        true
    }

    fn down(&mut self, node: usize, monitor: Monitor) {
        // The scope process that monitored may have ended, or have taken the monitor back.
        if let Some(watched) = self.nodes[node].watched.remove(&monitor) {
            let actions = self.nodes[node].state.down(&watched);
            self.perform(node, actions);
        }
    }

    fn lost(&mut self, node: usize, other: usize) {
        let gone = self.nodes[other].name.as_atom().clone();
        let this = &mut self.nodes[node];
        this.connected.remove(&other);
        this.monitored.retain(|_, (_, watcher)| *watcher != other);
        let is_there = |watched: &Watched| matches!(watched, Watched::Peer(peer) if peer.node == gone);
        let monitors = this.watched.iter().filter(|(_, watched)| is_there(watched));
        let monitors: Vec<Monitor> = monitors.map(|(monitor, _)| *monitor).collect();
        monitors.into_iter().for_each(|monitor| self.down(node, monitor));
    }

    fn check(&self) {
        let mut expected = Groups::default();
        for node in &self.nodes {
            for (group, members) in node.state.local().iter() {
                for pid in members.iter() {
                    assert!(node.members.contains(pid), "{pid:?} has ended and is still in a group of its node");
                    expected.add(group, pid);
                }
            }
        }
        for node in &self.nodes {
            assert_eq!(*node.view.all(), expected, "{} sees other groups than there are", node.name);
            assert_eq!(node.told, expected, "{} has told its monitor of other groups", node.name);
            let watched: BTreeSet<Watched> = node.watched.values().cloned().collect();
            assert_eq!(watched, node.state.watched(), "{} monitors others than it thinks", node.name);
            let peers: Vec<&Pid> = node.state.peers().collect();
            assert_eq!(peers.len(), self.nodes.len() - 1, "{} knows {peers:?}", node.name);
        }
    }
}

/// Runs with one seed after another: 200, or as many as `PEERL_SEEDS` says; with `PEERL_SEED`, with this one alone.
#[test]
fn all_agree_when_the_network_is_whole_again() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("PEERL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("PEERL_SEEDS").unwrap_or(200),
    };
    for seed in seeds {
        let run = std::panic::catch_unwind(|| Network::new(seed).run());
        assert!(run.is_ok(), "repeat it with: PEERL_SEED={seed} cargo test -p peerl-otp --lib pg::simulation");
    }
}
