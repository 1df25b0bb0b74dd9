use super::unfinished::Unfinished;

/// What the node knows of its own processes.
pub(crate) struct Services {
    pub(super) unfinished: Unfinished,
}
