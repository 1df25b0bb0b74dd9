use peerl_node::{CallError, CallLabel, Destination, Node, SendError, Term};
use peerl_term::serde::to_term;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ServerRef;

/// An event manager (`gen_event`) of a peer.
///
/// Event handlers are known by their module, or by `{Module, Id}`.
#[derive(Debug, Clone)]
pub struct EventManager {
    node: Node,
    to: Destination,
}

impl EventManager {
    /// The event manager with this pid or name.
    pub fn new(node: &Node, to: impl Into<Destination>) -> Self {
        Self { node: node.clone(), to: to.into() }
    }

    /// Tells the handlers of an event, like `gen_event:notify/2`.
    ///
    /// # Errors
    /// If the event cannot be a term, or the peer cannot be reached.
    pub async fn notify(&self, event: &impl Serialize) -> Result<(), SendError> {
        let message = Term::tuple([Term::atom("notify"), to_term(event)?]);
        self.server().send(&message).await
    }

    /// Tells the handlers of an event, and waits until they have handled it, like `gen_event:sync_notify/2`.
    ///
    /// # Errors
    /// If the manager is not there or ends.
    pub async fn sync_notify(&self, event: &impl Serialize) -> Result<(), CallError> {
        let request = Term::tuple([Term::atom("sync_notify"), to_term(event)?]);
        self.ask::<Term>(&request).await.map(drop)
    }

    /// Calls a handler, like `gen_event:call/3`.
    ///
    /// # Errors
    /// If the manager is not there, if it has no such handler ([`CallError::Erpc`] with `bad_module`), or if the handler fails
    /// ([`CallError::Erpc`] with its reason).
    pub async fn call<T: DeserializeOwned + 'static>(
        &self,
        handler: impl Into<Term>,
        request: &impl Serialize,
    ) -> Result<T, CallError> {
        let request = Term::tuple([Term::atom("call"), handler.into(), to_term(request)?]);
        let answer: Term = self.ask(&request).await?;
        match answer.as_tuple() {
            Some([error, reason]) if error.is_atom("error") && is_of_manager(reason) => {
                Err(CallError::Erpc(reason.clone()))
            }
            _ => Ok(peerl_term::serde::from_term(&answer)?),
        }
    }

    /// The handlers, like `gen_event:which_handlers/1`.
    ///
    /// # Errors
    /// As [`sync_notify`](Self::sync_notify).
    pub async fn which_handlers(&self) -> Result<Vec<Term>, CallError> {
        self.ask(&Term::atom("which_handlers")).await
    }

    /// Adds a handler whose module the peer has, like `gen_event:add_handler/3`. Gives `ok`, or the error of the handler.
    ///
    /// # Errors
    /// As [`sync_notify`](Self::sync_notify).
    pub async fn add_handler(&self, handler: impl Into<Term>, argument: &impl Serialize) -> Result<Term, CallError> {
        self.ask(&Term::tuple([Term::atom("add_handler"), handler.into(), to_term(argument)?])).await
    }

    /// Removes a handler, like `gen_event:delete_handler/3`. Gives what its `terminate` gives.
    ///
    /// # Errors
    /// As [`sync_notify`](Self::sync_notify).
    pub async fn delete_handler(&self, handler: impl Into<Term>, argument: &impl Serialize) -> Result<Term, CallError> {
        self.ask(&Term::tuple([Term::atom("delete_handler"), handler.into(), to_term(argument)?])).await
    }

    /// The manager as a process that can be stopped, suspended, and asked for its state.
    pub fn server(&self) -> ServerRef {
        ServerRef::new(&self.node, self.to.clone())
    }

    async fn ask<T: DeserializeOwned + 'static>(&self, request: &Term) -> Result<T, CallError> {
        self.node.gen_call(self.to.clone(), request).label(CallLabel::Caller).await
    }
}

/// Whether the manager gives this reason in `{error, Reason}`, and not the handler: `bad_module`, `{bad_return, _}` or
/// `{'EXIT', _}`.
fn is_of_manager(reason: &Term) -> bool {
    match reason.as_tuple() {
        Some([kind, _]) => kind.is_atom("EXIT") || kind.is_atom("bad_return"),
        _ => reason.is_atom("bad_module"),
    }
}
