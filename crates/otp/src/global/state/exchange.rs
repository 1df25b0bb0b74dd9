//! Two partitions that are locked exchange their names.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use peerl_node::Lease;
use peerl_term::{Atom, Pid, Term};

use super::State;
use crate::global::acquisition::Members;
use crate::global::action::Action;
use crate::global::ids::ResolutionId;
use crate::global::lock::LockId;
use crate::global::message::{Exchange, KnownNode, Message, NewNodes, Resolved};
use crate::global::method::{self, Method};
use crate::global::registration::{ExternalName, Operation, Registration};
use crate::global::resolution::{Conflict, Found, Resolution, Step};

impl State {
    pub(super) fn lock_is_set(&mut self, node: &Atom, tag: i64, lock: (LockId, Members), now: Instant) {
        let own = self.node().clone();
        let session = self.sessions.get_mut(node).filter(|session| session.tag == tag);
        let Some((session, peer)) = session.and_then(|session| session.peer.clone().map(|peer| (session, peer))) else {
            return self.cancel_locker(node, tag, now);
        };
        session.lock = Some(lock);
        let names = session.names.take();
        let sent = self.names.all();
        session.sent = sent.iter().map(|sent| (sent.name.clone(), sent.pid.clone())).collect();
        let message = Exchange { node: own, names: sent, tag: peer.tag };
        self.mesh.outbox.send(node, Message::Exchange(message));
        if let Some((names, lease)) = names {
            self.resolve(node, names, lease, now);
        }
    }

    pub(super) fn exchange(&mut self, message: Exchange, now: Instant) {
        let session = self.sessions.get_mut(&message.node).filter(|session| session.is_tag(&message.tag));
        let Some(session) = session else { return };
        if session.resolution.is_some() || session.operations.is_some() {
            return;
        }
        session.names = None;
        let Some(lease) = self.lease(&message.node, message.memory()) else {
            return self.refuse(&message.node, now);
        };
        let Exchange { node, names, .. } = message;
        let Some(session) = self.sessions.get_mut(&node) else { return };
        if session.lock.is_some() {
            self.resolve(&node, names, lease, now);
        } else {
            session.names = Some((names, lease));
        }
    }

    /// Takes of a node's share what it has kept here until the two partitions are one; none, if there is not that much. Nothing
    /// else ends a session with a node that does not go on but the locker's patience, and before that nothing at all.
    fn lease(&mut self, node: &Atom, bytes: usize) -> Option<Lease> {
        self.shares.of(node).lease(bytes)
    }

    /// There is no memory for the names of a partition: the session begins anew.
    fn refuse(&mut self, node: &Atom, now: Instant) {
        let kind = "the names of another partition take too much memory: it is met later";
        self.mesh.warnings.refused_sessions.warn(kind, || format!("{kind}: {node}"));
        self.restart(node, now);
    }

    /// Compares the names of the other partition with those of the own one.
    fn resolve(&mut self, node: &Atom, names: Vec<Registration>, lease: Lease, now: Instant) {
        let Some(session) = self.sessions.get_mut(node) else { return };
        session.lease = Some(lease);
        let sent = std::mem::take(&mut session.sent);
        let resolution = Resolution::new(names, sent, self.node(), node);
        self.go_on(node, resolution, now);
    }

    fn go_on(&mut self, node: &Atom, mut resolution: Resolution, now: Instant) {
        loop {
            let conflict = match resolution.proceed(&self.names) {
                Step::Ask(conflict) => conflict,
                Step::Done(found) => return self.compared(node, found, now),
            };
            let Conflict { ours, theirs } = &conflict;
            if ours.pid.node == *self.node() {
                let answer = self.decide(&ours.method, &ours.name, &theirs.pid, &ours.pid);
                resolution.decided(conflict, Some(&answer));
                continue;
            }
            let id = self.mesh.outbox.next_resolution();
            let arguments =
                [ours.method.clone(), ours.name.clone(), theirs.pid.clone().into(), ours.pid.clone().into()];
            self.mesh.outbox.push(Action::Resolve(id, ours.pid.node.clone(), arguments));
            resolution.asked(id, conflict);
            if let Some(session) = self.sessions.get_mut(node) {
                session.resolution = Some(resolution);
            }
            return;
        }
    }

    pub(super) fn returned(&mut self, id: ResolutionId, answer: Option<&Term>, now: Instant) {
        let asking = self.sessions.iter_mut().find_map(|(node, session)| {
            let resolution = session.resolution.take_if(|resolution| resolution.is_asked(id))?;
            Some((node.clone(), resolution))
        });
        if let Some((node, mut resolution)) = asking {
            resolution.answered(answer);
            self.go_on(&node, resolution, now);
        }
    }

    /// Lets a method decide who of two processes keeps a name.
    pub(super) fn decide(&mut self, wanted: &Term, name: &Term, one: &Pid, other: &Pid) -> Term {
        let Some(method) = Method::from_term(wanted) else {
            tracing::info!("the method {wanted} for the global name {name} cannot be called here");
            return method::unknown(wanted);
        };
        let verdict = method.decide(name, one, other);
        if let Some(pid) = verdict.killed {
            self.mesh.outbox.push(Action::Kill(pid));
        }
        for (pid, message) in verdict.told {
            self.mesh.outbox.push(Action::SendProcess(pid, message));
        }
        verdict.returned
    }

    /// All names are compared: the other node learns what was found.
    fn compared(&mut self, node: &Atom, found: Found, now: Instant) {
        let message = Resolved {
            node: self.node().clone(),
            operations: found.there,
            known: self.known_nodes(),
            external: self.names.external(),
            tag: Term::nil(),
        };
        let Some(session) = self.sessions.get_mut(node) else { return };
        let Some(peer) = &session.peer else { return };
        session.operations = Some(found.here);
        let resolved = session.resolved.take();
        self.mesh.outbox.send(node, Message::Resolved(Resolved { tag: peer.tag.clone(), ..message }));
        if let Some((resolved, _lease)) = resolved {
            self.join(resolved, now);
        }
    }

    pub(super) fn resolved(&mut self, message: Resolved, now: Instant) {
        let session = self.sessions.get_mut(&message.node).filter(|session| session.is_tag(&message.tag));
        let Some(session) = session else { return };
        if session.operations.is_some() {
            return self.join(message, now);
        }
        session.resolved = None;
        let Some(lease) = self.lease(&message.node, message.memory()) else {
            return self.refuse(&message.node, now);
        };
        if let Some(session) = self.sessions.get_mut(&message.node) {
            session.resolved = Some((message, lease));
        }
    }

    /// The two partitions become one.
    fn join(&mut self, message: Resolved, now: Instant) {
        let Resolved { node, operations: found, known: theirs, external, .. } = message;
        let Some(session) = self.sessions.get_mut(&node) else { return };
        let mut operations = session.operations.take().unwrap_or_default();
        // The names that are entered take of the memory by themselves.
        session.lease = None;
        operations.extend(found);
        let (lock, members) = session.lock.clone().unzip();
        let version = session.peer.as_ref().map_or(0, |peer| peer.version);
        let ours: Vec<_> = self.mesh.known.keys().cloned().collect();
        let mut nodes = vec![KnownNode { node: node.clone(), version }];
        nodes.extend_from_slice(&theirs);
        // Two partitions that overlap may disagree within themselves: then all get all names.
        let is_known = |known: &KnownNode| self.mesh.known.contains_key(&known.node);
        let overlap = members == Some(Members::Differ) || theirs.iter().any(is_known);
        self.add_known(nodes.clone());
        for known in &theirs {
            // Not one that is left out, since there are too many.
            if self.is_member(&known.node) {
                self.connect(&known.node);
            }
        }
        self.apply(&operations, &external, |state| state.mesh.locks.covers_lock(lock.as_ref()));
        self.syncs.settled(&node, &mut self.mesh.outbox);
        // Their sessions are settled by this one.
        for known in &theirs {
            self.end_session(&known.node, now);
        }
        if overlap {
            operations.retain(|operation| matches!(operation, Operation::Delete(_)));
            operations.extend(self.names.all().into_iter().map(Operation::Insert));
        }
        let news = Arc::new(NewNodes { node: self.node().clone(), operations, external, nodes, version, lock });
        for known in ours {
            self.mesh.outbox.send(&known, Message::NewNodes(news.clone()));
        }
        self.synced.insert(node.clone());
        // The lock goes after the news of what was done under it.
        self.end_session(&node, now);
    }

    pub(super) fn apply(
        &mut self,
        operations: &[Operation],
        external: &[ExternalName],
        is_covered: impl Fn(&Self) -> bool,
    ) {
        let external: HashMap<_, _> = external.iter().map(|name| ((&name.name, &name.pid), &name.node)).collect();
        for operation in operations {
            if let Operation::Insert(registration) = operation {
                let registering = external.get(&(&registration.name, &registration.pid)).map(|node| (*node).clone());
                self.insert(registration.clone(), registering, &is_covered);
            }
        }
        for operation in operations {
            if let Operation::Delete(name) = operation {
                self.names.remove(name, &mut self.mesh.outbox);
            }
        }
    }

    /// Enters a name, if that happens under a lock that is still set: else the name would stay here alone. So would the name
    /// of a node of another partition: it comes when the two meet.
    pub(super) fn insert(
        &mut self,
        registration: Registration,
        external: Option<Atom>,
        is_covered: impl Fn(&Self) -> bool,
    ) {
        let name = registration.name.clone();
        if self.is_of_another_partition(&registration.pid.node) {
            return self.names.remove(&name, &mut self.mesh.outbox);
        }
        self.names.insert(registration, external, &mut self.mesh.outbox);
        if !is_covered(self) {
            self.names.remove(&name, &mut self.mesh.outbox);
        }
    }

    pub(super) fn known_nodes(&self) -> Vec<KnownNode> {
        let known = self.mesh.known.iter();
        known.map(|(node, version)| KnownNode { node: node.clone(), version: *version }).collect()
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::{Budget, Visibility};

    use crate::global::event::{Event, LinkEnd};
    use crate::global::message::Received;
    use crate::global::state::Identity;

    use super::*;

    const MEMORY: usize = 1 << 20;

    fn peer() -> Atom {
        Atom::from_static("b@h")
    }

    /// A node that has asked another one for a session, which it calls 1.
    fn meeting(memory: &Arc<Budget>) -> State {
        let node = Atom::from_static("a@h");
        let server = Pid { node: node.clone(), id: 1, serial: 0, creation: 1 };
        let mut state = State::new(Identity { node, server, seed: 1 }, memory.clone());
        state.handle(Event::NodeUp(peer(), Visibility::Visible), Instant::now());
        state
    }

    fn take(state: &mut State, message: Message) {
        state.handle(Event::Received(peer(), Box::new(Received::Message(Box::new(message)))), Instant::now());
    }

    fn registration(length: usize) -> Registration {
        let pid = Pid { node: peer(), id: 1, serial: 0, creation: 1 };
        Registration { name: Term::list(vec![Term::nil(); length]), pid, method: Term::nil() }
    }

    fn exchange(length: usize, tag: i64) -> Message {
        Message::Exchange(Exchange { node: peer(), names: vec![registration(length)], tag: Term::from(tag) })
    }

    fn resolved(length: usize, tag: i64) -> Message {
        Message::Resolved(Resolved {
            node: peer(),
            operations: vec![Operation::Insert(registration(length))],
            known: vec![],
            external: vec![],
            tag: Term::from(tag),
        })
    }

    #[test]
    fn what_comes_early_takes_of_the_share_of_its_node() {
        for message in [exchange, resolved] {
            let memory = Budget::with_factor(MEMORY, 64, 4);
            let mut state = meeting(&memory);
            // The second one is in place of the first.
            take(&mut state, message(1000, 1));
            let lent = memory.lent();
            assert!(lent > 10_000, "{lent}");
            take(&mut state, message(1000, 1));
            assert_eq!(memory.lent(), lent);
            // Without room for it the session begins anew.
            take(&mut state, message(100_000, 1));
            assert_eq!((memory.lent(), state.sessions[&peer()].tag), (0, 2));
            take(&mut state, message(1000, 2));
            assert_eq!(memory.lent(), lent);
            state.handle(Event::NodeDown(peer(), LinkEnd::Peer), Instant::now());
            assert_eq!(memory.lent(), 0);
        }
    }

    #[test]
    fn names_take_of_the_share_while_the_partitions_are_locked() {
        let memory = Budget::with_factor(MEMORY, 1, 4);
        let mut state = meeting(&memory);
        let locker = Pid { node: peer(), id: 2, serial: 0, creation: 1 };
        let session = state.sessions.get_mut(&peer()).unwrap();
        session.peer = Some(crate::global::session::Peer { tag: Term::from(7), version: 8, locker });
        session.lock = Some((LockId::global(Term::nil()), Members::Same));
        take(&mut state, exchange(1000, 1));
        assert!(state.sessions[&peer()].operations.is_some());
        let lent = memory.lent();
        assert!(lent > 10_000, "{lent}");
        // They have become one, of which the others learn by one message.
        let others = ["c@h", "d@h"].map(Atom::from_static);
        state.mesh.known = others.map(|node| (node, 8)).into();
        while state.next_action().is_some() {}
        take(&mut state, resolved(1, 1));
        let news: Vec<_> = std::iter::from_fn(|| state.next_action())
            .filter_map(|action| match action {
                Action::Send(_, Message::NewNodes(news)) => Some(news),
                _ => None,
            })
            .collect();
        assert!(news.len() == 2 && Arc::ptr_eq(&news[0], &news[1]));
        assert!(state.sessions.is_empty() && state.is_member(&peer()));
        state.handle(Event::NodeDown(peer(), LinkEnd::Peer), Instant::now());
        assert_eq!(memory.lent(), 0);
    }
}
