use std::collections::BTreeMap;
use std::time::Instant;

use peerl_term::{Atom, Pid};

use super::lock::LockId;
use super::locks::Locks;
use super::message::Request;
use super::outbox::Outbox;
use super::random::Random;
use super::warnings::Warnings;

/// What the locker, the registrar and the sessions share.
#[derive(Debug)]
pub(super) struct Mesh {
    /// The process that does all this.
    pub(super) server: Pid,
    /// The nodes of the partition but this one, with the version of the protocol that each has.
    pub(super) known: BTreeMap<Atom, u32>,
    /// Nodes that were lost, of which nobody was told, and until when the others may still have them. One that is connected
    /// again is among them until it has met this one.
    pub(super) suspects: BTreeMap<Atom, Instant>,
    pub(super) locks: Locks,
    pub(super) outbox: Outbox,
    pub(super) random: Random,
    pub(super) warnings: Warnings,
}

impl Mesh {
    /// The greatest name of the partition: who locks it begins with this node, so that only one gets further.
    pub(super) fn boss(&self) -> &Atom {
        let node = &self.outbox.node;
        self.known.last_key_value().map_or(node, |(greatest, _)| greatest.max(node))
    }

    /// Whether a node was lost, is connected again, and is to be met.
    pub(super) fn is_back(&self, node: &Atom) -> bool {
        self.suspects.contains_key(node) && self.outbox.is_visible(node)
    }

    /// Removes a lock of this server's at these nodes; at the boss last, where others try first.
    pub(super) fn release(&mut self, id: &LockId, nodes: &[Atom]) {
        let boss = nodes.iter().max();
        for node in nodes.iter().filter(|node| Some(*node) != boss).chain(boss) {
            if *node == self.outbox.node {
                self.locks.remove(id, &self.server, &mut self.outbox);
            } else if self.outbox.is_connected(node) {
                self.outbox.call(node, Request::DelLock(id.clone()));
            }
        }
    }
}
