use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use peerl_node::{Atom, Destination, Message, NodeName, Process, Reference, Term};

use super::SERVER;
use super::ask::Stopped;
use super::attempt::{Attempt, AttemptOutcome, Backoff};
use super::driver::gen_call;
use super::lock::LockId;
use super::message::Request;
use super::random::Random;

/// A lock that is set. It goes when this is dropped; [`release`](Self::release) also waits until it is gone.
#[derive(Debug)]
pub struct LockGuard {
    process: Process,
    id: LockId,
    nodes: Vec<NodeName>,
}

/// How often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    Unlimited,
    AtMost(u32),
}

impl LockGuard {
    /// Sets a lock at these nodes; the process holds it. Gives nothing if somebody else does.
    pub(super) async fn acquire(
        process: Process,
        id: LockId,
        nodes: Vec<NodeName>,
        mut retries: Retries,
    ) -> Result<Option<Self>, Stopped> {
        let mut random = Random::new(RandomState::new().hash_one(process.pid()));
        let mut backoff = Backoff::default();
        let mut guard = Self { process, id, nodes };
        loop {
            if guard.attempt().await? {
                return Ok(Some(guard));
            }
            retries = match retries {
                Retries::Unlimited => Retries::Unlimited,
                Retries::AtMost(0) => return Ok(None),
                Retries::AtMost(count) => Retries::AtMost(count - 1),
            };
            tokio::time::sleep(backoff.next(&mut random)).await;
        }
    }

    /// Removes the lock, and waits until it is removed.
    pub async fn release(mut self) {
        let nodes = std::mem::take(&mut self.nodes);
        let request = Request::DelLock(self.id.clone());
        // If the node has stopped, the lock is gone.
        let _ = self.call(&nodes, &request, |_, _| ()).await;
    }

    async fn attempt(&mut self) -> Result<bool, Stopped> {
        let mut attempt = Attempt::new(self.nodes.iter().map(|node| node.as_atom().clone()));
        let nodes = self.nodes.clone();
        let request = Request::SetLock(self.id.clone());
        self.call(&nodes, &request, |node, reply| attempt.answered(node, reply)).await?;
        let Some(AttemptOutcome::Refused(held)) = attempt.outcome() else { return Ok(true) };
        let held: Vec<_> = nodes.into_iter().filter(|node| held.contains(node.as_atom())).collect();
        let request = Request::DelLock(self.id.clone());
        self.call(&held, &request, |_, _| ()).await?;
        Ok(false)
    }

    /// Calls the servers of some nodes, as `gen_server:multi_call`; all answers are given, or that there is none.
    async fn call(
        &mut self,
        nodes: &[NodeName],
        request: &Request,
        mut answered: impl FnMut(&Atom, Option<&Term>),
    ) -> Result<(), Stopped> {
        let mut waiting: HashMap<Reference, Atom> = HashMap::new();
        for node in nodes {
            let to: Destination = (SERVER, node).into();
            let tag = self.process.monitor(to.clone()).await;
            // What cannot be sent is told by the monitor.
            let _ = self.process.send_term(to, &gen_call(self.process.pid(), &tag, request)).await;
            waiting.insert(tag, node.as_atom().clone());
        }
        while !waiting.is_empty() {
            match self.process.receive().await.map_err(|_| Stopped)? {
                Message::Down(down) => {
                    if let Some(node) = waiting.remove(&down.reference) {
                        answered(&node, None);
                    }
                }
                Message::User(payload) => {
                    let Ok(message) = payload.decode() else { continue };
                    if let Some([Term::Reference(tag), reply]) = message.as_tuple()
                        && let Some(node) = waiting.remove(&**tag)
                    {
                        self.process.demonitor(tag);
                        answered(&node, Some(reply));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}
