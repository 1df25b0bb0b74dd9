use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use peerl_node::{Atom, Budget, Share};

/// The share of the memory that each node has for what is kept of it here. A share is there while anything takes of it.
#[derive(Debug)]
pub(crate) struct NodeShares {
    memory: Arc<Budget>,
    shares: BTreeMap<Atom, Weak<Share>>,
}

impl NodeShares {
    /// None yet; they are of this memory.
    pub(crate) fn new(memory: Arc<Budget>) -> Self {
        Self { memory, shares: BTreeMap::new() }
    }

    /// The share of a node.
    pub(crate) fn of(&mut self, node: &Atom) -> Arc<Share> {
        if let Some(share) = self.shares.get(node).and_then(Weak::upgrade) {
            return share;
        }
        self.shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(self.memory.share());
        self.shares.insert(node.clone(), Arc::downgrade(&share));
        share
    }
}
