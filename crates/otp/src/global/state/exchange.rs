//! Two partitions that are locked exchange their names.

use std::time::Instant;

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
        if let Some(names) = names {
            self.resolve(node, names, now);
        }
    }

    pub(super) fn exchange(&mut self, message: Exchange, now: Instant) {
        let Exchange { node, names, tag } = message;
        let Some(session) = self.sessions.get_mut(&node).filter(|session| session.is_tag(&tag)) else {
            return;
        };
        if session.resolution.is_some() || session.operations.is_some() {
            return;
        }
        if session.lock.is_some() {
            self.resolve(&node, names, now);
        } else {
            session.names = Some(names);
        }
    }

    /// Compares the names of the other partition with those of the own one.
    fn resolve(&mut self, node: &Atom, names: Vec<Registration>, now: Instant) {
        let sent = self.sessions.get_mut(node).map(|session| std::mem::take(&mut session.sent)).unwrap_or_default();
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
        if let Some(resolved) = resolved {
            self.join(resolved, now);
        }
    }

    pub(super) fn resolved(&mut self, message: Resolved, now: Instant) {
        let session = self.sessions.get_mut(&message.node).filter(|session| session.is_tag(&message.tag));
        let Some(session) = session else { return };
        if session.operations.is_some() {
            self.join(message, now);
        } else {
            session.resolved = Some(message);
        }
    }

    /// The two partitions become one.
    fn join(&mut self, message: Resolved, now: Instant) {
        let Resolved { node, operations: found, known: theirs, external, .. } = message;
        let Some(session) = self.sessions.get_mut(&node) else { return };
        let mut operations = session.operations.take().unwrap_or_default();
        operations.extend(found);
        let (lock, members) = session.lock.clone().unzip();
        let version = session.peer.as_ref().map_or(0, |peer| peer.version);
        let ours: Vec<_> = self.mesh.known.keys().cloned().collect();
        let mut nodes = vec![KnownNode { node: node.clone(), version }];
        nodes.extend_from_slice(&theirs);
        // Two partitions that overlap may disagree within themselves: then all get all names.
        let overlap = members == Some(Members::Differ) || theirs.iter().any(|known| ours.contains(&known.node));
        self.add_known(nodes.clone());
        for known in &theirs {
            self.connect(&known.node);
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
        let news = NewNodes { node: self.node().clone(), operations, external, nodes, version, lock };
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
        for operation in operations {
            if let Operation::Insert(registration) = operation {
                let is_same =
                    |external: &&ExternalName| external.name == registration.name && external.pid == registration.pid;
                let registering = external.iter().find(is_same).map(|external| external.node.clone());
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
