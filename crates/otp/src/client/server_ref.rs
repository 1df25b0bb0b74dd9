use std::time::Duration;

use peerl_node::{Atom, CallError, CallLabel, Destination, Ended, GenCall, Message, Node, SendError, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Request;
use crate::state_form::StateForm;

/// A server of a peer or of this node, by its pid or its name: a `gen_server`, a `gen_statem`, or another process that takes
/// such calls.
///
/// ```no_run
/// use peerl_node::{Node, NodeName, Term};
/// use peerl_otp::ServerRef;
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Request {
///     Set(i64),       // {set, N}
///     Increment(i64), // {increment, N}
/// }
///
/// # async fn example(node: &Node, peer: &NodeName) -> Result<(), Box<dyn std::error::Error>> {
/// let counter = ServerRef::new(node, ("counter", peer));
/// counter.cast(&Request::Set(40)).await?;
/// let value: i64 = counter.call(&Request::Increment(2)).await?;
/// let state = counter.state().await?; // sys:get_state/1
/// counter.stop(&Term::atom("normal")).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ServerRef {
    node: Node,
    to: Destination,
}

/// How long a process may take to handle a system message, as with `sys`.
const SYSTEM: Duration = Duration::from_secs(5);

impl ServerRef {
    /// The server with this pid or name. A name of `global` is resolved by
    /// [`Global::whereis`](crate::global::Global::whereis).
    pub fn new(node: &Node, to: impl Into<Destination>) -> Self {
        Self { node: node.clone(), to: to.into() }
    }

    /// Calls the server, like `gen_server:call/2` and `gen_statem:call/2`, when the result is awaited.
    pub fn call<T: DeserializeOwned>(&self, request: &impl Serialize) -> GenCall<T> {
        self.node.gen_call(self.to.clone(), request)
    }

    /// Sends a request that is not answered, like `gen_server:cast/2` and `gen_statem:cast/2`.
    ///
    /// # Errors
    /// If the request cannot be a term, or the peer cannot be reached.
    pub async fn cast(&self, request: &impl Serialize) -> Result<(), SendError> {
        self.send(&(Atom::from_static("$gen_cast"), request)).await
    }

    /// Calls the server and does not wait for the reply yet, like `gen_server:send_request/2`.
    pub fn send_request<T: DeserializeOwned + Send + 'static>(&self, request: &impl Serialize) -> Request<T> {
        Request::new(self.call(request))
    }

    /// Sends a message.
    pub(crate) async fn send(&self, message: &impl Serialize) -> Result<(), SendError> {
        self.node.process().send(self.to.clone(), message).await
    }

    /// Has the server end for this reason, and waits until it has, like `gen_server:stop/3`.
    ///
    /// # Errors
    /// If it is not there ([`CallError::Signal`] with `noproc`), or ends for another reason.
    pub async fn stop(&self, reason: &Term) -> Result<(), CallError> {
        let mut watching = self.node.process();
        let monitor = watching.monitor(self.to.clone()).await;
        let request = Term::tuple([Term::atom("terminate"), reason.clone()]);
        self.node.gen_call::<Term>(self.to.clone(), &request).label(CallLabel::System).await?;
        loop {
            match watching.receive().await {
                Ok(Message::Down(down)) if down.reference == monitor => {
                    let ended = down.reason.decode()?;
                    return if ended == *reason { Ok(()) } else { Err(CallError::Signal(ended)) };
                }
                Ok(_) => {}
                Err(Ended { reason }) => return Err(CallError::Signal(reason)),
            }
        }
    }

    /// The server's state, like `sys:get_state/1`.
    ///
    /// # Errors
    /// If the server does not answer within 5 seconds.
    pub async fn state(&self) -> Result<Term, CallError> {
        let answer = self.system(&Term::atom("get_state")).await?;
        Ok(StateForm::at(&self.node, &self.place()).await.state(answer))
    }

    /// The server's status, like `sys:get_status/1`: `{status, Pid, {module, Module}, Items}`.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn status(&self) -> Result<Term, CallError> {
        self.system(&Term::atom("get_status")).await
    }

    /// Lets the server handle nothing but system messages until it is [resumed](Self::resume), like `sys:suspend/1`.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn suspend(&self) -> Result<(), CallError> {
        self.system(&Term::atom("suspend")).await.map(drop)
    }

    /// Lets the server go on, like `sys:resume/1`.
    ///
    /// # Errors
    /// As [`state`](Self::state).
    pub async fn resume(&self) -> Result<(), CallError> {
        self.system(&Term::atom("resume")).await.map(drop)
    }

    /// The node of the server.
    fn place(&self) -> Atom {
        match &self.to {
            Destination::Process(pid) => pid.node.clone(),
            Destination::Remote(_, node) => node.as_atom().clone(),
            _ => self.node.name().as_atom().clone(),
        }
    }

    async fn system(&self, request: &Term) -> Result<Term, CallError> {
        self.node.gen_call(self.to.clone(), request).label(CallLabel::System).timeout(SYSTEM).await
    }
}
