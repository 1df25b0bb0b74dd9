//! The fetches that a worker makes for its peers at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use peerl_node::{Budget, CallContext, Lease, Node, NodeName, Share};
use rustix::process::{Resource, getrlimit};

use super::PageError;

/// Counts the fetches that are under way: each has a descriptor, and a buffer in which a server's head grows.
#[derive(Debug)]
pub struct Fetches {
    budget: Arc<Budget>,
    of_peers: Mutex<HashMap<Option<NodeName>, Weak<Share>>>,
}

impl Fetches {
    /// The most that are under way, however much memory there is.
    pub const MOST: usize = 1024;

    /// The bytes that the longest head takes before the HTTP client gives it up.
    const HEAD: usize = 512 << 10;

    /// As many as have half of the node's memory for their heads, and a quarter of the descriptors.
    pub fn of(node: &Node) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
        Self::new((node.limits().memory / 2 / Self::HEAD).min(descriptors).clamp(1, Self::MOST))
    }

    /// At most so many.
    pub fn new(most: usize) -> Self {
        Self { budget: Budget::new(most, 1), of_peers: Mutex::default() }
    }

    /// Takes the place of a fetch for the one who makes this call, until what this returns is dropped.
    ///
    /// # Errors
    /// If the peer has as many as it leaves for others.
    pub fn begin(&self, call: &CallContext) -> Result<Lease, PageError> {
        self.begin_for(call.peer())
    }

    fn begin_for(&self, peer: Option<NodeName>) -> Result<Lease, PageError> {
        let mut of_peers = self.of_peers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = of_peers.get(&peer).and_then(Weak::upgrade);
        let share = known.unwrap_or_else(|| {
            of_peers.retain(|_, share| share.strong_count() > 0);
            let share = Arc::new(self.budget.share());
            of_peers.insert(peer, Arc::downgrade(&share));
            share
        });
        share.lease(1).ok_or(PageError::TooMany { most: self.budget.most() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_leaves_as_many_as_it_has() {
        let fetches = Fetches::new(64);
        let peer = |name: &str| Some(name.parse::<NodeName>().unwrap());
        let all = |name| std::iter::from_fn(|| fetches.begin_for(peer(name)).ok()).collect::<Vec<_>>();
        let (greedy, next) = (all("a@h"), all("b@h"));
        assert_eq!(greedy.len(), 32);
        assert!(next.len() >= 12, "{}", next.len());
        assert_eq!(fetches.begin_for(peer("a@h")).unwrap_err().reason(), "system_limit");
        drop(greedy);
        assert!(all("b@h").len() >= 12);
        drop(next);
        assert_eq!(all("a@h").len(), 32);
    }
}
