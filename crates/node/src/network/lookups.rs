use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use peerl_proto::node_name::NodeName;
use tokio::sync::Semaphore;

/// The look-ups of names for dials that peers ask for. The names are of their choice: one of which no name server tells anything keeps
/// a thread for long after its dial was given up.
#[derive(Debug)]
pub(crate) struct Lookups {
    all: Arc<Semaphore>,
    of_peers: Mutex<BTreeMap<NodeName, Weak<Semaphore>>>,
}

impl Default for Lookups {
    /// Nothing is looked up.
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(Self::MOST)), of_peers: Mutex::default() }
    }
}

impl Lookups {
    /// How many go on at a time. That leaves a quarter of the places that there are to the node itself.
    const MOST: usize = 96;

    /// How many of one peer do.
    const OF_PEER: usize = 16;

    /// The places of a peer: of its own, and of all peers.
    pub(crate) fn of(&self, peer: &NodeName) -> Vec<Arc<Semaphore>> {
        let mut of_peers = self.of_peers.lock();
        let own = of_peers.get(peer).and_then(Weak::upgrade).unwrap_or_else(|| {
            of_peers.retain(|_, places| places.strong_count() > 0);
            let own = Arc::new(Semaphore::new(Self::OF_PEER));
            of_peers.insert(peer.clone(), Arc::downgrade(&own));
            own
        });
        vec![own, self.all.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_places_of_its_own_while_it_takes_some() {
        let lookups = Lookups::default();
        let [a, b] = ["a@h", "b@h"].map(|name| name.parse::<NodeName>().unwrap());
        let of_a = lookups.of(&a);
        let taken = of_a[0].clone().try_acquire_many_owned(16).unwrap();
        drop(of_a);
        assert_eq!(lookups.of(&a)[0].available_permits(), 0);
        assert_eq!(lookups.of(&b)[0].available_permits(), Lookups::OF_PEER);
        drop(taken);
        assert_eq!(lookups.of(&a)[0].available_permits(), Lookups::OF_PEER);
        assert!(lookups.of_peers.lock().len() <= 2);
    }
}
