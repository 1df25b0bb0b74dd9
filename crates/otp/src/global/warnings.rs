use std::sync::Arc;

use peerl_node::Repeats;

/// Warnings that peers can cause in any number: those of a kind are summed up.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    pub(super) refused_names: Arc<Repeats>,
    pub(super) refused_requests: Arc<Repeats>,
    pub(super) second_names: Arc<Repeats>,
    pub(super) refused_nodes: Arc<Repeats>,
    pub(super) refused_sessions: Arc<Repeats>,
}
