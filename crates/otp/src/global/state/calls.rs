//! The calls of peers.

use std::time::Instant;

use peerl_node::Caller;
use peerl_term::{Map, Term};

use super::{State, VERSION};
use crate::global::action::Action;
use crate::global::locks::LockFor;
use crate::global::message::Request;
use crate::global::registration::ExternalName;
use crate::global::syncs::Requester;

impl State {
    pub(super) fn call(&mut self, from: Caller, request: Request, now: Instant) {
        let reply = match request {
            // It would change names here that this node then would not change.
            Request::SetLock(id) if id.is_for_change() && self.is_of_another_partition(&from.pid.node) => {
                self.doubt(&from.pid.node, now);
                Term::from(false)
            }
            Request::SetLock(id) => {
                Term::from(self.mesh.locks.set(&id, &from.pid, LockFor::Caller, &mut self.mesh.outbox))
            }
            Request::DelLock(id) => {
                self.mesh.locks.remove(&id, &from.pid, &mut self.mesh.outbox);
                Term::atom("true")
            }
            // One that takes this node for a member of its partition, and is wrong, does not change the names of the partition
            // that this node is a member of: they would no longer be the same at all of its nodes.
            Request::Register(_) | Request::RegisterExternal(..) if !self.is_member(&from.pid.node) => {
                Term::atom("yes")
            }
            Request::Unregister(_) if !self.is_member(&from.pid.node) => Term::atom("ok"),
            Request::Register(registration) => {
                self.insert(registration, None, |state| state.mesh.locks.covers_process(&from.pid));
                Term::atom("yes")
            }
            Request::RegisterExternal(registration, node) => {
                self.insert(registration, Some(node), |state| state.mesh.locks.covers_process(&from.pid));
                Term::atom("yes")
            }
            Request::Unregister(name) => {
                self.names.remove(&name, &mut self.mesh.outbox);
                Term::atom("ok")
            }
            Request::Sync(nodes) => return self.sync(Requester::Remote(from), nodes),
            Request::Disconnect => return self.disconnect(Requester::Remote(from), now),
            Request::Known => self.known_list(),
            Request::Synced => self.synced_list(),
            Request::ProtocolVersion => Term::from(VERSION),
            Request::ExternalNames => Term::list(self.names.external().iter().map(ExternalName::to_term)),
            Request::Info => self.info(),
        };
        self.mesh.outbox.push(Action::Reply(from, reply));
    }

    fn known_list(&self) -> Term {
        Term::list(self.mesh.known.keys().cloned().map(Term::from))
    }

    fn synced_list(&self) -> Term {
        Term::list(self.synced.iter().cloned().map(Term::from))
    }

    /// The record `state` of OTP 25: the configuration, who is known and who has the same names, the own name and processes.
    pub(super) fn info(&self) -> Term {
        let configuration = Term::tuple([Term::atom("conf"), Term::from(true), Term::from(true)]);
        let known: Map = self.mesh.known.iter().map(|(node, vsn)| (node.clone().into(), Term::from(*vsn))).collect();
        Term::tuple([
            Term::atom("state"),
            configuration,
            known.into(),
            self.synced_list(),
            Term::nil(),
            Term::nil(),
            self.node().clone().into(),
            self.mesh.server.clone().into(),
            self.mesh.server.clone().into(),
            Term::atom("no_trace"),
            Term::from(!self.mesh.locks.covers_lock(None) && !self.mesh.locks.is_global_set()),
        ])
    }
}
