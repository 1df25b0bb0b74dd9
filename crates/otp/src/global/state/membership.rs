//! Who belongs to the partition.

use std::time::{Duration, Instant};

use peerl_term::Atom;

use super::State;
use crate::global::event::LinkEnd;
use crate::global::message::{KnownNode, Message, NewNodes};
use crate::global::session::Session;
use crate::global::unreachable::FirstNames;

/// The most nodes of a partition: no peer can make this node dial without end.
pub(super) const MAX_KNOWN: usize = 10_000;

/// How long a node that knows this one may stay unknown. The news of it come within moments, if they come.
const DOUBT: Duration = Duration::from_secs(3);

impl State {
    /// Whether a node is connected, but of another partition. (A hidden one is of none.)
    pub(super) fn is_of_another_partition(&self, node: &Atom) -> bool {
        self.mesh.outbox.is_visible(node) && !self.mesh.known.contains_key(node)
    }

    /// Whether a node is of the own partition.
    pub(super) fn is_member(&self, node: &Atom) -> bool {
        node == self.node() || self.mesh.known.contains_key(node)
    }

    pub(super) fn new_nodes(&mut self, message: &NewNodes, now: Instant) {
        let sender = &message.node;
        // Of those that are no members, one may take this node for a member of its partition; any other one would have it dial.
        if !self.is_member(sender) {
            tracing::debug!(node = %sender, "a node that is not of the partition tells of nodes");
            if self.is_of_another_partition(sender) {
                self.doubt(sender, now);
            }
            return;
        }
        for node in self.add_known(message.nodes.clone()) {
            self.connect(&node);
        }
        let covered = |state: &Self| state.mesh.locks.covers_lock(message.lock.as_ref());
        self.apply(&message.operations, &message.external, covered);
    }

    pub(super) fn in_sync(&mut self, node: &Atom, now: Instant) {
        self.syncs.settled(node, &mut self.mesh.outbox);
        if self.mesh.outbox.is_connected(node) {
            self.synced.insert(node.clone());
        }
        self.end_session(node, now);
        if self.is_of_another_partition(node) {
            self.doubt(node, now);
        }
    }

    /// A node takes this one for a member of its partition, and is not known.
    pub(super) fn doubt(&mut self, node: &Atom, now: Instant) {
        self.doubts.entry(node.clone()).or_insert(now + DOUBT);
    }

    /// A node knows this one, and nobody has told this one of it: who was to do so is gone. The connection is made anew.
    pub(super) fn settle_doubts(&mut self, now: Instant) {
        let due: Vec<_> = self.doubts.extract_if(.., |_, until| *until <= now).map(|(node, _)| node).collect();
        for node in due {
            let is_meeting = self.sessions.get(&node).is_some_and(Session::is_pending);
            if self.is_of_another_partition(&node) && !is_meeting {
                tracing::info!(%node, "connecting anew with a node that knows this one, but is not known");
                let message = Message::RemoveConnection { node: self.node().clone() };
                self.mesh.outbox.send(&node, message);
                self.removing.insert(node.clone());
                self.rejoining.insert(node);
            }
        }
    }

    /// Adds nodes to the partition; gives those that are new to it.
    pub(super) fn add_known(&mut self, nodes: Vec<KnownNode>) -> Vec<Atom> {
        let (mut added, mut left_out) = (Vec::new(), FirstNames::default());
        for KnownNode { node, version } in nodes {
            let is_new = node != *self.node() && !self.mesh.known.contains_key(&node);
            if is_new && self.mesh.known.len() >= MAX_KNOWN {
                left_out.add(node);
            } else if is_new {
                self.doubts.remove(&node);
                self.mesh.suspects.remove(&node);
                self.mesh.known.insert(node.clone(), version);
                added.push(node);
            }
        }
        if !left_out.is_empty() {
            let kind = "the cluster has too many nodes: some are left out";
            self.mesh.warnings.refused_nodes.warn(kind, || format!("{kind}: {left_out}"));
        }
        added
    }

    /// Has a node that has come to be of the partition learn that it is.
    pub(super) fn connect(&mut self, node: &Atom) {
        if *node == *self.node() {
            return;
        }
        if self.mesh.outbox.is_connected(node) {
            self.tell_in_sync(node);
        } else {
            self.joining.insert(node.clone());
            self.mesh.outbox.connect(node);
        }
    }

    pub(super) fn tell_in_sync(&mut self, node: &Atom) {
        let message = Message::InSync { node: self.node().clone() };
        self.mesh.outbox.send(node, message);
    }

    /// A node of the partition cannot be connected.
    pub(super) fn connect_failed(&mut self, node: &Atom, now: Instant) {
        if self.mesh.outbox.is_connected(node) {
            return;
        }
        self.unreachable.add(node, now);
        if self.joining.remove(node) {
            // Nobody is told: all would part with a node that only this one does not reach.
            self.suspect(node, LinkEnd::Silence, now);
            self.syncs.settled(node, &mut self.mesh.outbox);
            self.forget(node, now);
        }
        self.disconnected(node, now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use peerl_node::{Budget, Visibility};
    use peerl_term::Pid;

    use super::*;
    use crate::global::action::Action;
    use crate::global::event::Event;
    use crate::global::message::Received;
    use crate::global::state::Identity;

    fn new_nodes(node: &Atom) -> Message {
        let nodes = vec![KnownNode { node: Atom::from_static("c@h"), version: 8 }];
        let (operations, external) = (vec![], vec![]);
        Message::NewNodes(Arc::new(NewNodes {
            node: node.clone(),
            operations,
            external,
            nodes,
            version: 8,
            lock: None,
        }))
    }

    #[test]
    fn members_alone_tell_of_new_ones() {
        let (node, peer) = (Atom::from_static("a@h"), Atom::from_static("b@h"));
        let server = Pid { node: node.clone(), id: 1, serial: 0, creation: 1 };
        for visibility in [Visibility::Visible, Visibility::Hidden] {
            let identity = Identity { node: node.clone(), server: server.clone(), seed: 1 };
            let mut state = State::new(identity, Budget::new(usize::MAX, 1));
            let now = Instant::now();
            state.handle(Event::NodeUp(peer.clone(), visibility), now);
            let tell = |state: &mut State| {
                let received = Received::Message(Box::new(new_nodes(&peer)));
                state.handle(Event::Received(peer.clone(), Box::new(received)), now);
                let actions = std::iter::from_fn(|| state.next_action());
                actions.filter(|action| matches!(action, Action::Connect(_))).count()
            };
            assert_eq!(tell(&mut state), 0);
            assert!(state.mesh.known.is_empty());
            // It may be of a partition that has taken this node for a member.
            assert_eq!(state.doubts.contains_key(&peer), visibility == Visibility::Visible);
            state.mesh.known.insert(peer.clone(), 8);
            assert_eq!(tell(&mut state), 1);
        }
    }
}
