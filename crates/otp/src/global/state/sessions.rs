//! Two nodes that have come to be connected agree on a session, in which their lockers meet.

use std::time::Instant;

use peerl_node::Visibility;
use peerl_term::{Atom, Term};

use super::{State, VERSION};
use crate::global::message::{InitConnect, InitConnectAck, LockSet, Message, Version};
use crate::global::session::{Peer, Session};
use crate::term_memory::{term_memory, to_keep};

/// The most bytes of memory of a peer's tag of a session, which is a number or a reference.
const LONGEST_TAG: usize = 1024;

impl State {
    pub(super) fn node_up(&mut self, node: &Atom, visibility: Visibility, now: Instant) {
        self.mesh.outbox.node_up(node, visibility);
        self.suspect_is_back(node, now);
        if visibility == Visibility::Hidden {
            self.joining.remove(node);
            return;
        }
        if self.is_of_another_partition(node) {
            self.names.node_gone(node, &mut self.mesh.outbox);
        }
        if self.joining.remove(node) {
            self.tell_in_sync(node);
        }
        self.begin(node);
    }

    /// Asks a node for a session, unless it is of the own partition or was asked already.
    pub(super) fn begin(&mut self, node: &Atom) {
        if self.mesh.known.contains_key(node) || self.sessions.contains_key(node) {
            return;
        }
        self.last_tag += 1;
        let tag = self.last_tag;
        self.sessions.insert(node.clone(), Session::new(tag));
        let version = Version { version: VERSION, tag: Term::from(tag) };
        let locker = self.mesh.server.clone();
        let message = InitConnect { version, node: self.node().clone(), locker };
        self.mesh.outbox.send(node, Message::InitConnect(message));
    }

    pub(super) fn init_connect(&mut self, message: InitConnect, now: Instant) {
        let InitConnect { version: Version { version, tag }, node, locker } = message;
        if term_memory(&tag) > LONGEST_TAG {
            tracing::debug!(%node, "the tag of a session is too long");
            return;
        }
        let tag = to_keep(&tag);
        if self.is_of_another_partition(&node) {
            // One that was begun may have been given up for a message of the connection before.
            self.begin(&node);
        }
        let Some(session) = self.sessions.get_mut(&node) else {
            // It is of the own partition, and learns that in a moment.
            tracing::debug!(%node, "asks for a session that is not needed");
            return;
        };
        if let Some(peer) = &session.peer {
            if peer.tag != tag {
                // Two sessions of the same nodes: both are given up, and there will be another.
                self.send_cancel(&node, tag);
                self.restart(&node, now);
            }
            return;
        }
        let peer = Peer { tag: tag.clone(), version: version.min(VERSION), locker };
        session.peer = Some(peer.clone());
        let own = session.tag;
        self.locker.add(&node, own, peer, now, &mut self.mesh);
        if version >= VERSION {
            let ack = InitConnectAck { node: self.node().clone(), to: tag, from: Term::from(own) };
            self.mesh.outbox.send(&node, Message::InitConnectAck(ack));
        }
    }

    pub(super) fn init_connect_ack(&mut self, message: &InitConnectAck, now: Instant) {
        let InitConnectAck { node, to, from } = message;
        let Some(session) = self.sessions.get(node) else { return };
        // One that is older than the session is followed by another one.
        if session.is_tag(to) && session.peer.as_ref().map(|peer| &peer.tag) != Some(from) {
            self.send_cancel(node, from.clone());
            self.restart(node, now);
        }
    }

    pub(super) fn cancel_connect(&mut self, node: &Atom, tag: &Term, now: Instant) {
        if self.sessions.get(node).is_some_and(|session| session.is_tag(tag)) {
            self.end_session(node, now);
            self.begin(node);
        }
    }

    pub(super) fn lock_set(&mut self, message: LockSet, now: Instant) {
        let node = &message.locker.node;
        if let Some(tag) = &message.tag
            && !self.sessions.get(node).is_some_and(|session| session.is_tag(tag))
        {
            return;
        }
        let outcome = self.locker.lock_set(message, now, &mut self.mesh);
        self.settle(outcome, now);
    }

    /// Gives a session up, tells the other node so, and asks for another one.
    pub(super) fn restart(&mut self, node: &Atom, now: Instant) {
        self.cancel_session(node, now);
        self.begin(node);
    }

    /// Gives a session up, and tells the other node so if it waits.
    pub(super) fn cancel_session(&mut self, node: &Atom, now: Instant) {
        let peer = self.sessions.get(node).and_then(|session| session.peer.clone());
        if let Some(peer) = peer.filter(|peer| peer.version >= VERSION) {
            self.send_cancel(node, peer.tag);
        }
        self.end_session(node, now);
    }

    /// Ends a session, and with it the lock that was set for it.
    pub(super) fn end_session(&mut self, node: &Atom, now: Instant) {
        if let Some(session) = self.sessions.remove(node) {
            self.cancel_locker(node, session.tag, now);
        }
    }

    pub(super) fn cancel_locker(&mut self, node: &Atom, tag: i64, now: Instant) {
        let outcome = self.locker.cancel(node, tag, now, &mut self.mesh);
        self.settle(outcome, now);
    }

    fn send_cancel(&mut self, node: &Atom, tag: Term) {
        let message = Message::CancelConnect { node: self.node().clone(), tag };
        self.mesh.outbox.send(node, message);
    }
}
