use std::collections::{BTreeMap, BTreeSet};

use peerl_term::{Atom, Term};

use super::attempt::{Attempt, AttemptOutcome};
use super::ids::CallId;
use super::lock::LockId;
use super::mesh::Mesh;
use super::message::Request;

/// The lock on the name space being set in the whole partition: at its boss first, where all try; then at this node and
/// `extra`; then at all others, until there are none left.
///
/// If this node has lost another one lately, the nodes where the lock is set are asked whether they still have that one. That
/// one would not learn of what is done under the lock, and names would not be the same in the whole partition any more.
#[derive(Debug)]
pub(super) struct Acquisition {
    id: LockId,
    extra: Vec<Atom>,
    asked: BTreeSet<Atom>,
    held: Vec<Atom>,
    stage: Attempt,
    purpose: Purpose,
    verification: Verification,
    calls: BTreeMap<CallId, Atom>,
}

/// What the lock is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A meeting with this node, which may be the one that was lost.
    Meeting(Atom),
    /// A change of a name.
    Change,
}

/// How far it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Answers are missing.
    Waiting,
    /// The lock is set at these nodes.
    Held(Vec<Atom>),
    /// A node has refused, and the lock is removed again.
    Refused,
}

/// Whether the nodes are asked for one that this node has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verification {
    Due,
    UnderWay,
    Unneeded,
}

impl Acquisition {
    pub(super) fn start(purpose: Purpose, id: LockId, extra: Vec<Atom>, mesh: &mut Mesh) -> (Self, Progress) {
        let mut acquisition = Self {
            id,
            extra,
            asked: BTreeSet::new(),
            held: Vec::new(),
            stage: Attempt::new([]),
            purpose,
            verification: if mesh.suspects.is_empty() { Verification::Unneeded } else { Verification::Due },
            calls: BTreeMap::new(),
        };
        // To lock this node could stop another that has locked the boss already.
        if !mesh.locks.is_free(&acquisition.id) {
            return (acquisition, Progress::Refused);
        }
        let progress = acquisition.proceed(mesh);
        (acquisition, progress)
    }

    /// A call was answered; nothing if it is none of these.
    pub(super) fn answered(&mut self, call: CallId, reply: Option<&Term>, mesh: &mut Mesh) -> Option<Progress> {
        let node = self.calls.remove(&call)?;
        match self.verification {
            Verification::UnderWay if self.has_suspect(reply, mesh) => {
                self.stage.answered(&node, Some(&Term::atom("false")));
            }
            Verification::UnderWay => self.stage.answered(&node, None),
            _ => self.stage.answered(&node, reply),
        }
        Some(self.proceed(mesh))
    }

    /// Gives the lock up where it is set, or may be.
    pub(super) fn abandon(self, mesh: &mut Mesh) {
        for call in self.calls.into_keys() {
            mesh.outbox.abandon(call);
        }
        let asked: Vec<_> = self.asked.into_iter().collect();
        mesh.release(&self.id, &asked);
    }

    fn proceed(&mut self, mesh: &mut Mesh) -> Progress {
        while self.calls.is_empty() {
            match self.stage.outcome() {
                None => return Progress::Waiting,
                Some(AttemptOutcome::Held(held)) => self.held.extend(held),
                Some(AttemptOutcome::Refused(held)) => {
                    self.held.extend(held);
                    mesh.release(&self.id, &self.held);
                    return Progress::Refused;
                }
            }
            let nodes = self.next_nodes(mesh);
            if !nodes.is_empty() {
                self.ask(nodes, mesh);
            } else if self.verification == Verification::Due {
                self.verify(mesh);
            } else {
                return Progress::Held(std::mem::take(&mut self.held));
            }
        }
        Progress::Waiting
    }

    fn next_nodes(&self, mesh: &Mesh) -> Vec<Atom> {
        let own = &mesh.outbox.node;
        if self.asked.is_empty() {
            return vec![mesh.boss().clone()];
        }
        let is_new = |node: &&Atom| !self.asked.contains(*node);
        let second: Vec<_> = [own].into_iter().chain(&self.extra).filter(is_new).cloned().collect();
        if !second.is_empty() {
            return second;
        }
        mesh.known.keys().filter(is_new).cloned().collect()
    }

    /// Whether a node that answers with these nodes, which it knows, still has one that this node has lost.
    fn has_suspect(&self, reply: Option<&Term>, mesh: &Mesh) -> bool {
        let known = reply.and_then(Term::as_list).unwrap_or_default();
        let is_peer = |node: &Atom| matches!(&self.purpose, Purpose::Meeting(peer) if peer == node);
        let is_lost = |node: &Atom| !mesh.known.contains_key(node) && !is_peer(node);
        mesh.suspects.keys().any(|node| is_lost(node) && known.iter().any(|known| known.as_atom() == Some(node)))
    }

    fn verify(&mut self, mesh: &mut Mesh) {
        self.verification = Verification::UnderWay;
        let others: Vec<_> = self.held.iter().filter(|node| **node != mesh.outbox.node).cloned().collect();
        self.stage = Attempt::new(others.iter().cloned());
        for node in others {
            self.calls.insert(mesh.outbox.call(&node, Request::Known), node);
        }
    }

    fn ask(&mut self, nodes: Vec<Atom>, mesh: &mut Mesh) {
        self.asked.extend(nodes.iter().cloned());
        self.stage = Attempt::new(nodes.iter().cloned());
        let own = &mesh.outbox.node.clone();
        if nodes.contains(own) {
            let is_set = mesh.locks.set(&self.id, &mesh.server, &mut mesh.outbox);
            self.stage.answered(own, Some(&Term::from(is_set)));
            if !is_set {
                // The others need not be asked.
                nodes.iter().for_each(|node| self.stage.answered(node, None));
                return;
            }
        }
        for node in nodes.iter().filter(|node| *node != own) {
            let call = mesh.outbox.call(node, Request::SetLock(self.id.clone()));
            self.calls.insert(call, node.clone());
        }
    }
}
