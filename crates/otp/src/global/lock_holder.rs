use futures::future::join_all;
use peerl_node::{Atom, NodeName, Pid, Term, WeakNode};

use super::SERVER;
use super::ask::NotRunning;
use super::attempt::{Attempt, AttemptOutcome, Backoff};
use super::lock::LockId;
use super::message::Request;
use super::random::{Random, seed_of};

/// A process of this node that sets a lock, as `global:set_lock` does in the process that calls it. The lock is its own: it goes
/// when the process ends.
#[derive(Debug, Clone)]
pub(super) struct LockHolder {
    node: WeakNode,
    process: Pid,
    id: LockId,
}

/// How often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retries {
    Unlimited,
    AtMost(u32),
}

impl LockHolder {
    pub(super) fn new(node: WeakNode, process: Pid, id: LockId) -> Self {
        Self { node, process, id }
    }

    /// Sets the lock at these nodes. Says whether the process has it now: not if somebody else has and keeps it.
    pub(super) async fn set(&self, nodes: &[NodeName], mut retries: Retries) -> Result<bool, NotRunning> {
        let mut random = Random::new(seed_of(&self.process));
        let mut backoff = Backoff::default();
        loop {
            if self.attempt(nodes).await? {
                return Ok(true);
            }
            retries = match retries {
                Retries::Unlimited => Retries::Unlimited,
                Retries::AtMost(0) => return Ok(false),
                Retries::AtMost(count) => Retries::AtMost(count - 1),
            };
            tokio::time::sleep(backoff.next(&mut random)).await;
        }
    }

    /// Removes the lock at these nodes, and waits until it is removed. If the node has stopped, the lock is gone.
    pub(super) async fn remove(&self, nodes: &[NodeName]) {
        let _ = self.ask(nodes, Request::DelLock(self.id.clone())).await;
    }

    async fn attempt(&self, nodes: &[NodeName]) -> Result<bool, NotRunning> {
        let mut attempt = Attempt::new(nodes.iter().map(|node| node.as_atom().clone()));
        for (node, reply) in self.ask(nodes, Request::SetLock(self.id.clone())).await? {
            attempt.answered(&node, reply.as_ref());
        }
        let Some(AttemptOutcome::Refused(held)) = attempt.outcome() else { return Ok(true) };
        let held: Vec<_> = nodes.iter().filter(|node| held.contains(node.as_atom())).cloned().collect();
        self.remove(&held).await;
        Ok(false)
    }

    /// Calls the servers of some nodes for the process, as `gen_server:multi_call`: what each answers, or that it does not.
    async fn ask(&self, nodes: &[NodeName], request: Request) -> Result<Vec<(Atom, Option<Term>)>, NotRunning> {
        let request = request.to_term();
        let calls = {
            let this = self.node.upgrade().ok_or(NotRunning)?;
            let call = |node: &NodeName| {
                let call = this.gen_call::<Term>((SERVER, node), &request).on_behalf_of(&self.process);
                let node = node.as_atom().clone();
                async move { (node, call.await.ok()) }
            };
            nodes.iter().map(call).collect::<Vec<_>>()
        };
        Ok(join_all(calls).await)
    }
}
