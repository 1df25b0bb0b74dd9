//! What happens at a node, one thing at a time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use peerl_node::Visibility;
use peerl_otp::global::{Action, Event, LinkEnd, LocalRequest, LostConnection, Message, Received, RequestId};
use peerl_term::{Atom, Pid, Term};

use crate::actions::gen_call;
use crate::network::{Network, Packet, ends};
use crate::node::{Asker, Local, Node, Wanted};
use crate::user::User;

impl Network {
    /// Does one thing of all that can happen now. Says whether there was any, or time has passed until there is.
    pub(crate) fn step(&mut self) -> bool {
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

    pub(crate) fn due(&mut self, name: &Atom) {
        let now = self.now;
        self.event(name, Event::Timeout);
        let Some(node) = self.nodes.get(name) else { return };
        let due = |user: &&User| user.deadline().is_some_and(|deadline| deadline <= now);
        for process in node.users.iter().filter(due).map(|user| user.process).collect::<Vec<_>>() {
            self.user_due(name, process);
        }
    }

    pub(crate) fn local(&mut self, name: &Atom) {
        let Some(local) = self.nodes.get_mut(name).and_then(|node| node.local.pop_front()) else { return };
        match local {
            Local::Event(event) => self.event(name, event),
            Local::Dial(peer) => {
                self.dial(name, &peer);
                if !self.connections.contains_key(&ends(name, &peer)) {
                    self.event(name, Event::ConnectFailed(peer));
                }
            }
            Local::Message(pid, message) => self.message(name, name, &pid, &message),
            Local::Call(caller, request) => self.server_message(name, name, gen_call(&caller, request)),
        }
    }

    pub(crate) fn receive(&mut self, to: &Atom, from: &Atom, packet: Packet) {
        self.log(|| format!("{to} <- {from} {packet:?}"));
        match packet {
            Packet::Up => self.event(to, Event::NodeUp(from.clone(), Visibility::Visible)),
            Packet::Down(connection, end) => self.down(to, from, connection, end),
            Packet::ToServer(message) => self.server_message(to, from, message),
            Packet::ToProcess(pid, message) => self.message(to, from, &pid, &message),
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

    pub(crate) fn resolve(&mut self, name: &Atom, request: RequestId, arguments: [Term; 4]) -> Term {
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

    pub(crate) fn down(&mut self, to: &Atom, from: &Atom, connection: u64, end: LinkEnd) {
        let node = self.nodes.get_mut(to).unwrap();
        let calls = node.calls.extract_if(.., |_, call| call.node == *from && call.connection == connection);
        let calls: Vec<_> = calls.map(|(_, call)| call.caller).collect();
        let monitors = node
            .monitors
            .extract_if(.., |_, monitor| monitor.pid.node == *from && monitor.connection == Some(connection));
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
        self.report_loss(to, from);
        self.event(to, Event::NodeDown(from.clone(), end));
    }

    /// A node of OTP tells all others that it has lost one.
    pub(crate) fn report_loss(&mut self, name: &Atom, lost: &Atom) {
        let node = self.nodes.get_mut(name).unwrap();
        let known: Vec<_> = node.state.known().cloned().collect();
        if !node.is_of_otp || !known.contains(lost) {
            return;
        }
        node.losses += 1;
        let report = Message::LostConnection(LostConnection {
            node: name.clone(),
            incarnation: node.creation.into(),
            operation: i64::try_from(node.losses).unwrap(),
            lost: lost.clone(),
        });
        for other in known.iter().filter(|other| *other != lost) {
            self.send(name, other, Packet::ToServer(report.to_term()));
        }
    }

    pub(crate) fn server_message(&mut self, name: &Atom, sender: &Atom, message: Term) {
        let received = Received::from_term(message).expect("a message of the protocol");
        self.event(name, Event::Received(sender.clone(), Box::new(received)));
    }

    /// A message to a process: an answer to a call, or what a locker says to the other.
    pub(crate) fn message(&mut self, name: &Atom, sender: &Atom, pid: &Pid, message: &Term) {
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
            _ if *pid == node.server => self.server_message(name, sender, message.clone()),
            _ => {}
        }
    }

    pub(crate) fn answered(&mut self, name: &Atom, caller: Asker, from: &Atom, connection: u64, reply: Option<Term>) {
        match caller {
            Asker::Server(call) => self.event(name, Event::Answered(call, reply)),
            Asker::User(process) => self.user_answered(name, process, (from.clone(), connection), reply),
            Asker::Nobody(_) => {}
        }
    }

    pub(crate) fn event(&mut self, name: &Atom, event: Event) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(name) else { return };
        node.state.handle(event, now);
        while let Some(action) = self.nodes.get_mut(name).and_then(|node| node.state.next_action()) {
            self.act(name, action);
        }
    }
}

/// What can happen now.
enum Ready {
    Wire((Atom, Atom)),
    Local(Atom),
    Due(Atom),
}
