use peerl_node::{CallError, Pid, Term};

/// Why a supervisor did not do what it was asked for with a child.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// A child of this id runs.
    #[error("a child of this id runs: {0:?}")]
    AlreadyStarted(Pid),
    /// There is a child of this id, which does not run.
    #[error("there is a child of this id, which does not run")]
    AlreadyPresent,
    /// There is no such child.
    #[error("there is no such child")]
    NotFound,
    /// The child runs.
    #[error("the child runs")]
    Running,
    /// The child is about to be started again.
    #[error("the child is about to be started again")]
    Restarting,
    /// There are as many children as there may be.
    #[error("there are as many children as there may be")]
    MaxChildren,
    /// The supervisor has not been started.
    #[error("the supervisor has not been started")]
    NotRunning,
    /// The child has failed to start, or the supervisor has another reason.
    #[error("the supervisor answers with {0:?}")]
    Failed(Term),
    /// The supervisor does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ChildError {
    /// Reads `{ok, Pid}`, or an error.
    pub(crate) fn pid_in(answer: &Term) -> Result<Pid, Self> {
        match answer.as_tuple() {
            Some([ok, Term::Pid(pid), ..]) if ok.is_atom("ok") => Ok((**pid).clone()),
            _ => Err(Self::in_answer(answer)),
        }
    }

    /// Reads `ok`, or an error.
    pub(crate) fn ok_in(answer: &Term) -> Result<(), Self> {
        if answer.is_atom("ok") { Ok(()) } else { Err(Self::in_answer(answer)) }
    }

    fn in_answer(answer: &Term) -> Self {
        let Some([error, reason]) = answer.as_tuple() else { return Self::Failed(answer.clone()) };
        if !error.is_atom("error") {
            return Self::Failed(answer.clone());
        }
        match reason {
            Term::Atom(name) => match name.as_str() {
                "already_present" => Self::AlreadyPresent,
                "not_found" => Self::NotFound,
                "running" => Self::Running,
                "restarting" => Self::Restarting,
                "max_children" => Self::MaxChildren,
                _ => Self::Failed(reason.clone()),
            },
            reason => match reason.as_tuple() {
                Some([kind, Term::Pid(pid)]) if kind.is_atom("already_started") => {
                    Self::AlreadyStarted((**pid).clone())
                }
                _ => Self::Failed(reason.clone()),
            },
        }
    }
}
