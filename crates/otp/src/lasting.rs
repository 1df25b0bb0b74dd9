use std::sync::Arc;

use peerl_node::{Atom, Budget, Lease};

use crate::node_shares::NodeShares;

/// Memory for what nodes have kept here with processes that are not their own: it lasts as long as those, so for ever, however soon the
/// node has gone that has wanted it. All of it together takes no more than a small part of the memory, and a node has as much of
/// that as it leaves for the others.
#[derive(Debug)]
pub(crate) struct Lasting {
    part: NodeShares,
    memory: NodeShares,
}

/// What is taken of the part, and of the whole.
#[derive(Debug)]
pub(crate) struct LastingLease([Lease; 2]);

impl Lasting {
    /// The part of the memory, as a divisor.
    pub(crate) const PART: usize = 64;

    /// Nothing is taken of this memory yet.
    pub(crate) fn new(memory: Arc<Budget>) -> Self {
        let part = Budget::new(memory.most() / Self::PART, 64);
        Self { part: NodeShares::new(part), memory: NodeShares::new(memory) }
    }

    /// Takes so many bytes for a node; none, if there are not that many for it.
    pub(crate) fn lease(&mut self, node: &Atom, bytes: usize) -> Option<LastingLease> {
        Some(LastingLease([self.part.of(node).lease(bytes)?, self.memory.of(node).lease(bytes)?]))
    }
}

impl LastingLease {
    /// Moves so much of it into another lease, or all if it is less.
    pub(crate) fn split(&mut self, most: usize) -> Self {
        Self(self.0.each_mut().map(|lease| lease.split(most)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_part_of_which_each_leaves_something_for_the_others() {
        const MEMORY: usize = 1 << 20;
        let memory = Budget::with_factor(MEMORY, 1, 4);
        let mut lasting = Lasting::new(memory.clone());
        let [one, other] = ["a@h", "b@h"].map(Atom::from_static);
        let all = |lasting: &mut Lasting, node| std::iter::from_fn(|| lasting.lease(node, 256)).collect::<Vec<_>>();
        let mut of_one = all(&mut lasting, &one);
        assert_eq!(of_one.len(), MEMORY / Lasting::PART / 2 / 256);
        assert!(all(&mut lasting, &other).len() > of_one.len() / 4);
        assert_eq!(memory.lent(), of_one.len() * 256);
        let mut last = of_one.pop().unwrap();
        let moved = last.split(200);
        drop((of_one, last));
        assert_eq!(memory.lent(), 200);
        drop(moved);
        assert_eq!(memory.lent(), 0);
    }
}
