//! What disturbs the nodes, and what they are for.

use peerl_otp::global::{Backoff, Event, LinkEnd, LocalRequest, LockId, Method, Registration};
use peerl_term::{Atom, Term};

use crate::network::Network;
use crate::node::{Local, Node, Wanted};
use crate::user::{Phase, User};

impl Network {
    pub(crate) fn fault(&mut self) {
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

    pub(crate) fn crash(&mut self) {
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

    pub(crate) fn boot(&mut self, name: &Atom) {
        let creation = self.next_creation;
        self.next_creation += 1;
        let seed = self.random.next_u64();
        self.log(|| format!("{name} boots"));
        self.nodes.insert(name.clone(), Node::new(name.clone(), creation, seed));
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
        let registration = Registration { name, pid: pid.clone(), method };
        let request = node.next_request(Wanted::Registered(pid));
        let wanted = match is_forced {
            true => LocalRequest::ReRegister(registration),
            false => LocalRequest::Register(registration),
        };
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    pub(crate) fn unregister(&mut self) {
        let name = Term::from(self.random.below(6));
        self.request(LocalRequest::Unregister(name));
    }

    pub(crate) fn request(&mut self, wanted: LocalRequest) {
        let Some(node) = self.any_node() else { return };
        let node = self.nodes.get_mut(&node).unwrap();
        let request = node.next_request(Wanted::Other);
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
