//! What disturbs the nodes, and what they are for.

use peerl_otp::global::{Backoff, Event, LinkEnd, LocalRequest, LockId, Method, Registration};
use peerl_term::{Atom, Term};

use crate::network::{Network, ends};
use crate::node::{Local, Node, Wanted};
use crate::user::{Phase, User};

impl Network {
    pub(crate) fn fault(&mut self) {
        match self.random.below(24) {
            0 => self.cut(),
            1 => self.hang_up(),
            2 => self.crash(),
            3 if self.random.below(4) == 0 => self.request(Wanted::Other, LocalRequest::Disconnect),
            4 | 5 => self.end_process(),
            6..=10 => self.register(),
            11 => self.unregister(),
            12..=14 => self.lock(),
            15 => self.request(Wanted::Other, LocalRequest::Sync(None)),
            16 => self.silence(),
            17 => self.end_silence(),
            _ => self.connect_some(),
        }
    }

    pub(crate) fn any_node(&mut self) -> Option<Atom> {
        let alive: Vec<_> = self.nodes.keys().cloned().collect();
        alive.get(self.random.below(alive.len())).cloned()
    }

    pub(crate) fn any_pair(&mut self) -> Option<(Atom, Atom)> {
        let (one, other) = (self.any_node()?, self.any_node()?);
        (one != other).then_some((one, other))
    }

    pub(crate) fn connect_some(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.dial(&one, &other);
        }
    }

    pub(crate) fn cut(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.close(&one, &other, LinkEnd::Peer, LinkEnd::Peer);
        }
    }

    pub(crate) fn hang_up(&mut self) {
        if let Some((one, other)) = self.any_pair() {
            self.close(&one, &other, LinkEnd::Own, LinkEnd::Peer);
        }
    }

    /// Nothing comes from one to the other any more, and neither is told so; or they cannot connect.
    pub(crate) fn silence(&mut self) {
        let Some((one, other)) = self.any_pair() else { return };
        self.log(|| format!("{one} ... {other}"));
        self.blocked.insert(ends(&one, &other));
    }

    /// The two notice it, each in its own time, or may connect again.
    pub(crate) fn end_silence(&mut self) {
        let blocked: Vec<_> = self.blocked.iter().cloned().collect();
        if let Some((one, other)) = blocked.get(self.random.below(blocked.len())) {
            self.close(one, other, LinkEnd::Silence, LinkEnd::Silence);
            self.blocked.remove(&ends(one, other));
        }
    }

    pub(crate) fn crash(&mut self) {
        if let Some(name) = self.any_node() {
            self.crash_of(&name);
            if self.random.below(3) != 0 {
                self.boot(&name);
            }
        }
    }

    /// What the node was about to change is changed at some of the others: so it is in OTP, whose nodes undo nothing.
    pub(crate) fn crash_of(&mut self, name: &Atom) {
        self.log(|| format!("{name} crashes"));
        let changes = self.nodes[name].requests.values();
        let changed = changes.filter_map(|wanted| if let Wanted::Change(name, _) = wanted { Some(name) } else { None });
        self.interrupted.extend(changed.cloned());
        for other in self.names.clone() {
            self.close(name, &other, LinkEnd::Peer, LinkEnd::Peer);
        }
        self.nodes.remove(name);
        self.wires.retain(|(to, _), _| to != name);
    }

    pub(crate) fn boot(&mut self, name: &Atom) {
        let creation = self.next_creation;
        self.next_creation += 1;
        let seed = self.random.next_u64();
        self.log(|| format!("{name} boots"));
        let is_of_otp =
            self.is_mixed && self.names.iter().position(|other| other == name).is_some_and(|at| at % 3 != 0);
        let node = Node { is_of_otp, ..Node::new(name.clone(), creation, seed) };
        self.nodes.insert(name.clone(), node);
    }

    pub(crate) fn end_process(&mut self) {
        let Some(name) = self.any_node() else { return };
        let ids: Vec<_> = self.nodes[&name].processes.keys().copied().collect();
        if let Some(id) = ids.get(self.random.below(ids.len())) {
            let pid = self.nodes[&name].pid(*id);
            self.kill(&pid);
        }
    }

    pub(crate) fn register(&mut self) {
        let name = Term::from(self.random.below(6));
        let method = [Method::RandomExit, Method::RandomNotify, Method::NotifyAll][self.random.below(3)].to_term();
        let is_forced = self.random.below(4) == 0;
        let Some(node) = self.any_node() else { return };
        let node = self.nodes.get_mut(&node).unwrap();
        let pid = node.spawn();
        let registration = Registration { name: name.clone(), pid: pid.clone(), method };
        let request = node.next_request(Wanted::Change(name, Some(pid)));
        let wanted = match is_forced {
            true => LocalRequest::ReRegister(registration),
            false => LocalRequest::Register(registration),
        };
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    pub(crate) fn unregister(&mut self) {
        let name = Term::from(self.random.below(6));
        self.request(Wanted::Change(name.clone(), None), LocalRequest::Unregister(name));
    }

    pub(crate) fn request(&mut self, answer: Wanted, wanted: LocalRequest) {
        let Some(node) = self.any_node() else { return };
        let node = self.nodes.get_mut(&node).unwrap();
        let request = node.next_request(answer);
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    pub(crate) fn lock(&mut self) {
        let resource = Term::from(self.random.below(2));
        let Some(node) = self.any_node() else { return };
        let now = self.now;
        let node = self.nodes.get_mut(&node).unwrap();
        let pid = node.spawn();
        let lock = LockId { resource, requester: pid.clone().into() };
        let phase = Phase::Waiting(now);
        node.users.push(User { process: pid.id, lock, backoff: Backoff::default(), answers: Vec::new(), phase });
    }
}
