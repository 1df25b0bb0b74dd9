use std::sync::Arc;

use arc_swap::ArcSwap;
use peerl_term::Atom;
use rustc_hash::FxHashMap;

use super::connection::Connection;

/// The connections that are up, by the atom of the peer's name: every send looks one up, without a lock.
#[derive(Debug, Default)]
pub(crate) struct Connections(ArcSwap<FxHashMap<Atom, Arc<Connection>>>);

impl Connections {
    /// The connection to a peer, if it is up.
    pub(crate) fn get(&self, peer: &Atom) -> Option<Arc<Connection>> {
        self.0.load().get(peer).cloned()
    }

    /// All connections that are up.
    pub(crate) fn all(&self) -> Vec<Arc<Connection>> {
        self.0.load().values().cloned().collect()
    }

    pub(super) fn insert(&self, connection: &Arc<Connection>) {
        self.0.rcu(|up| {
            let mut up = FxHashMap::clone(up);
            up.insert(connection.atom.clone(), connection.clone());
            up
        });
    }

    /// Removes this connection; a newer one of the same peer stays.
    pub(super) fn remove(&self, connection: &Connection) {
        self.0.rcu(|up| {
            let mut up = FxHashMap::clone(up);
            if up.get(&connection.atom).is_some_and(|other| other.id == connection.id) {
                up.remove(&connection.atom);
            }
            up
        });
    }
}
