use std::collections::BTreeSet;
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
const WAITING: usize = 256;
const NODE: usize = 64;

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

/// Those that wait until the names of some nodes are known here.
#[derive(Debug)]
pub(super) struct Syncs {
    waiting: Vec<Sync>,
    places: Places,
}

#[derive(Debug)]
struct Sync {
    requester: Requester,
    nodes: BTreeSet<Atom>,
    _lease: Lease,
    _place: Lease,
}

impl Default for Syncs {
    /// Nobody waits.
    fn default() -> Self {
        Self { waiting: Vec::new(), places: Places::new(MAX_WAITING) }
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
            self.waiting.push(Sync { requester: requester.into_kept(), nodes, _lease: lease, _place: place });
        } else {
            requester.answer(Term::tuple([Term::atom("error"), Term::atom("system_limit")]), outbox);
        }
    }

    /// The names of a node are known, or it is gone.
    pub(super) fn settled(&mut self, node: &Atom, outbox: &mut Outbox) {
        for sync in &mut self.waiting {
            sync.nodes.remove(node);
        }
        for Sync { requester, .. } in self.waiting.extract_if(.., |sync| sync.nodes.is_empty()) {
            requester.answer(Term::atom("ok"), outbox);
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
    }
}
