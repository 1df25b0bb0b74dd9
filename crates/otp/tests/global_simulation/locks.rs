//! Those who set locks, and that no two have the same one.

use std::time::Duration;

use peerl_otp::global::{Attempt, AttemptOutcome, LockId, Request};
use peerl_term::{Atom, Term};

use crate::network::{Network, ends};
use crate::node::Asker;
use crate::user::{Phase, User};

impl Network {
    pub(crate) fn visible(&self, name: &Atom) -> Vec<Atom> {
        let connected = self.connections.keys().filter_map(|(one, other)| match name {
            _ if one == name => Some(other.clone()),
            _ if other == name => Some(one.clone()),
            _ => None,
        });
        connected.chain([name.clone()]).collect()
    }

    pub(crate) fn user(&mut self, name: &Atom, process: u32) -> Option<&mut User> {
        self.nodes.get_mut(name)?.users.iter_mut().find(|user| user.process == process)
    }

    pub(crate) fn user_due(&mut self, name: &Atom, process: u32) {
        let nodes = self.visible(name);
        let ends = self.random.below(4) == 0;
        let Some(user) = self.user(name, process) else { return };
        let lock = user.lock.clone();
        match &user.phase {
            Phase::Waiting(_) => {
                user.phase = Phase::Asking(Attempt::new(nodes.clone()));
                user.answers.clear();
                for node in nodes {
                    self.call(name, Asker::User(process), &node, &Request::SetLock(lock.clone()));
                }
            }
            Phase::Holding { nodes, .. } => {
                let nodes = nodes.clone();
                self.nodes.get_mut(name).unwrap().users.retain(|user| user.process != process);
                if ends {
                    let pid = self.nodes[name].pid(process);
                    return self.kill(&pid);
                }
                for (node, _) in nodes {
                    self.call(name, Asker::Nobody(process), &node, &Request::DelLock(lock.clone()));
                }
            }
            Phase::Asking(_) => {}
        }
    }

    pub(crate) fn user_answered(&mut self, name: &Atom, process: u32, from: (Atom, u64), reply: Option<Term>) {
        let (now, hold, mut random) = (self.now, self.random.below(3000), self.random.clone());
        let Some(user) = self.user(name, process) else { return };
        let lock = user.lock.clone();
        let Phase::Asking(attempt) = &mut user.phase else { return };
        attempt.answered(&from.0, reply.as_ref());
        user.answers.push(from);
        match attempt.outcome() {
            None => {}
            Some(AttemptOutcome::Refused(nodes)) => {
                user.phase = Phase::Waiting(now + user.backoff.next(&mut random));
                for node in nodes {
                    self.call(name, Asker::Nobody(process), &node, &Request::DelLock(lock.clone()));
                }
            }
            Some(AttemptOutcome::Held(nodes)) => {
                let until = now + Duration::from_millis(hold as u64);
                let mut answers = std::mem::take(&mut user.answers);
                answers.retain(|(node, _)| nodes.contains(node));
                let nodes = answers;
                self.check_lock(name, process, &lock, &nodes);
                self.user(name, process).unwrap().phase = Phase::Holding { nodes, until };
            }
        }
    }

    /// Nobody else holds a lock at a node to which both are connected ever since.
    pub(crate) fn check_lock(&self, name: &Atom, process: u32, lock: &LockId, nodes: &[(Atom, u64)]) {
        let is_steady = |name: &Atom, node: &Atom, connection: u64| {
            name == node || self.connections.get(&ends(name, node)) == Some(&connection)
        };
        for node in self.nodes.values() {
            for user in node.users.iter().filter(|user| user.lock.resource == lock.resource) {
                let Phase::Holding { nodes: held, .. } = &user.phase else { continue };
                for (common, connection) in held {
                    let here = nodes.iter().find(|(node, _)| node == common);
                    let is_common = here.is_some_and(|(node, connection)| is_steady(name, node, *connection));
                    assert!(
                        !is_common || !is_steady(&node.name, common, *connection),
                        "{lock:?} is held by {process} at {name} and {} at {}",
                        user.process,
                        node.name
                    );
                }
            }
        }
    }
}
