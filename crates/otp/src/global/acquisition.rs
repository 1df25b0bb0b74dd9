use std::collections::{BTreeMap, BTreeSet};

use peerl_term::{Atom, Term};

use super::attempt::{Attempt, AttemptOutcome};
use super::ids::CallId;
use super::lock::LockId;
use super::locks::LockFor;
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
    members: Members,
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
    Held(Vec<Atom>, Members),
    /// A node has refused, and the lock is removed again.
    Refused,
}

/// Whether the nodes of the partition know the same nodes, as far as they were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    Same,
    /// One knows a node that this one does not, and may have had other names of it.
    Differ,
}

/// Whether the nodes are asked for one that this node has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verification {
    NotYet,
    Asked,
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
            verification: Verification::NotYet,
            members: Members::Same,
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
        let refusal = Term::atom("false");
        let is_member = |node: &Atom| *node == mesh.outbox.node || mesh.known.contains_key(node);
        let reply = match (reply, self.verification) {
            // The node is being lost. At the next attempt it is known whether the others still have it.
            (None, _) if is_member(&node) => Some(&refusal),
            (Some(reply), Verification::Asked) => {
                let known: Vec<_> = reply.as_list().unwrap_or_default().iter().filter_map(Term::as_atom).collect();
                if is_member(&node) && !known.iter().all(|known| is_member(known)) {
                    self.members = Members::Differ;
                }
                Some(&refusal).filter(|_| self.has_suspect(&known, mesh))
            }
            (reply, _) => reply,
        };
        self.stage.answered(&node, reply);
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
            } else if self.verification == Verification::NotYet && !mesh.suspects.is_empty() {
                self.verify(mesh);
            } else {
                return Progress::Held(std::mem::take(&mut self.held), self.members);
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

    /// Whether a node that knows these nodes still has one that this node has lost.
    fn has_suspect(&self, known: &[&Atom], mesh: &Mesh) -> bool {
        let peer = match &self.purpose {
            Purpose::Meeting(peer) => Some(peer),
            Purpose::Change => None,
        };
        // Two that have lost each other meet even if others are to be met as well: else all would wait for each other.
        let is_reunion = peer.is_some_and(|peer| mesh.is_back(peer));
        let is_due = |node: &Atom| Some(node) != peer && !(is_reunion && mesh.is_back(node));
        known.iter().any(|node| mesh.suspects.contains_key(*node) && is_due(node))
    }

    fn verify(&mut self, mesh: &mut Mesh) {
        self.verification = Verification::Asked;
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
            let is_set = mesh.locks.set(&self.id, &mesh.server, LockFor::Server, &mut mesh.outbox);
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
