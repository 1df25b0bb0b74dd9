//! Nodes of the partition that only this one does not reach.
//!
//! OTP has all others part with such a node. Here that is for the other end to say: no node is driven out because of this
//! one. If the other end does not, for it is of the same kind, this node leaves.
//!
//! When a connection is lost the other end cannot be told from one that has died; the others part with that by themselves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerl_term::{Atom, Term};

use super::State;
use super::membership::MAX_KNOWN;
use crate::global::event::LinkEnd;
use crate::global::ids::CallId;
use crate::global::message::Request;

/// How long a node that was lost and is connected again may take to meet this one, which the locks of others delay.
const REUNION: Duration = Duration::from_secs(60);

/// How long the others may still have a node that was lost, before this one leaves: until the other end has told them, or they
/// have noticed that it is gone. Of two nodes that lose each other and say nothing, the one with less leaves, and the other
/// stays.
fn grace(end: LinkEnd, own: &Atom, lost: &Atom) -> Duration {
    Duration::from_secs(match (end, own < lost) {
        (LinkEnd::Own, _) => 4,
        (LinkEnd::Peer, true) => 6,
        (LinkEnd::Peer, false) => 8,
        // The tick times of two connections of a silent node run out at different times.
        (LinkEnd::Silence, true) => 15,
        (LinkEnd::Silence, false) => 20,
    })
}

impl State {
    /// A node of the partition is not reached any more, of which nobody is told.
    pub(super) fn suspect(&mut self, node: &Atom, end: LinkEnd, now: Instant) {
        let is_suspect = self.mesh.suspects.contains_key(node);
        let is_new = self.mesh.known.contains_key(node) && self.mesh.suspects.len() < MAX_KNOWN;
        if is_suspect || is_new {
            let until = now + grace(end, self.node(), node);
            self.mesh.suspects.insert(node.clone(), until);
        }
    }

    /// A node is connected again. Until the two have met, no change of a name could be made at all nodes that have the name.
    pub(super) fn suspect_is_back(&mut self, node: &Atom, now: Instant) {
        if let Some(until) = self.mesh.suspects.get_mut(node) {
            *until = now + REUNION;
        }
    }

    /// Asks the others whether they still have the nodes that were suspected some time ago.
    pub(super) fn question_suspects(&mut self, now: Instant) {
        let due = self.mesh.suspects.extract_if(.., |_, until| *until <= now);
        let unknown: Arc<[Atom]> = due.map(|(node, _)| node).collect();
        if unknown.is_empty() {
            return;
        }
        for node in self.mesh.known.keys() {
            let call = self.mesh.outbox.call(node, Request::Known);
            self.questions.insert(call, unknown.clone());
        }
    }

    /// Another node has said whom it knows.
    pub(super) fn suspects_answered(&mut self, call: CallId, reply: Option<&Term>, now: Instant) {
        let Some(suspects) = self.questions.remove(&call) else { return };
        let known = reply.and_then(Term::as_list).unwrap_or_default();
        let met: BTreeSet<_> = known.iter().filter_map(Term::as_atom).collect();
        let unreached = suspects.iter().find(|node| !self.mesh.known.contains_key(*node) && met.contains(node));
        if let Some(node) = unreached {
            tracing::warn!(%node, "leaving the cluster: it has a node that this one does not reach");
            self.leave(now);
            self.questions.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::Budget;
    use peerl_term::Pid;

    use super::*;
    use crate::global::state::Identity;

    fn state() -> State {
        let node = Atom::from_static("a@h");
        let server = Pid { node: node.clone(), id: 1, serial: 0, creation: 1 };
        State::new(Identity { node, server, seed: 1 }, Budget::new(usize::MAX, 1))
    }

    fn node(index: usize) -> Atom {
        Atom::new(&format!("n{index}@h")).unwrap()
    }

    #[test]
    fn are_no_more_than_a_partition_has_nodes() {
        let (mut state, now) = (state(), Instant::now());
        for index in 0..MAX_KNOWN + 10 {
            state.mesh.known.insert(node(index), 8);
            state.suspect(&node(index), LinkEnd::Peer, now);
            state.mesh.known.remove(&node(index));
        }
        assert_eq!(state.mesh.suspects.len(), MAX_KNOWN);
        // One that is among them stays there for longer.
        state.suspect(&node(0), LinkEnd::Silence, now);
        assert_eq!(state.mesh.suspects[&node(0)], now + grace(LinkEnd::Silence, &Atom::from_static("a@h"), &node(0)));
    }

    #[test]
    fn are_listed_once_for_all_that_are_asked() {
        let (mut state, now) = (state(), Instant::now());
        for index in 0..5 {
            state.mesh.known.insert(node(index), 8);
            state.mesh.suspects.insert(node(10 + index), now);
        }
        state.question_suspects(now);
        assert!(state.mesh.suspects.is_empty());
        let lists: Vec<_> = state.questions.values().collect();
        assert_eq!((lists.len(), lists[0].len()), (5, 5));
        assert!(lists.iter().all(|list| Arc::ptr_eq(list, lists[0])));
    }
}
