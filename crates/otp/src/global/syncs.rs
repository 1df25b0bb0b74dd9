use std::collections::BTreeSet;

use peerl_node::Caller;
use peerl_term::{Atom, Term};

use super::action::Action;
use super::ids::RequestId;
use super::outbox::Outbox;

/// The most that wait at a time.
const MAX_WAITING: usize = 10_000;

/// Who asked.
#[derive(Debug, Clone)]
pub(super) enum Requester {
    /// This node itself.
    Local(RequestId),
    /// A process that has called the server.
    Remote(Caller),
}

impl Requester {
    pub(super) fn answer(self, answer: Term, outbox: &mut Outbox) {
        outbox.push(match self {
            Self::Local(request) => Action::Answer(request, answer),
            Self::Remote(caller) => Action::Reply(caller, answer),
        });
    }
}

/// Those that wait until the names of some nodes are known here.
#[derive(Debug, Default)]
pub(super) struct Syncs(Vec<(Requester, BTreeSet<Atom>)>);

impl Syncs {
    pub(super) fn add(&mut self, requester: Requester, nodes: BTreeSet<Atom>, outbox: &mut Outbox) {
        if nodes.is_empty() {
            requester.answer(Term::atom("ok"), outbox);
        } else if self.0.len() < MAX_WAITING {
            self.0.push((requester, nodes));
        } else {
            requester.answer(Term::tuple([Term::atom("error"), Term::atom("system_limit")]), outbox);
        }
    }

    /// The names of a node are known, or it is gone.
    pub(super) fn settled(&mut self, node: &Atom, outbox: &mut Outbox) {
        for (_, nodes) in &mut self.0 {
            nodes.remove(node);
        }
        for (requester, _) in self.0.extract_if(.., |(_, nodes)| nodes.is_empty()) {
            requester.answer(Term::atom("ok"), outbox);
        }
    }
}
