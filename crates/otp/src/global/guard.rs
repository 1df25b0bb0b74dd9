use std::collections::BTreeSet;

use peerl_node::{Node, NodeName, Process};

use super::ask::NotRunning;
use super::lock::LockId;
use super::lock_holder::{LockHolder, Retries};

/// A lock that is set. It goes when this is dropped; [`release`](Self::release) also waits until it is gone.
#[derive(Debug)]
pub struct LockGuard {
    holder: LockHolder,
    nodes: BTreeSet<NodeName>,
    /// The process that has the lock, as long as it is there.
    _process: Process,
}

impl LockGuard {
    /// Sets a lock at these nodes; the process holds it. Gives nothing if somebody else does.
    pub(super) async fn acquire(
        node: &Node,
        process: Process,
        id: LockId,
        nodes: BTreeSet<NodeName>,
        retries: Retries,
    ) -> Result<Option<Self>, NotRunning> {
        let holder = LockHolder::new(node.downgrade(), process.pid().clone(), id);
        let is_set = holder.set(&nodes, retries).await?;
        Ok(is_set.then_some(Self { holder, nodes, _process: process }))
    }

    /// Removes the lock, and waits until it is removed.
    pub async fn release(self) {
        self.holder.remove(&self.nodes).await;
    }
}
