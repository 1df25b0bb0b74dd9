use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use peerl_node::{Caller, Visibility};
use peerl_otp::global::{
    Action, Attempt, AttemptOutcome, Backoff, Event, LinkEnd, LocalRequest, LockId, Method, MonitorId, Random,
    Received, Registration, Request, ResolutionId,
};
use peerl_term::{Atom, Pid, Term};

use crate::node::{Asker, Local, Monitor, Node, OpenCall, Wanted};
use crate::user::{Phase, User};

/// The nodes and what is between them.
pub(crate) struct Network {
    random: Random,
    seed: u64,
    now: Instant,
    start: Instant,
    nodes: BTreeMap<Atom, Node>,
    names: Vec<Atom>,
    next_creation: u32,
    next_connection: u64,
    /// The connections that are up, by their two ends in order.
    connections: BTreeMap<(Atom, Atom), u64>,
    /// The pairs that cannot be connected.
    blocked: BTreeSet<(Atom, Atom)>,
    /// What is on its way to a node from another one.
    wires: BTreeMap<(Atom, Atom), VecDeque<Packet>>,
    trace: bool,
}

/// What comes to a node from another one.
#[derive(Debug)]
enum Packet {
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

fn ends(one: &Atom, other: &Atom) -> (Atom, Atom) {
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
            blocked: BTreeSet::new(),
            wires: BTreeMap::new(),
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

    fn log(&self, what: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>8} {}", (self.now - self.start).as_millis(), what());
        }
    }

    // What disturbs the nodes, and what they are for.

    fn fault(&mut self) {
        match self.random.below(22) {
            0 => self.cut(),
            1 => self.hang_up(),
            2 => self.crash(),
            3 if self.random.below(4) == 0 => self.request(LocalRequest::Disconnect),
            4 | 5 => self.end_process(),
            6..=10 => self.register(),
            11 => self.unregister(),
            12..=14 => self.lock(),
            15 => self.request(LocalRequest::Sync(None)),
            _ => self.connect_some(),
        }
    }

    fn any_node(&mut self) -> Option<Atom> {
        let alive: Vec<_> = self.nodes.keys().cloned().collect();
        alive.get(self.random.below(alive.len())).cloned()
    }

    fn any_pair(&mut self) -> Option<(Atom, Atom)> {
        let (one, other) = (self.any_node()?, self.any_node()?);
        (one != other).then_some((one, other))
    }

    fn connect_some(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.dial(&one, &other);
        }
    }

    fn cut(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.close(&one, &other, LinkEnd::Peer, LinkEnd::Peer);
        }
    }

    fn hang_up(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.close(&one, &other, LinkEnd::Own, LinkEnd::Peer);
        }
    }

    fn crash(&mut self) {
        let Some(name) = self.any_node() else { return };
        self.log(|| format!("{name} crashes"));
        for other in self.names.clone() {
            self.close(&name, &other, LinkEnd::Peer, LinkEnd::Peer);
        }
        self.nodes.remove(&name);
        self.wires.retain(|(to, _), _| *to != name);
        if self.random.below(3) != 0 {
            self.boot(&name);
        }
    }

    fn boot(&mut self, name: &Atom) {
        let creation = self.next_creation;
        self.next_creation += 1;
        let seed = self.random.next_u64();
        self.log(|| format!("{name} boots"));
        self.nodes.insert(name.clone(), Node::new(name.clone(), creation, seed));
    }

    fn end_process(&mut self) {
        let Some(name) = self.any_node() else { return };
        let ids: Vec<_> = self.nodes[&name].processes.keys().copied().collect();
        if let Some(id) = ids.get(self.random.below(ids.len())) {
            let pid = self.nodes[&name].pid(*id);
            self.kill(&pid);
        }
    }

    fn register(&mut self) {
        let name = Term::from(self.random.below(6));
        let method = [Method::RandomExit, Method::RandomNotify, Method::NotifyAll][self.random.below(3)].to_term();
        let is_forced = self.random.below(4) == 0;
        let Some(node) = self.any_node() else { return };
        let node = self.nodes.get_mut(&node).unwrap();
        let pid = node.spawn();
        let registration = Registration { name, pid: pid.clone(), method };
        let request = node.next_request(Wanted::Registered(pid));
        let wanted = match is_forced {
            true => LocalRequest::ReRegister(registration),
            false => LocalRequest::Register(registration),
        };
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    fn unregister(&mut self) {
        let name = Term::from(self.random.below(6));
        self.request(LocalRequest::Unregister(name));
    }

    fn request(&mut self, wanted: LocalRequest) {
        let Some(node) = self.any_node() else { return };
        let node = self.nodes.get_mut(&node).unwrap();
        let request = node.next_request(Wanted::Other);
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    fn lock(&mut self) {
        let resource = Term::from(self.random.below(2));
        let Some(node) = self.any_node() else { return };
        let now = self.now;
        let node = self.nodes.get_mut(&node).unwrap();
        let pid = node.spawn();
        let lock = LockId { resource, requester: pid.clone().into() };
        let phase = Phase::Waiting(now);
        node.users.push(User { process: pid.id, lock, backoff: Backoff::default(), answers: Vec::new(), phase });
    }

    // What happens by itself.

    /// Does one thing of all that can happen now. Says whether there was any, or time has passed until there is.
    fn step(&mut self) -> bool {
        let wires = self.wires.iter().filter(|(_, wire)| !wire.is_empty()).map(|(ends, _)| Ready::Wire(ends.clone()));
        let local = self.nodes.values().filter(|node| !node.local.is_empty());
        let local = local.map(|node| Ready::Local(node.name.clone()));
        let now = self.now;
        let due = self.nodes.values().filter(|node| node.deadline().is_some_and(|deadline| deadline <= now));
        let due = due.map(|node| Ready::Due(node.name.clone()));
        let ready: Vec<_> = wires.chain(local).chain(due).collect();
        if ready.is_empty() {
            let soon = |deadline: &Instant| *deadline < self.now + Duration::from_secs(600);
            let Some(next) = self.nodes.values().filter_map(Node::deadline).filter(soon).min() else { return false };
            self.now = next;
            return true;
        }
        self.now += Duration::from_micros(self.random.below(4000) as u64);
        match &ready[self.random.below(ready.len())] {
            Ready::Wire((to, from)) => {
                if let Some(packet) = self.wires.get_mut(&(to.clone(), from.clone())).and_then(VecDeque::pop_front) {
                    self.receive(&to.clone(), &from.clone(), packet);
                }
            }
            Ready::Local(name) => self.local(&name.clone()),
            Ready::Due(name) => self.due(&name.clone()),
        }
        true
    }

    fn due(&mut self, name: &Atom) {
        let now = self.now;
        self.event(name, Event::Timeout);
        let Some(node) = self.nodes.get(name) else { return };
        let due = |user: &&User| user.deadline().is_some_and(|deadline| deadline <= now);
        for process in node.users.iter().filter(due).map(|user| user.process).collect::<Vec<_>>() {
            self.user_due(name, process);
        }
    }

    fn local(&mut self, name: &Atom) {
        let Some(local) = self.nodes.get_mut(name).and_then(|node| node.local.pop_front()) else { return };
        match local {
            Local::Event(event) => self.event(name, event),
            Local::Dial(peer) => {
                self.dial(name, &peer);
                if !self.connections.contains_key(&ends(name, &peer)) {
                    self.event(name, Event::ConnectFailed(peer));
                }
            }
            Local::Message(pid, message) => self.message(name, &pid, &message),
            Local::Call(caller, request) => self.server_message(name, gen_call(&caller, request)),
        }
    }

    fn receive(&mut self, to: &Atom, from: &Atom, packet: Packet) {
        self.log(|| format!("{to} <- {from} {packet:?}"));
        match packet {
            Packet::Up => self.event(to, Event::NodeUp(from.clone(), Visibility::Visible)),
            Packet::Down(connection, end) => self.down(to, from, connection, end),
            Packet::ToServer(message) => self.server_message(to, message),
            Packet::ToProcess(pid, message) => self.message(to, &pid, &message),
            Packet::Monitor(monitor, pid) => {
                let node = self.nodes.get_mut(to).unwrap();
                let is_alive = node.is_alive(&pid);
                if is_alive && pid != node.server {
                    node.processes.get_mut(&pid.id).unwrap().push((from.clone(), monitor));
                } else if !is_alive {
                    self.send(to, from, Packet::Ended(monitor));
                }
            }
            Packet::Demonitor(monitor, pid) => self.unwatch(&pid, from, monitor),
            Packet::Ended(monitor) => {
                if self.nodes.get_mut(to).unwrap().monitors.remove(&monitor).is_some() {
                    self.event(to, Event::Down(monitor));
                }
            }
            Packet::Kill(pid) => self.kill(&pid),
            Packet::Resolve(id, arguments) => {
                // As the driver does: the server decides, and the caller gets what it says.
                let node = self.nodes.get_mut(to).unwrap();
                let request = node.next_request(Wanted::Other);
                let answer = self.resolve(to, request, arguments);
                self.send(to, from, Packet::Returned(id, answer));
            }
            Packet::Returned(id, answer) => self.event(to, Event::Returned(id, Some(answer))),
        }
    }

    fn resolve(&mut self, name: &Atom, request: peerl_otp::global::RequestId, arguments: [Term; 4]) -> Term {
        let now = self.now;
        let node = self.nodes.get_mut(name).unwrap();
        node.state.handle(Event::Request(request, LocalRequest::Resolve(arguments)), now);
        node.requests.remove(&request);
        let mut answer = Term::nil();
        let mut actions = Vec::new();
        while let Some(action) = node.state.next_action() {
            match action {
                Action::Answer(answered, term) if answered == request => answer = term,
                action => actions.push(action),
            }
        }
        for action in actions {
            self.act(name, action);
        }
        answer
    }

    fn down(&mut self, to: &Atom, from: &Atom, connection: u64, end: LinkEnd) {
        let node = self.nodes.get_mut(to).unwrap();
        let calls = node.calls.extract_if(|_, call| call.node == *from && call.connection == connection);
        let calls: Vec<_> = calls.map(|(_, call)| call.caller).collect();
        let monitors =
            node.monitors.extract_if(|_, monitor| monitor.pid.node == *from && monitor.connection == Some(connection));
        let monitors: Vec<_> = monitors.map(|(id, _)| id).collect();
        for process in node.processes.values_mut() {
            process.retain(|(watcher, _)| watcher != from);
        }
        for monitor in monitors {
            self.event(to, Event::Down(monitor));
        }
        for caller in calls {
            self.answered(to, caller, from, connection, None);
        }
        self.event(to, Event::NodeDown(from.clone(), end));
    }

    fn server_message(&mut self, name: &Atom, message: Term) {
        let received = Received::from_term(message).expect("a message of the protocol");
        self.event(name, Event::Received(Box::new(received)));
    }

    /// A message to a process: an answer to a call, or what a locker says to the other.
    fn message(&mut self, name: &Atom, pid: &Pid, message: &Term) {
        let node = self.nodes.get_mut(name).unwrap();
        if !node.is_alive(pid) {
            return;
        }
        match message.as_tuple() {
            Some([Term::Integer(tag), reply]) => {
                if let Some(call) = node.calls.remove(tag) {
                    let (reply, from) = (reply.clone(), call.node);
                    self.answered(name, call.caller, &from, call.connection, Some(reply));
                }
            }
            _ if *pid == node.server => self.server_message(name, message.clone()),
            _ => {}
        }
    }

    fn answered(&mut self, name: &Atom, caller: Asker, from: &Atom, connection: u64, reply: Option<Term>) {
        match caller {
            Asker::Server(call) => self.event(name, Event::Answered(call, reply)),
            Asker::User(process) => self.user_answered(name, process, (from.clone(), connection), reply),
            Asker::Nobody(_) => {}
        }
    }

    fn event(&mut self, name: &Atom, event: Event) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.state.handle(event, now);
        while let Some(action) = self.nodes.get_mut(name).and_then(|node| node.state.next_action()) {
            self.act(name, action);
        }
    }

    fn act(&mut self, name: &Atom, action: Action) {
        self.log(|| format!("{name}: {action:?}"));
        match action {
            Action::Send(to, message) => self.send(name, &to, Packet::ToServer(message.to_term())),
            Action::SendProcess(pid, message) => self.send_process(name, pid, message),
            Action::Call(call, to, request) => self.call(name, Asker::Server(call), &to, &request),
            Action::AbandonCall(abandoned) => {
                let node = self.nodes.get_mut(name).unwrap();
                node.calls.retain(|_, call| !matches!(call.caller, Asker::Server(id) if id == abandoned));
            }
            Action::Reply(caller, reply) => {
                self.send_process(name, caller.pid, Term::tuple([caller.tag, reply]));
            }
            Action::Answer(request, answer) => self.answer(name, request, &answer),
            Action::Monitor(monitor, pid) => self.monitor(name, monitor, pid),
            Action::Demonitor(monitor) => {
                let removed = self.nodes.get_mut(name).unwrap().monitors.remove(&monitor);
                if let Some(Monitor { pid, .. }) = removed {
                    if pid.node == *name {
                        self.unwatch(&pid, name, monitor);
                    } else {
                        self.send(name, &pid.node.clone(), Packet::Demonitor(monitor, pid));
                    }
                }
            }
            Action::Kill(pid) if pid.node == *name => self.kill(&pid),
            Action::Kill(pid) => self.send(name, &pid.node.clone(), Packet::Kill(pid)),
            Action::Connect(to) => self.nodes.get_mut(name).unwrap().local.push_back(Local::Dial(to)),
            Action::Disconnect(to) => self.close(name, &to, LinkEnd::Own, LinkEnd::Peer),
            Action::Resolve(id, to, arguments) => {
                if self.connections.contains_key(&ends(name, &to)) {
                    self.send(name, &to, Packet::Resolve(id, arguments));
                } else {
                    let node = self.nodes.get_mut(name).unwrap();
                    node.local.push_back(Local::Event(Event::Returned(id, None)));
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn answer(&mut self, name: &Atom, request: peerl_otp::global::RequestId, answer: &Term) {
        let wanted = self.nodes.get_mut(name).unwrap().requests.remove(&request);
        self.log(|| format!("{name} has answered {request:?}: {answer}"));
        if let Some(Wanted::Registered(pid)) = wanted
            && answer.is_atom("no")
        {
            self.kill(&pid);
        }
    }

    fn monitor(&mut self, name: &Atom, monitor: MonitorId, pid: Pid) {
        let connection = self.connections.get(&ends(name, &pid.node)).copied();
        let is_own = pid.node == *name;
        let node = self.nodes.get_mut(name).unwrap();
        if is_own && pid == node.server {
            node.monitors.insert(monitor, Monitor { pid, connection: None });
        } else if is_own {
            match node.is_alive(&pid) {
                true => {
                    node.processes.get_mut(&pid.id).unwrap().push((name.clone(), monitor));
                    node.monitors.insert(monitor, Monitor { pid, connection: None });
                }
                false => node.local.push_back(Local::Event(Event::Down(monitor))),
            }
        } else if connection.is_some() {
            node.monitors.insert(monitor, Monitor { pid: pid.clone(), connection });
            self.send(name, &pid.node.clone(), Packet::Monitor(monitor, pid));
        } else {
            node.local.push_back(Local::Event(Event::Down(monitor)));
        }
    }

    fn call(&mut self, name: &Atom, caller: Asker, to: &Atom, request: &Request) {
        let connection = self.connections.get(&ends(name, to)).copied();
        let node = self.nodes.get_mut(name).unwrap();
        let tag = node.next_tag();
        let pid = match caller {
            Asker::Server(_) => node.server.clone(),
            Asker::User(process) | Asker::Nobody(process) => node.pid(process),
        };
        let from = Caller { pid, tag: Term::from(tag) };
        if to == name {
            node.calls.insert(tag, OpenCall { caller, node: to.clone(), connection: 0 });
            node.local.push_back(Local::Call(from, request.to_term()));
        } else if let Some(connection) = connection {
            node.calls.insert(tag, OpenCall { caller, node: to.clone(), connection });
            self.send(name, to, Packet::ToServer(gen_call(&from, request.to_term())));
        } else if let Asker::Server(call) = caller {
            node.local.push_back(Local::Event(Event::Answered(call, None)));
        } else {
            self.answered(name, caller, to, 0, None);
        }
    }

    // Connections.

    fn send(&mut self, from: &Atom, to: &Atom, packet: Packet) {
        if self.connections.contains_key(&ends(from, to)) {
            self.wires.entry((to.clone(), from.clone())).or_default().push_back(packet);
        }
    }

    fn send_process(&mut self, from: &Atom, pid: Pid, message: Term) {
        if pid.node == *from {
            self.nodes.get_mut(from).unwrap().local.push_back(Local::Message(pid, message));
        } else {
            self.send(from, &pid.node.clone(), Packet::ToProcess(pid, message));
        }
    }

    fn dial(&mut self, one: &Atom, other: &Atom) {
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
    fn close(&mut self, one: &Atom, other: &Atom, end_of_one: LinkEnd, end_of_other: LinkEnd) {
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

    fn kill(&mut self, pid: &Pid) {
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

    fn unwatch(&mut self, pid: &Pid, watcher: &Atom, monitor: MonitorId) {
        if let Some(node) = self.nodes.get_mut(&pid.node)
            && let Some(watchers) = node.processes.get_mut(&pid.id)
        {
            watchers.retain(|other| *other != (watcher.clone(), monitor));
        }
    }

    // Those who set locks.

    fn visible(&self, name: &Atom) -> Vec<Atom> {
        let connected = self.connections.keys().filter_map(|(one, other)| match name {
            _ if one == name => Some(other.clone()),
            _ if other == name => Some(one.clone()),
            _ => None,
        });
        connected.chain([name.clone()]).collect()
    }

    fn user(&mut self, name: &Atom, process: u32) -> Option<&mut User> {
        self.nodes.get_mut(name)?.users.iter_mut().find(|user| user.process == process)
    }

    fn user_due(&mut self, name: &Atom, process: u32) {
        let nodes = self.visible(name);
        let ends = self.random.below(4) == 0;
        let Some(user) = self.user(name, process) else { return };
        let lock = user.lock.clone();
        match &user.phase {
            Phase::Waiting(_) => {
                user.phase = Phase::Asking(Attempt::new(nodes.clone()));
                user.answers.clear();
                for node in nodes {
                    self.call(name, Asker::User(process), &node, &Request::SetLock(lock.clone()));
                }
            }
            Phase::Holding { nodes, .. } => {
                let nodes = nodes.clone();
                self.nodes.get_mut(name).unwrap().users.retain(|user| user.process != process);
                if ends {
                    let pid = self.nodes[name].pid(process);
                    return self.kill(&pid);
                }
                for (node, _) in nodes {
                    self.call(name, Asker::Nobody(process), &node, &Request::DelLock(lock.clone()));
                }
            }
            Phase::Asking(_) => {}
        }
    }

    fn user_answered(&mut self, name: &Atom, process: u32, from: (Atom, u64), reply: Option<Term>) {
        let (now, hold, mut random) = (self.now, self.random.below(3000), self.random.clone());
        let Some(user) = self.user(name, process) else { return };
        let lock = user.lock.clone();
        let Phase::Asking(attempt) = &mut user.phase else { return };
        attempt.answered(&from.0, reply.as_ref());
        user.answers.push(from);
        match attempt.outcome() {
            None => {}
            Some(AttemptOutcome::Refused(nodes)) => {
                user.phase = Phase::Waiting(now + user.backoff.next(&mut random));
                for node in nodes {
                    self.call(name, Asker::Nobody(process), &node, &Request::DelLock(lock.clone()));
                }
            }
            Some(AttemptOutcome::Held(nodes)) => {
                let until = now + Duration::from_millis(hold as u64);
                let mut answers = std::mem::take(&mut user.answers);
                answers.retain(|(node, _)| nodes.contains(node));
                let nodes = answers;
                self.check_lock(name, process, &lock, &nodes);
                self.user(name, process).unwrap().phase = Phase::Holding { nodes, until };
            }
        }
    }

    /// Nobody else holds a lock at a node to which both are connected ever since.
    fn check_lock(&self, name: &Atom, process: u32, lock: &LockId, nodes: &[(Atom, u64)]) {
        let is_steady = |name: &Atom, node: &Atom, connection: u64| {
            name == node || self.connections.get(&ends(name, node)) == Some(&connection)
        };
        for node in self.nodes.values() {
            for user in node.users.iter().filter(|user| user.lock.resource == lock.resource) {
                let Phase::Holding { nodes: held, .. } = &user.phase else { continue };
                for (common, connection) in held {
                    let here = nodes.iter().find(|(node, _)| node == common);
                    let is_common = here.is_some_and(|(node, connection)| is_steady(name, node, *connection));
                    assert!(
                        !is_common || !is_steady(&node.name, common, *connection),
                        "{lock:?} is held by {process} at {name} and {} at {}",
                        user.process,
                        node.name
                    );
                }
            }
        }
    }

    // The end.

    fn heal(&mut self) {
        self.log(|| "the network is whole".to_owned());
        self.blocked.clear();
        for _ in 0..50 {
            let mut is_whole = true;
            let alive: Vec<_> = self.nodes.keys().cloned().collect();
            for (index, one) in alive.iter().enumerate() {
                for other in &alive[index + 1..] {
                    is_whole &= self.connections.contains_key(&ends(one, other));
                    self.dial(one, other);
                }
            }
            self.settle();
            if is_whole && self.nodes.values().all(|node| node.state.known().count() + 1 == self.nodes.len()) {
                return;
            }
        }
    }

    fn settle(&mut self) {
        let limit = self.now + Duration::from_secs(300);
        while self.now < limit && self.step() {}
        assert!(self.now < limit, "the nodes do not come to rest");
    }

    fn check(&mut self) {
        self.check_agreement();
        // A name can be registered anywhere.
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let begun = self.now;
            let node = self.nodes.get_mut(&name).unwrap();
            let pid = node.spawn();
            let registration = Registration { name: Term::from(pid.clone()), pid, method: Method::default().to_term() };
            let request = node.next_request(Wanted::Other);
            let wanted = LocalRequest::Register(registration);
            node.local.push_back(Local::Event(Event::Request(request, wanted)));
            self.settle();
            assert!(self.nodes[&name].requests.is_empty(), "a name cannot be registered at {name}");
            assert!(self.now - begun < Duration::from_secs(10));
        }
        self.check_agreement();
    }

    fn check_agreement(&self) {
        let alive: BTreeSet<_> = self.nodes.keys().cloned().collect();
        let seed = self.seed;
        let mut agreed: Option<HashMap<Term, Pid>> = None;
        for node in self.nodes.values() {
            let known: BTreeSet<_> = node.state.known().cloned().chain([node.name.clone()]).collect();
            assert_eq!(known, alive, "what {} knows (seed {seed})", node.name);
            assert!(node.state.locks().is_empty(), "{} has locks: {:?}", node.name, node.state.locks());
            assert!(node.requests.is_empty(), "requests at {} are not answered", node.name);
            assert!(node.users.is_empty(), "locks at {} are not had", node.name);
            let names: HashMap<_, _> = node.state.names().into_iter().map(|name| (name.name, name.pid)).collect();
            for (name, pid) in &names {
                assert!(self.nodes[&pid.node].is_alive(pid), "{name} of {pid:?} at {} is of the dead", node.name);
            }
            match &agreed {
                Some(agreed) => assert_eq!(agreed, &names, "the names at {}", node.name),
                None => agreed = Some(names),
            }
        }
    }
}

/// What can happen now.
enum Ready {
    Wire((Atom, Atom)),
    Local(Atom),
    Due(Atom),
}

fn gen_call(from: &Caller, request: Term) -> Term {
    let caller = Term::tuple([from.pid.clone().into(), from.tag.clone()]);
    Term::tuple([Term::atom("$gen_call"), caller, request])
}
