use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peerl_node::{Caller, Lease, Share};
use peerl_term::{Atom, Term};

use super::action::Action;
use super::ids::RequestId;
use super::outbox::Outbox;
use crate::places::Places;
use crate::term_memory::{term_memory, to_keep};

/// The most that wait at a time, of which a node has as many as it leaves for the others.
const MAX_WAITING: usize = 10_000;

/// The bytes that one takes that waits, and each node for which it waits, beside the text of its name.
const WAITING: usize = 512;
const NODE: usize = 128;

/// Who asked.
#[derive(Debug, Clone)]
pub(super) enum Requester {
    /// This node itself.
    Local(RequestId),
    /// A process that has called the server.
    Remote(Caller),
}

impl Requester {
    /// The node of a process that has called.
    pub(super) fn node(&self) -> Option<&Atom> {
        match self {
            Self::Local(_) => None,
            Self::Remote(caller) => Some(&caller.pid.node),
        }
    }

    /// With what it goes.
    fn asker(&self) -> Asker {
        match self {
            Self::Local(request) => Asker::Local(*request),
            Self::Remote(caller) => Asker::Node(caller.pid.node.clone()),
        }
    }

    /// Takes what one that waits for these nodes takes of a share; none, if there is not that much.
    pub(super) fn lease(&self, nodes: &BTreeSet<Atom>, share: &Arc<Share>) -> Option<Lease> {
        let tag = match self {
            Self::Local(_) => 0,
            Self::Remote(caller) => term_memory(&caller.tag),
        };
        share.lease(WAITING + tag + nodes.iter().map(|node| NODE + node.as_str().len()).sum::<usize>())
    }

    /// As it is kept for long.
    pub(super) fn into_kept(self) -> Self {
        match self {
            Self::Local(request) => Self::Local(request),
            Self::Remote(Caller { pid, tag }) => Self::Remote(Caller { pid, tag: to_keep(&tag) }),
        }
    }

    pub(super) fn answer(self, answer: Term, outbox: &mut Outbox) {
        outbox.push(match self {
            Self::Local(request) => Action::Answer(request, answer),
            Self::Remote(caller) => Action::Reply(caller, answer),
        });
    }
}

/// Those that wait until the names of some nodes are known here. There may be very many, for each of many nodes.
#[derive(Debug)]
pub(super) struct Syncs {
    waiting: BTreeMap<u64, Sync>,
    of_nodes: BTreeMap<Atom, BTreeSet<u64>>,
    of_requesters: BTreeMap<Asker, BTreeSet<u64>>,
    last: u64,
    places: Places,
}

#[derive(Debug)]
struct Sync {
    requester: Requester,
    nodes: BTreeSet<Atom>,
    _lease: Lease,
    _place: Lease,
}

/// With what a request goes that nobody waits for any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    Local(RequestId),
    Node(Atom),
}

impl Default for Syncs {
    /// Nobody waits.
    fn default() -> Self {
        let (waiting, of_nodes, of_requesters) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { waiting, of_nodes, of_requesters, last: 0, places: Places::new(MAX_WAITING) }
    }
}

impl Syncs {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Has one wait, which takes of this share.
    pub(super) fn add(&mut self, requester: Requester, nodes: BTreeSet<Atom>, share: &Arc<Share>, outbox: &mut Outbox) {
        if nodes.is_empty() {
            requester.answer(Term::atom("ok"), outbox);
        } else if let Some(place) = self.places.take(requester.node().unwrap_or(&outbox.node))
            && let Some(lease) = requester.lease(&nodes, share)
        {
            self.last += 1;
            for node in &nodes {
                self.of_nodes.entry(node.clone()).or_default().insert(self.last);
            }
            self.of_requesters.entry(requester.asker()).or_default().insert(self.last);
            let requester = requester.into_kept();
            self.waiting.insert(self.last, Sync { requester, nodes, _lease: lease, _place: place });
        } else {
            requester.answer(Term::tuple([Term::atom("error"), Term::atom("system_limit")]), outbox);
        }
    }

    /// The names of a node are known, or it is gone.
    pub(super) fn settled(&mut self, node: &Atom, outbox: &mut Outbox) {
        for id in self.of_nodes.remove(node).unwrap_or_default() {
            let Some(sync) = self.waiting.get_mut(&id) else { continue };
            sync.nodes.remove(node);
            if sync.nodes.is_empty()
                && let Some(sync) = self.remove(id)
            {
                sync.requester.answer(Term::atom("ok"), outbox);
            }
        }
    }

    /// Nobody waits any more for what was asked.
    pub(super) fn given_up(&mut self, asker: &Asker) {
        for id in self.of_requesters.remove(asker).unwrap_or_default() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Sync> {
        let sync = self.waiting.remove(&id)?;
        for node in &sync.nodes {
            remove_from(&mut self.of_nodes, node, id);
        }
        remove_from(&mut self.of_requesters, &sync.requester.asker(), id);
        Some(sync)
    }
}

fn remove_from<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<u64>>, key: &K, id: u64) {
    if let Some(set) = sets.get_mut(key) {
        set.remove(&id);
        if set.is_empty() {
            sets.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::{Budget, Pid};

    use super::*;
    use crate::node_shares::NodeShares;

    #[test]
    fn those_that_wait_take_of_the_share_of_their_node() {
        let memory = Budget::with_factor(1 << 20, 64, 4);
        let (mut shares, mut syncs) = (NodeShares::new(memory.clone()), Syncs::default());
        let (peer, awaited) = (Atom::from_static("b@h"), Atom::from_static("c@h"));
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        for number in 0..100 {
            let pid = Pid { node: peer.clone(), id: number, serial: 0, creation: 1 };
            let tag = Term::list(vec![Term::nil(); 1000]);
            let requester = Requester::Remote(Caller { pid, tag });
            syncs.add(requester, [awaited.clone()].into(), &shares.of(&peer), &mut outbox);
        }
        let waiting = syncs.waiting.len();
        assert!((4..100).contains(&waiting) && memory.lent() <= (1 << 20) / 5 * 4, "{waiting}");
        // The others have been told that there is no room.
        assert_eq!(std::iter::from_fn(|| outbox.take()).count(), 100 - waiting);
        syncs.settled(&awaited, &mut outbox);
        assert_eq!((std::iter::from_fn(|| outbox.take()).count(), memory.lent()), (waiting, 0));
        assert!(syncs.of_nodes.is_empty() && syncs.of_requesters.is_empty());
    }

    #[test]
    fn those_whose_requester_has_gone_take_nothing() {
        let memory = Budget::with_factor(1 << 20, 64, 4);
        let (mut shares, mut syncs) = (NodeShares::new(memory.clone()), Syncs::default());
        let mut outbox = Outbox::new(Atom::from_static("a@h"));
        let [own, peer, awaited] = ["a@h", "b@h", "c@h"].map(Atom::from_static);
        let pid = Pid { node: peer.clone(), id: 1, serial: 0, creation: 1 };
        let remote = || Requester::Remote(Caller { pid: pid.clone(), tag: Term::nil() });
        let nodes = || [awaited.clone(), Atom::from_static("d@h")].into();
        for number in 0..10 {
            syncs.add(Requester::Local(RequestId(number)), nodes(), &shares.of(&own), &mut outbox);
            syncs.add(remote(), nodes(), &shares.of(&peer), &mut outbox);
        }
        syncs.given_up(&Asker::Local(RequestId(3)));
        assert_eq!((syncs.len(), syncs.of_nodes[&awaited].len()), (19, 19));
        syncs.given_up(&Asker::Node(peer.clone()));
        assert_eq!((syncs.len(), syncs.of_nodes[&awaited].len()), (9, 9));
        (0..10).for_each(|number| syncs.given_up(&Asker::Local(RequestId(number))));
        assert!(syncs.waiting.is_empty() && syncs.of_nodes.is_empty() && syncs.of_requesters.is_empty());
        assert_eq!((memory.lent(), outbox.take()), (0, None));
    }
}
