//! The names that are resolved for peers at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use peerl_node::NodeName;
use tokio::sync::oneshot;
use tokio::task_local;

/// The peer for which a fetch is made, or none.
pub(super) type Owner = Option<NodeName>;

task_local! {
    static OWNER: Owner;
}

/// Makes a fetch for a peer, whose places for the resolution of names it takes.
pub async fn on_behalf_of<F: Future>(owner: Option<NodeName>, fetch: F) -> F::Output {
    OWNER.scope(owner, fetch).await
}

/// For whom the current task fetches.
pub(super) fn owner() -> Owner {
    OWNER.try_with(Clone::clone).ok().flatten()
}

/// Places for the resolution of names, each of which takes a thread until the name server answers. A peer whose name servers are slow
/// leaves as many places as it has, and what it wants beyond that delays nobody.
#[derive(Debug)]
pub(super) struct Lookups {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    of_owners: HashMap<Owner, usize>,
    waiting: VecDeque<(Owner, oneshot::Sender<Place>)>,
}

/// The place of one name, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lookups: Arc<Lookups>,
    owner: Owner,
}

impl Lookups {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    /// Waits for a place. The places of an owner are given in the order of their requests.
    pub(super) async fn place(self: &Arc<Self>, owner: Owner) -> Place {
        let (sender, receiver) = oneshot::channel();
        self.lock().waiting.push_back((owner.clone(), sender));
        self.grant();
        match receiver.await {
            Ok(place) => place,
            // A sender is dropped only after it has sent.
            Err(_) => Place { lookups: self.clone(), owner },
        }
    }

    /// Gives the free places to those who wait and leave as many as they have.
    fn grant(self: &Arc<Self>) {
        while let Some((owner, sender)) = self.next() {
            // If it is no longer waited for, it is given back here.
            let _ = sender.send(Place { lookups: self.clone(), owner });
        }
    }

    /// Takes a place for the next who may have one.
    fn next(&self) -> Option<(Owner, oneshot::Sender<Place>)> {
        let mut state = self.lock();
        let State { taken, of_owners, waiting } = &mut *state;
        waiting.retain(|(_, sender)| !sender.is_closed());
        let free = self.most - *taken;
        let may_have = |owner: &Owner| of_owners.get(owner).copied().unwrap_or_default() < free;
        let index = waiting.iter().position(|(owner, _)| may_have(owner))?;
        let (owner, sender) = waiting.remove(index)?;
        *taken += 1;
        *of_owners.entry(owner.clone()).or_default() += 1;
        Some((owner, sender))
    }

    fn give_back(self: &Arc<Self>, owner: &Owner) {
        let mut state = self.lock();
        state.taken = state.taken.saturating_sub(1);
        if let Some(count) = state.of_owners.get_mut(owner) {
            *count -= 1;
            if *count == 0 {
                state.of_owners.remove(owner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lookups.give_back(&self.owner);
        self.lookups.grant();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use futures::future::BoxFuture;

    use super::*;

    #[test]
    fn slow_names_of_one_peer_delay_those_of_no_other() {
        let lookups = Lookups::new(8);
        let ask = |name: &str| -> BoxFuture<'static, Place> {
            let (lookups, owner) = (lookups.clone(), Some(name.parse().unwrap()));
            async move { lookups.place(owner).await }.boxed()
        };
        let now = |asked: &mut BoxFuture<'static, Place>| asked.now_or_never();
        let mut greedy: Vec<_> = (0..100).map(|_| ask("a@h")).collect();
        let mut taken: Vec<Place> = greedy.iter_mut().filter_map(now).collect();
        assert_eq!(taken.len(), 4);
        let mut waiting: Vec<_> = greedy.into_iter().skip(4).collect();
        let others: Vec<Place> = ["b@h", "c@h", "b@h", "b@h"].iter().filter_map(|name| now(&mut ask(name))).collect();
        assert_eq!(others.len(), 3, "with a third, b would leave less than it has");
        drop(others);
        // One that is done makes room for the next of the same peer.
        assert!(waiting[0].as_mut().now_or_never().is_none());
        taken.pop();
        assert!(waiting[0].as_mut().now_or_never().is_some());
        drop(waiting);
        drop(taken);
        assert!(lookups.lock().waiting.iter().all(|(_, sender)| sender.is_closed()) && lookups.lock().taken == 0);
    }
}
