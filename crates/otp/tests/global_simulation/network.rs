use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use peerl_otp::global::{Event, LinkEnd, MonitorId, Random, ResolutionId};
use peerl_term::{Atom, Pid, Term};

use crate::node::{Local, Node};

/// The nodes and what is between them.
pub(crate) struct Network {
    pub(crate) random: Random,
    pub(crate) seed: u64,
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    pub(crate) nodes: BTreeMap<Atom, Node>,
    pub(crate) names: Vec<Atom>,
    pub(crate) next_creation: u32,
    pub(crate) next_connection: u64,
    /// The connections that are up, by their two ends in order.
    pub(crate) connections: BTreeMap<(Atom, Atom), u64>,
    /// The names of which a change was broken off.
    pub(crate) interrupted: BTreeSet<Term>,
    /// The pairs that cannot be connected, and do not hear each other.
    pub(crate) blocked: BTreeSet<(Atom, Atom)>,
    /// What is on its way to a node from another one.
    pub(crate) wires: BTreeMap<(Atom, Atom), VecDeque<Packet>>,
    /// Some nodes are of OTP.
    pub(crate) is_mixed: bool,
    pub(crate) trace: bool,
}

/// What comes to a node from another one.
#[derive(Debug)]
pub(crate) enum Packet {
    Up,
    Down(u64, LinkEnd),
    ToServer(Term),
    ToProcess(Pid, Term),
    Monitor(MonitorId, Pid),
    Demonitor(MonitorId, Pid),
    Ended(MonitorId),
    Kill(Pid),
    Resolve(ResolutionId, [Term; 4]),
    Returned(ResolutionId, Term),
}

pub(crate) fn ends(one: &Atom, other: &Atom) -> (Atom, Atom) {
    if one < other { (one.clone(), other.clone()) } else { (other.clone(), one.clone()) }
}

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let count = if seed % 20 == 19 { 8 + random.below(13) } else { 3 + random.below(5) };
        let names: Vec<_> =
            (0..count).map(|index| Atom::new(&format!("n{index:02}@h{}", index % 2)).unwrap()).collect();
        let start = Instant::now();
        let mut network = Self {
            random,
            seed,
            now: start,
            start,
            nodes: BTreeMap::new(),
            names,
            next_creation: 1,
            next_connection: 1,
            connections: BTreeMap::new(),
            interrupted: BTreeSet::new(),
            blocked: BTreeSet::new(),
            wires: BTreeMap::new(),
            is_mixed: seed % 2 == 1,
            trace: std::env::var_os("PEERL_TRACE").is_some(),
        };
        for name in network.names.clone() {
            network.boot(&name);
        }
        network
    }

    pub(crate) fn run(&mut self) {
        let steps = 200 + self.random.below(2000);
        for _ in 0..steps {
            if self.random.below(12) == 0 {
                self.fault();
            } else {
                self.step();
            }
        }
        self.heal();
        self.check();
    }

    /// Three nodes of which two neither reach each other nor say so: one of them leaves.
    pub(crate) fn run_without_a_connection(&mut self) {
        let names = self.names.clone();
        let [one, other, between, ..] = &names[..] else { panic!("there are three at least") };
        self.nodes.retain(|name, _| names[..3].contains(name));
        self.dial(one, between);
        self.settle();
        self.blocked.insert(ends(one, other));
        self.dial(other, between);
        let limit = self.now + Duration::from_secs(10);
        while self.now < limit && self.step() {}
        assert_eq!(self.nodes[between].state.known().count(), 2);
        self.settle();
        assert!(self.nodes[between].state.known().count() < 2);
        self.heal();
        self.check();
    }

    pub(crate) fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>8} {}", (self.now - self.start).as_millis(), what());
        }
    }

    pub(crate) fn send(&mut self, from: &Atom, to: &Atom, packet: Packet) {
        let pair = ends(from, to);
        if self.connections.contains_key(&pair) && !self.blocked.contains(&pair) {
            self.wires.entry((to.clone(), from.clone())).or_default().push_back(packet);
        }
    }

    pub(crate) fn send_process(&mut self, from: &Atom, pid: Pid, message: Term) {
        if pid.node == *from {
            self.nodes.get_mut(from).unwrap().local.push_back(Local::Message(pid, message));
        } else {
            self.send(from, &pid.node.clone(), Packet::ToProcess(pid, message));
        }
    }

    pub(crate) fn dial(&mut self, one: &Atom, other: &Atom) {
        let pair = ends(one, other);
        let both = self.nodes.contains_key(one) && self.nodes.contains_key(other);
        if !both || self.blocked.contains(&pair) || self.connections.contains_key(&pair) {
            return;
        }
        self.log(|| format!("{one} -- {other}"));
        self.connections.insert(pair, self.next_connection);
        self.next_connection += 1;
        self.send(one, other, Packet::Up);
        self.send(other, one, Packet::Up);
    }

    /// Ends a connection. Of what is on its way, some is lost.
    pub(crate) fn close(&mut self, one: &Atom, other: &Atom, end_of_one: LinkEnd, end_of_other: LinkEnd) {
        let Some(connection) = self.connections.remove(&ends(one, other)) else { return };
        self.log(|| format!("{one} -/- {other}"));
        for (to, from, end) in [(one, other, end_of_one), (other, one, end_of_other)] {
            let wire = self.wires.entry((to.clone(), from.clone())).or_default();
            let up = wire.iter().rposition(|packet| matches!(packet, Packet::Up)).map_or(0, |index| index + 1);
            let kept = up + self.random.below(wire.len() - up + 1);
            wire.truncate(kept);
            wire.push_back(Packet::Down(connection, end));
        }
    }

    pub(crate) fn kill(&mut self, pid: &Pid) {
        let Some(node) = self.nodes.get_mut(&pid.node) else { return };
        if !node.is_alive(pid) || *pid == node.server {
            return;
        }
        node.users.retain(|user| user.process != pid.id);
        for (watcher, monitor) in node.processes.remove(&pid.id).unwrap_or_default() {
            if watcher == pid.node {
                let node = self.nodes.get_mut(&pid.node).unwrap();
                if node.monitors.remove(&monitor).is_some() {
                    node.local.push_back(Local::Event(Event::Down(monitor)));
                }
            } else {
                self.send(&pid.node, &watcher, Packet::Ended(monitor));
            }
        }
    }

    pub(crate) fn unwatch(&mut self, pid: &Pid, watcher: &Atom, monitor: MonitorId) {
        if let Some(node) = self.nodes.get_mut(&pid.node)
            && let Some(watchers) = node.processes.get_mut(&pid.id)
        {
            watchers.retain(|other| *other != (watcher.clone(), monitor));
        }
    }
}
