//! No two partitions overlap: all others part with a node that another has lost.

use std::time::Instant;

use peerl_term::{Atom, Term};

use super::{Leaving, State};
use crate::global::action::Action;
use crate::global::event::LinkEnd;
use crate::global::message::{LostConnection, Message};
use crate::global::syncs::{Asker, Requester};

/// The first version of the protocol that knows these messages.
const SINCE: u32 = 7;

impl State {
    pub(super) fn node_down(&mut self, node: &Atom, end: LinkEnd, now: Instant) {
        self.joining.remove(node);
        if self.removing.remove(node) {
            self.mesh.suspects.remove(node);
        } else {
            self.suspect(node, end, now);
        }
        self.syncs.settled(node, &mut self.mesh.outbox);
        self.syncs.given_up(&Asker::Node(node.clone()));
        self.forget(node, now);
        self.disconnected(node, now);
        self.left(node);
        self.doubts.remove(node);
        if self.rejoining.remove(node) {
            self.mesh.outbox.connect(node);
        }
    }

    pub(super) fn lost_connection(&mut self, sender: &Atom, report: &LostConnection, now: Instant) {
        // One that takes this node for a member of its partition tells it, too.
        let is_sender = sender == self.node() || self.is_potentially_known(sender) || self.doubts.contains_key(sender);
        if !is_sender {
            tracing::debug!(node = %sender, "a node that is not of the partition tells of a lost connection");
            return;
        }
        if !self.lost_connections.is_new(report, now) {
            return;
        }
        // Who was about to tell all may be gone before it has.
        self.multicast(report, &report.node);
        let lost = if report.lost == *self.node() { &report.node } else { &report.lost };
        if self.is_potentially_known(lost) {
            tracing::warn!(node = %lost, reporter = %report.node, "parting with a node that another has lost");
            let message = Message::RemoveConnection { node: self.node().clone() };
            self.mesh.outbox.send(lost, message);
            self.expect_end(lost);
            self.forget(lost, now);
        }
    }

    pub(super) fn remove_connection(&mut self, node: &Atom, now: Instant) {
        if self.is_potentially_known(node) {
            tracing::warn!(%node, "parting with a node that has lost another, or was lost");
            self.mesh.outbox.push(Action::Disconnect(node.clone()));
            self.expect_end(node);
            self.forget(node, now);
        }
    }

    /// A connection is about to end. One that is still being made has no end that is told.
    fn expect_end(&mut self, node: &Atom) {
        if self.mesh.outbox.is_connected(node) {
            self.removing.insert(node.clone());
        }
    }

    /// Leaves the cluster, and answers when all connections have ended.
    pub(super) fn disconnect(&mut self, requester: Requester, now: Instant) {
        let left = self.leave(now);
        if left.is_empty() {
            requester.answer(Term::nil(), &mut self.mesh.outbox);
        } else {
            let remaining = left.iter().cloned().collect();
            let share = self.shares.of(requester.node().unwrap_or(&self.mesh.outbox.node));
            match requester.lease(&remaining, &share) {
                Some(lease) => {
                    let requester = requester.into_kept();
                    self.leaving.push(Leaving { requester, _lease: lease, left, remaining });
                }
                None => requester.answer(Term::nil(), &mut self.mesh.outbox),
            }
        }
    }

    /// Ends all connections; nobody is told that one was lost.
    pub(super) fn leave(&mut self, now: Instant) -> Vec<Atom> {
        let left = self.mesh.outbox.visible();
        for node in &left {
            self.mesh.outbox.push(Action::Disconnect(node.clone()));
            self.removing.insert(node.clone());
            self.forget(node, now);
        }
        left
    }

    /// The node is of the partition no longer. Its names go at once: another partition is not to get them from this node.
    pub(super) fn forget(&mut self, node: &Atom, now: Instant) {
        self.cancel_session(node, now);
        self.names.node_gone(node, &mut self.mesh.outbox);
        self.mesh.known.remove(node);
        self.synced.remove(node);
    }

    fn left(&mut self, node: &Atom) {
        for leaving in &mut self.leaving {
            leaving.remaining.remove(node);
        }
        for Leaving { requester, left, .. } in self.leaving.extract_if(.., |leaving| leaving.remaining.is_empty()) {
            requester.answer(Term::list(left.into_iter().map(Term::from)), &mut self.mesh.outbox);
        }
    }

    fn is_potentially_known(&self, node: &Atom) -> bool {
        self.mesh.known.contains_key(node) || self.sessions.get(node).is_some_and(|session| session.is_pending())
    }

    /// Sends to all nodes that are of the partition or about to join it, but one.
    fn multicast(&mut self, report: &LostConnection, but: &Atom) {
        let known = self.mesh.known.iter().filter(|(_, version)| **version >= SINCE).map(|(node, _)| node);
        let pending = self.sessions.iter().filter(|(_, session)| session.is_pending()).map(|(node, _)| node);
        let receivers: Vec<_> = known.chain(pending).filter(|node| *node != but).cloned().collect();
        for node in receivers {
            self.mesh.outbox.send(&node, Message::LostConnection(report.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::{Budget, Visibility};
    use peerl_term::Pid;

    use super::*;
    use crate::global::event::Event;
    use crate::global::message::Received;
    use crate::global::state::Identity;

    fn report(state: &mut State, operation: i64, lost: &Atom) {
        let report = LostConnection { node: Atom::from_static("c@h"), incarnation: 1, operation, lost: lost.clone() };
        let received = Received::Message(Box::new(Message::LostConnection(report)));
        state.handle(Event::Received(Atom::from_static("b@h"), Box::new(received)), Instant::now());
    }

    #[test]
    fn reports_are_taken_from_members_and_the_end_of_a_connection_is_awaited_if_there_is_one() {
        let (node, peer) = (Atom::from_static("a@h"), Atom::from_static("b@h"));
        let (dialled, connected) = (Atom::from_static("d@h"), Atom::from_static("e@h"));
        let server = Pid { node: node.clone(), id: 1, serial: 0, creation: 1 };
        let mut state = State::new(Identity { node, server, seed: 1 }, Budget::new(usize::MAX, 1));
        for node in [&peer, &connected] {
            state.handle(Event::NodeUp(node.clone(), Visibility::Visible), Instant::now());
        }
        state.mesh.known = [(dialled.clone(), 8), (connected.clone(), 8)].into();
        report(&mut state, 1, &connected);
        assert!(state.is_member(&connected) && state.lost_connections.deadline().is_none());
        state.mesh.known.insert(peer.clone(), 8);
        report(&mut state, 1, &connected);
        report(&mut state, 2, &dialled);
        assert!(!state.is_member(&connected) && !state.is_member(&dialled));
        assert_eq!(state.removing, [connected.clone()].into());
        state.handle(Event::NodeDown(connected, LinkEnd::Peer), Instant::now());
        assert!(state.removing.is_empty());
    }
}
