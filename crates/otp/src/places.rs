use std::sync::Arc;

use parking_lot::Mutex;
use peerl_node::{Atom, Budget, Lease};

use crate::node_shares::NodeShares;

/// Places that the nodes share. Each may have as many as it leaves for the others, and some stay free for those that have few.
#[derive(Debug, Clone)]
pub(crate) struct Places(Arc<Mutex<NodeShares>>);

impl Places {
    /// So many, all of which are free.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(NodeShares::new(Budget::new(most, 1)))))
    }

    /// Takes a place for a node, until what this returns is dropped; none, if the node has as many as it leaves for the others.
    pub(crate) fn take(&self, node: &Atom) -> Option<Lease> {
        let share = self.0.lock().of(node);
        share.lease(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_leaves_as_many_as_it_has() {
        let places = Places::new(64);
        let all = |node| std::iter::from_fn(|| places.take(&Atom::from_static(node))).collect::<Vec<_>>();
        let (greedy, next) = (all("a@h"), all("b@h"));
        assert_eq!(greedy.len(), 32);
        assert!(next.len() >= 12, "{}", next.len());
        drop(greedy);
        assert!(all("b@h").len() >= 12);
        drop(next);
        assert_eq!(all("a@h").len(), 32);
    }
}
