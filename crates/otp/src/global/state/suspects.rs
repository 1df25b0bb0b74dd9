//! Nodes of the partition that only this one does not reach.
//!
//! OTP has all others part with such a node. Here that is for the other end to say: no node is driven out because of this
//! one. If the other end does not, for it is of the same kind, this node leaves.

use std::time::{Duration, Instant};

use peerl_term::{Atom, Term};

use super::State;
use crate::global::ids::CallId;
use crate::global::message::Request;

/// How long the other end has to tell the others, or to be gone.
const GRACE: Duration = Duration::from_secs(15);

impl State {
    /// A node of the partition is not reached any more, of which nobody was told.
    pub(super) fn suspect(&mut self, node: &Atom, now: Instant) {
        if self.mesh.known.contains_key(node) {
            self.suspects.insert(node.clone(), now + GRACE);
        }
    }

    /// Asks the others whether they still have the nodes that were suspected some time ago.
    pub(super) fn question_suspects(&mut self, now: Instant) {
        let due: Vec<_> = self.suspects.extract_if(.., |_, until| *until <= now).map(|(node, _)| node).collect();
        let unknown = due.into_iter().filter(|node| !self.mesh.known.contains_key(node));
        let unknown: Vec<_> = unknown.collect();
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
        let is_met = |node: &Atom| known.iter().any(|known| known.as_atom() == Some(node));
        let unreached = suspects.iter().find(|node| !self.mesh.known.contains_key(*node) && is_met(node));
        if let Some(node) = unreached {
            tracing::warn!(%node, "leaving the cluster: it has a node that this one does not reach");
            self.leave(now);
            self.questions.clear();
        }
    }
}
