use peerl_term::Pid;

use super::unfinished::Unfinished;

/// What the node knows of its own processes.
pub(crate) struct Services {
    pub(super) group_leader: Pid,
    pub(super) unfinished: Unfinished,
}
