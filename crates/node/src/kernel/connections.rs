use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use peerl_term::Atom;
use rustc_hash::FxHashMap;

use super::connection::Connection;

/// The connections that are up, by the atom of the peer's name: every send looks one up, without a lock.
#[derive(Debug)]
pub(crate) struct Connections {
    parts: [Part; Self::PARTS],
    /// Hashes the names. No peer knows it: one with many names cannot have them all in one part, or with one hash.
    hasher: RandomState,
}

/// A change makes another table, in place of one that may be in use. The keys are the hashes of the names.
type Part = ArcSwap<FxHashMap<u64, Same>>;

/// The connections to peers whose names have the same hash: usually one.
type Same = Vec<Arc<Connection>>;

impl Default for Connections {
    /// None is up.
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Part::default()), hasher: RandomState::new() }
    }
}

impl Connections {
    /// A change costs what one of them has. If there was one table, the ends of thousands of connections at once would copy
    /// millions of entries.
    const PARTS: usize = 64;

    /// The connection to a peer, if it is up.
    pub(crate) fn get(&self, peer: &Atom) -> Option<Arc<Connection>> {
        let hash = self.hash(peer);
        self.part(hash).load().get(&hash)?.iter().find(|connection| connection.atom == *peer).cloned()
    }

    /// All connections that are up, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(part.load().values().flatten().cloned());
        }
        all.sort_unstable_by_key(|connection| connection.id);
        all
    }

    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        self.change(&connection.atom, |same| {
            same.retain(|other| other.atom != connection.atom);
            same.push(connection.clone());
        });
    }

    /// Removes this connection; a newer one of the same peer stays.
    pub(super) fn remove(&self, connection: &Connection) {
        self.change(&connection.atom, |same| same.retain(|other| other.id != connection.id));
    }

    fn change(&self, peer: &Atom, change: impl Fn(&mut Same)) {
        let hash = self.hash(peer);
        self.part(hash).rcu(|up| {
            let mut up = FxHashMap::clone(up);
            let mut same = up.remove(&hash).unwrap_or_default();
            change(&mut same);
            if !same.is_empty() {
                up.insert(hash, same);
            }
            up
        });
    }

    fn hash(&self, peer: &Atom) -> u64 {
        self.hasher.hash_one(peer)
    }

    fn part(&self, hash: u64) -> &Part {
        &self.parts[hash as usize % Self::PARTS]
    }
}
