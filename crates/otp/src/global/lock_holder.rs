use std::collections::BTreeSet;

use futures::future::join_all;
use peerl_node::{Atom, Node, NodeName, Nodes, Pid, Term, WeakNode};
use peerl_term::RawTerm;

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

    /// Sets the lock at those of these nodes that are connected. Says whether the process has it now: not if somebody else has and
    /// keeps it.
    pub(super) async fn set(&self, nodes: &BTreeSet<NodeName>, mut retries: Retries) -> Result<bool, NotRunning> {
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
    pub(super) async fn remove(&self, nodes: &BTreeSet<NodeName>) {
        let _ = self.ask(nodes, &Request::DelLock(self.id.clone())).await;
    }

    async fn attempt(&self, nodes: &BTreeSet<NodeName>) -> Result<bool, NotRunning> {
        let replies = self.ask(nodes, &Request::SetLock(self.id.clone())).await?;
        let mut attempt = Attempt::new(replies.iter().map(|(node, _)| node.clone()));
        for (node, reply) in &replies {
            attempt.answered(node, reply.as_ref());
        }
        let Some(AttemptOutcome::Refused(held)) = attempt.outcome() else { return Ok(true) };
        let held = held.iter().filter_map(|node| NodeName::new(node).ok()).collect();
        self.remove(&held).await;
        Ok(false)
    }

    /// Calls the servers of some nodes for the process, as `gen_server:multi_call`: what each answers, or that it does not.
    async fn ask(
        &self,
        nodes: &BTreeSet<NodeName>,
        request: &Request,
    ) -> Result<Vec<(Atom, Option<Term>)>, NotRunning> {
        // A peer may have made it as large as it likes.
        let request = RawTerm::encoded_from(&request.to_term());
        let calls = {
            let this = self.node.upgrade().ok_or(NotRunning)?;
            let call = |node: NodeName| {
                let call = this.gen_call_raw::<Term>((SERVER, &node), &request).on_behalf_of(&self.process);
                async move { (node.as_atom().clone(), call.await.ok()) }
            };
            reached(&this, nodes).into_iter().map(call).collect::<Vec<_>>()
        };
        Ok(join_all(calls).await)
    }
}

/// Those of some nodes that are asked: this one, and those that are connected. The others count as nodes that cannot be reached. A
/// peer may name any number of nodes, and have this one try for ever: no connection is made for that.
fn reached(this: &Node, nodes: &BTreeSet<NodeName>) -> Vec<NodeName> {
    let connected = this.nodes(Nodes::Connected).into_iter().chain([this.name().clone()]);
    connected.filter(|node| nodes.contains(node)).collect()
}

#[cfg(test)]
mod tests {
    use peerl_node::{Epmd, NodeBuilder};

    use super::*;

    #[tokio::test]
    async fn nodes_that_are_not_connected_are_not_asked() {
        let node = NodeBuilder::new("a@127.0.0.1").cookie("c").epmd(Epmd::Unregistered).start().await.unwrap();
        let named = |index| NodeName::new(&format!("n{index}@127.0.0.1")).unwrap();
        let mut nodes: BTreeSet<_> = (0..1000).map(named).collect();
        assert!(reached(&node, &nodes).is_empty());
        nodes.insert(node.name().clone());
        assert_eq!(reached(&node, &nodes), [node.name().clone()]);
        // They do not keep the lock from being set.
        let process = node.process();
        let id = LockId { resource: Term::atom("r"), requester: Term::nil() };
        let holder = LockHolder::new(node.downgrade(), process.pid().clone(), id);
        nodes.remove(node.name());
        assert_eq!(holder.set(&nodes, Retries::AtMost(0)).await.ok(), Some(true));
    }
}
