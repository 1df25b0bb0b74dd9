//! A node joins two others, and at some moment of that a node or a connection ends.

use std::time::Duration;

use peerl_otp::global::LinkEnd;
use peerl_term::Atom;

use crate::network::Network;

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
