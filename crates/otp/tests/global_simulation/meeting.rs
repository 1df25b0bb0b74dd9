//! A node joins two others, and at some moment of that a node or a connection ends.

use std::time::Duration;

use peerl_otp::global::{Event, LinkEnd, LocalRequest, LockId, Method, Registration, Request};
use peerl_term::{Atom, Term};

use crate::network::Network;
use crate::node::{Asker, Local, Wanted};

/// What ends: nodes are counted in the order of their names.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    Crash(usize),
    Cut(usize, usize),
}

impl Break {
    pub(crate) const ALL: [Self; 6] =
        [Self::Crash(0), Self::Crash(1), Self::Crash(2), Self::Cut(0, 1), Self::Cut(0, 2), Self::Cut(1, 2)];
}

impl Network {
    /// Breaks the meeting off after so many steps; says whether it was over by then.
    pub(crate) fn run_broken_meeting(&mut self, joining: usize, broken: Break, steps: u64) -> bool {
        let names = self.names[..3].to_vec();
        self.nodes.retain(|name, _| names.contains(name));
        let members: Vec<_> = names.iter().filter(|name| **name != names[joining]).cloned().collect();
        self.dial(&members[0], &members[1]);
        self.settle();
        self.dial(&names[joining], &members[0]);
        for _ in 0..steps {
            self.step();
        }
        let is_over = self.nodes.values().all(|node| node.state.known().count() == 2 && node.state.locks().is_empty());
        match broken {
            Break::Crash(index) => self.crash_of(&names[index]),
            Break::Cut(one, other) => self.close(&names[one], &names[other], LinkEnd::Peer, LinkEnd::Peer),
        }
        self.register_everywhere();
        self.heal();
        self.check_agreement();
        is_over
    }

    /// Two of three nodes lose each other and are connected again, and another lock keeps them from meeting for longer than one
    /// that has gone is awaited. A name that one of them removes meanwhile is gone at all three.
    pub(crate) fn run_reunion(&mut self) {
        let names = self.names[..3].to_vec();
        let [one, between, other] = &names[..] else { panic!("there are three at least") };
        self.nodes.retain(|name, _| names.contains(name));
        for (one, other) in [(one, between), (between, other), (one, other)] {
            self.dial(one, other);
        }
        self.settle();
        let (name, holder) = (Term::from(7), self.nodes.get_mut(between).unwrap().spawn());
        let pid = self.nodes.get_mut(between).unwrap().spawn();
        let registration = Registration { name: name.clone(), pid, method: Method::default().to_term() };
        self.ask(between, LocalRequest::Register(registration));
        self.settle();
        let lock = LockId { resource: Term::atom("global"), requester: Term::from(holder.clone()) };
        for node in &names {
            self.call(between, Asker::Nobody(holder.id), node, &Request::SetLock(lock.clone()));
        }
        while self.nodes.values().any(|node| node.state.locks().is_empty()) {
            self.step();
        }
        self.close(one, other, LinkEnd::Peer, LinkEnd::Peer);
        self.dial(one, other);
        self.ask(one, LocalRequest::Unregister(name));
        let limit = self.now + Duration::from_secs(10);
        while self.now < limit && self.step() {}
        for node in &names {
            self.call(between, Asker::Nobody(holder.id), node, &Request::DelLock(lock.clone()));
        }
        self.settle();
        self.check_agreement();
        assert!(self.nodes.values().all(|node| node.state.names().is_empty()), "the name is back");
    }

    /// Has a node want something.
    pub(crate) fn ask(&mut self, name: &Atom, wanted: LocalRequest) {
        let node = self.nodes.get_mut(name).unwrap();
        let request = node.next_request(Wanted::Other);
        node.local.push_back(Local::Event(Event::Request(request, wanted)));
    }

    /// Has each node register a name of its own.
    pub(crate) fn register_everywhere(&mut self) {
        let begun = self.now;
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            self.register_own(&name);
        }
        let limit = begun + Duration::from_secs(10);
        while self.is_registering() && self.now < limit && self.step() {}
        let waiting: Vec<&Atom> =
            self.nodes.values().filter(|node| !node.requests.is_empty()).map(|node| &node.name).collect();
        assert!(waiting.is_empty(), "names cannot be registered at {waiting:?}");
    }

    fn is_registering(&self) -> bool {
        self.nodes.values().any(|node| !node.requests.is_empty())
    }
}
