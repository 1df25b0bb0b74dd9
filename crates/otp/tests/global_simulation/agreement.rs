//! The network becomes whole, and all nodes agree.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use peerl_otp::global::{LinkEnd, LocalRequest, Method, Registration};
use peerl_term::{Atom, Pid, Term};

use crate::network::{Network, ends};

impl Network {
    pub(crate) fn heal(&mut self) {
        self.log(|| "the network is whole".to_owned());
        for (one, other) in std::mem::take(&mut self.blocked) {
            self.close(&one, &other, LinkEnd::Silence, LinkEnd::Silence);
        }
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

    pub(crate) fn settle(&mut self) {
        let limit = self.now + Duration::from_secs(300);
        while self.now < limit && self.step() {}
        assert!(self.now < limit, "the nodes do not come to rest");
    }

    pub(crate) fn check(&mut self) {
        self.check_agreement();
        // A name can be registered anywhere.
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let begun = self.now;
            self.register_own(&name);
            self.settle();
            assert!(self.nodes[&name].requests.is_empty(), "a name cannot be registered at {name}");
            assert!(self.now - begun < Duration::from_secs(10));
        }
        self.check_agreement();
    }

    /// Has a node register a process of its own, under a name that nobody else has.
    pub(crate) fn register_own(&mut self, name: &Atom) {
        let node = self.nodes.get_mut(name).unwrap();
        let pid = node.spawn();
        let registration = Registration { name: Term::from(pid.clone()), pid, method: Method::default().to_term() };
        self.ask(name, LocalRequest::Register(registration));
    }

    pub(crate) fn check_agreement(&self) {
        let alive: BTreeSet<_> = self.nodes.keys().cloned().collect();
        let seed = self.seed;
        let mut agreed: Option<HashMap<Term, Pid>> = None;
        for node in self.nodes.values() {
            let known: BTreeSet<_> = node.state.known().cloned().chain([node.name.clone()]).collect();
            assert_eq!(known, alive, "what {} knows (seed {seed})", node.name);
            assert!(node.state.locks().is_empty(), "{} has locks: {:?}", node.name, node.state.locks());
            assert!(node.requests.is_empty(), "requests at {} are not answered", node.name);
            assert!(node.users.is_empty(), "locks at {} are not had", node.name);
            let mut names: HashMap<_, _> = node.state.names().into_iter().map(|name| (name.name, name.pid)).collect();
            for (name, pid) in &names {
                assert!(self.nodes[&pid.node].is_alive(pid), "{name} of {pid:?} at {} is of the dead", node.name);
            }
            names.retain(|name, _| !self.interrupted.contains(name));
            match &agreed {
                Some(agreed) => assert_eq!(agreed, &names, "the names at {}", node.name),
                None => agreed = Some(names),
            }
        }
    }
}
