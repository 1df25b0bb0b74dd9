use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use peerl_node::Pid;

use super::shared::Shared;

/// What the scope processes of this program show, of all its nodes.
static SCOPES: RwLock<BTreeMap<Pid, Weak<Shared>>> = RwLock::new(BTreeMap::new());

/// As long as this is there, what a scope process shows is found by its pid, as a table of ETS by its name.
#[derive(Debug)]
pub(super) struct Shows(Pid);

impl Shows {
    pub(super) fn begin(process: &Pid, shared: &Arc<Shared>) -> Self {
        SCOPES.write().insert(process.clone(), Arc::downgrade(shared));
        Self(process.clone())
    }
}

impl Drop for Shows {
    fn drop(&mut self) {
        SCOPES.write().remove(&self.0);
    }
}

/// What a process shows, if it is that of a scope.
pub(super) fn shown_by(process: &Pid) -> Option<Arc<Shared>> {
    SCOPES.read().get(process)?.upgrade()
}
