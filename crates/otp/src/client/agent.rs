use peerl_node::{CallError, Destination, Mfa, Node, SendError, Term};
use serde::de::DeserializeOwned;

use super::ServerRef;

/// An `Agent` of Elixir at a peer.
///
/// A closure of Rust cannot be sent: the functions are those of modules that the peer has. The agent puts its state before their
/// arguments.
///
/// ```no_run
/// use peerl_node::{Atom, Mfa, Node, NodeName};
/// use peerl_otp::Agent;
///
/// # async fn example(node: &Node, peer: &NodeName) -> Result<(), Box<dyn std::error::Error>> {
/// let settings = Agent::new(node, (Atom::from_static("Elixir.Settings"), peer.clone()));
/// settings.update(Mfa::new("Elixir.Map", "put", ("limit", 10))?).await?;
/// let limit: Option<u32> = settings.get(Mfa::new("Elixir.Map", "get", ("limit",))?).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Agent(ServerRef);

impl Agent {
    /// The agent with this pid or name. `Settings` of Elixir is `Elixir.Settings`.
    pub fn new(node: &Node, to: impl Into<Destination>) -> Self {
        Self(ServerRef::new(node, to))
    }

    /// The value of a function of the state: `Agent.get/4`.
    ///
    /// # Errors
    /// If the agent is not there, or fails.
    pub async fn get<T: DeserializeOwned + 'static>(&self, function: Mfa) -> Result<T, CallError> {
        self.0.call(&request("get", &function)?).await
    }

    /// Sets the state to the value of a function of it: `Agent.update/4`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update(&self, function: Mfa) -> Result<(), CallError> {
        self.0.call::<Term>(&request("update", &function)?).await.map(drop)
    }

    /// Gives one element of the pair that a function of the state gives, and sets the state to the other:
    /// `Agent.get_and_update/4`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_and_update<T: DeserializeOwned + 'static>(&self, function: Mfa) -> Result<T, CallError> {
        self.0.call(&request("get_and_update", &function)?).await
    }

    /// Has the state set to the value of a function of it, and does not wait: `Agent.cast/4`.
    ///
    /// # Errors
    /// If the peer cannot be reached.
    pub async fn cast(&self, function: Mfa) -> Result<(), SendError> {
        let arguments = function.arguments().decode().map_err(peerl_term::serde::Error::from)?;
        self.0.cast(&of("cast", &function, arguments)).await
    }

    /// The agent as a process that can be stopped, suspended, and asked for its state.
    pub fn server(&self) -> &ServerRef {
        &self.0
    }
}

fn request(kind: &'static str, function: &Mfa) -> Result<Term, CallError> {
    Ok(of(kind, function, function.arguments().decode()?))
}

/// `{Kind, {Module, Function, Arguments}}`.
fn of(kind: &'static str, function: &Mfa, arguments: Term) -> Term {
    let function = Term::tuple([function.module().clone().into(), function.function().clone().into(), arguments]);
    Term::tuple([Term::atom(kind), function])
}
