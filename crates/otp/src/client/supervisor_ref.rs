use peerl_node::{CallError, Destination, Node, Pid, Term};

use super::ServerRef;
use crate::supervisor::ChildError;

/// A supervisor of a peer or of this node: `supervisor`, Elixir's `DynamicSupervisor`, or a [`Supervisor`](crate::Supervisor).
#[derive(Debug, Clone)]
pub struct SupervisorRef(ServerRef);

/// A child of a supervisor, as `supervisor:which_children/1` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// Its id; `undefined` if the supervisor gives none to its children.
    pub id: Term,
    /// Whether it runs.
    pub state: ChildState,
    /// Whether it is a supervisor.
    pub is_supervisor: bool,
    /// Its modules: a list, or `dynamic`.
    pub modules: Term,
}

/// Whether a child runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildState {
    /// It does.
    Running(Pid),
    /// It is about to be started again.
    Restarting,
    /// It does not.
    Ended,
}

impl SupervisorRef {
    /// The supervisor with this pid or name.
    pub fn new(node: &Node, to: impl Into<Destination>) -> Self {
        Self(ServerRef::new(node, to))
    }

    /// The children, like `supervisor:which_children/1`.
    ///
    /// # Errors
    /// If the supervisor is not there, or answers with something else.
    pub async fn which_children(&self) -> Result<Vec<ChildInfo>, ChildError> {
        let answer: Term = self.0.call(&Term::atom("which_children")).await?;
        let children = answer.as_list().and_then(|list| list.iter().map(child).collect());
        children.ok_or(ChildError::Failed(answer))
    }

    /// The numbers of children by kind, like `supervisor:count_children/1`: `specs`, `active`, `supervisors`, `workers`.
    ///
    /// # Errors
    /// As [`which_children`](Self::which_children).
    pub async fn count_children(&self) -> Result<Vec<(String, usize)>, CallError> {
        self.0.call(&Term::atom("count_children")).await
    }

    /// Has the supervisor start a child of this specification, like `supervisor:start_child/2`. The start is a function of the
    /// peer's, `{Module, Function, Arguments}`.
    ///
    /// # Errors
    /// If it does not start.
    pub async fn start_child(&self, specification: &Term) -> Result<Pid, ChildError> {
        ChildError::pid_in(&self.request("start_child", specification).await?)
    }

    /// Ends a child, like `supervisor:terminate_child/2`.
    ///
    /// # Errors
    /// If there is none.
    pub async fn terminate_child(&self, id: &Term) -> Result<(), ChildError> {
        ChildError::ok_in(&self.request("terminate_child", id).await?)
    }

    /// Starts a child that does not run, like `supervisor:restart_child/2`.
    ///
    /// # Errors
    /// If there is none, if it runs, or if it does not start.
    pub async fn restart_child(&self, id: &Term) -> Result<Pid, ChildError> {
        ChildError::pid_in(&self.request("restart_child", id).await?)
    }

    /// Forgets a child that does not run, like `supervisor:delete_child/2`.
    ///
    /// # Errors
    /// If there is none, or it runs.
    pub async fn delete_child(&self, id: &Term) -> Result<(), ChildError> {
        ChildError::ok_in(&self.request("delete_child", id).await?)
    }

    /// The supervisor as a process that can be stopped, suspended, and asked for its state.
    pub fn server(&self) -> &ServerRef {
        &self.0
    }

    async fn request(&self, kind: &'static str, argument: &Term) -> Result<Term, CallError> {
        self.0.call(&Term::tuple([Term::atom(kind), argument.clone()])).await
    }
}

/// `{Id, Child, Type, Modules}`.
fn child(term: &Term) -> Option<ChildInfo> {
    let [id, state, kind, modules] = term.as_tuple()? else { return None };
    let state = match state {
        Term::Pid(pid) => ChildState::Running((**pid).clone()),
        state if state.is_atom("restarting") => ChildState::Restarting,
        _ => ChildState::Ended,
    };
    let (id, modules) = (id.clone(), modules.clone());
    Some(ChildInfo { id, state, is_supervisor: kind.is_atom("supervisor"), modules })
}
