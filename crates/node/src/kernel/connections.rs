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
    /// Tells the part of a name. No peer knows it: one with many names cannot have them all in one part.
    hasher: RandomState,
}

/// A change makes another table, in place of one that may be in use.
type Part = ArcSwap<FxHashMap<Atom, Arc<Connection>>>;

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
        self.part(peer).load().get(peer).cloned()
    }

    /// All connections that are up, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(part.load().values().cloned());
        }
        all.sort_unstable_by_key(|connection| connection.id);
        all
    }

    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        self.part(&connection.atom).rcu(|up| {
            let mut up = FxHashMap::clone(up);
            up.insert(connection.atom.clone(), connection.clone());
            up
        });
    }

    /// Removes this connection; a newer one of the same peer stays.
    pub(super) fn remove(&self, connection: &Connection) {
        self.part(&connection.atom).rcu(|up| {
            let mut up = FxHashMap::clone(up);
            if up.get(&connection.atom).is_some_and(|other| other.id == connection.id) {
                up.remove(&connection.atom);
            }
            up
        });
    }

    fn part(&self, peer: &Atom) -> &Part {
        &self.parts[self.hasher.hash_one(peer) as usize % Self::PARTS]
    }
}
