use peerl_node::Term;

/// When a child that has ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// If it has failed: its exit reason is neither `normal`, `shutdown` nor `{shutdown, _}`.
    Transient,
    /// Never. The supervisor forgets it.
    Temporary,
}

impl Restart {
    pub(crate) fn from_term(term: &Term) -> Option<Self> {
        match term.as_atom()?.as_str() {
            "permanent" => Some(Self::Permanent),
            "transient" => Some(Self::Transient),
            "temporary" => Some(Self::Temporary),
            _ => None,
        }
    }
}

/// Whether a child with this exit reason has failed.
pub(crate) fn is_failure(reason: &Term) -> bool {
    match reason.as_tuple() {
        Some([kind, _]) => !kind.is_atom("shutdown"),
        _ => !(reason.is_atom("normal") || reason.is_atom("shutdown")),
    }
}
