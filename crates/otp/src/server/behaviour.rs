use std::error::Error;
use std::fmt;
use std::future::Future;

use peerl_node::{Caller, Message, Node, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Options};

/// A process that answers calls one after the other, as Erlang's `gen_server`.
///
/// The types of requests and replies are read and written by serde. A request that is none of its type is answered with
/// `{error, {bad_request, Text}}`, and the server goes on: a peer cannot end it by a mistake.
///
/// ```no_run
/// use peerl_node::{Caller, Node};
/// use peerl_otp::{Context, Outcome, Server, reply};
/// use serde::Deserialize;
///
/// struct Counter(i64);
///
/// #[derive(Deserialize)]
/// #[serde(rename_all = "snake_case")]
/// enum Request {
///     Increment(i64), // {increment, N}
///     Value,          // value
/// }
///
/// impl Server for Counter {
///     type Call = Request;
///     type Reply = i64;
///     type Cast = ();
///
///     async fn handle_call(&mut self, request: Request, _: Caller, _: &mut Context) -> Outcome<i64> {
///         if let Request::Increment(by) = request {
///             self.0 += by;
///         }
///         reply(self.0)
///     }
/// }
///
/// # async fn example(node: &Node) -> Result<(), Box<dyn std::error::Error>> {
/// let counter = Counter(0).start(node).name("counter").await?;
/// # Ok(()) }
/// ```
///
/// and on a BEAM node: `gen_server:call({counter, 'rust@127.0.0.1'}, {increment, 2})`.
pub trait Server: Sized + Send + 'static {
    /// What `gen_server:call/2` brings.
    type Call: DeserializeOwned + Send;

    /// What it returns; [`Term`] if each request has a reply of its own type.
    type Reply: Serialize + Send;

    /// What `gen_server:cast/2` brings.
    type Cast: DeserializeOwned + Send;

    /// Prepares the server, before its name is known and anybody is told that it is there.
    ///
    /// # Errors
    /// A [`Stop`] is the reason why it does not start.
    fn init(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// Answers a call, or leaves the answer for [later](later).
    ///
    /// # Errors
    /// A [`Stop`] ends the server; the caller gets its reason as the exit of the call.
    fn handle_call(
        &mut self,
        request: Self::Call,
        from: Caller,
        context: &mut Context,
    ) -> impl Future<Output = Outcome<Self::Reply>> + Send;

    /// Does what a cast asks for.
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_cast(
        &mut self,
        _request: Self::Cast,
        context: &mut Context,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        tracing::warn!(server = ?context.pid(), "dropped a cast: this server takes none");
        async { Ok(()) }
    }

    /// Takes any other message: of monitors, of timers, or sent with `!`. Exit signals come here if the server
    /// [traps them](Context::trap_exits).
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_info(
        &mut self,
        _message: Message,
        context: &mut Context,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        tracing::warn!(server = ?context.pid(), "dropped a message that is neither a call nor a cast");
        async { Ok(()) }
    }

    /// Goes on with what the last handler has [put off](Context::continue_next), before the next message.
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_continue(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// No message has come for the time that was [set](Context::timeout).
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_timeout(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// Cleans up: the server ends for this reason. Not called if it is killed or its node stops.
    fn terminate(&mut self, _reason: &Term, _context: &mut Context) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// What `sys:get_state/1` shows.
    fn state(&self) -> Term {
        Term::atom("undefined")
    }

    /// Starts the server at a node, when what is returned is awaited.
    fn start(self, node: &Node) -> Options<Self> {
        Options::new(self, node.clone())
    }
}

/// What comes of a call.
pub type Outcome<R> = Result<Answer<R>, Stop>;

/// The answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<R> {
    /// It is this one.
    Reply(R),
    /// The server, or a task of it, [replies](Context::reply) later.
    Later,
}

/// The call is answered now.
///
/// # Errors
/// Never; it is the [`Outcome`] of a handler.
pub fn reply<R>(reply: R) -> Outcome<R> {
    Ok(Answer::Reply(reply))
}

/// The call is answered later, with [`Context::reply`].
///
/// # Errors
/// Never; it is the [`Outcome`] of a handler.
pub fn later<R>() -> Outcome<R> {
    Ok(Answer::Later)
}

/// Why a server ends. Any error becomes one by `?`: then the reason is `{error, Text}`.
#[derive(Clone, PartialEq)]
pub struct Stop {
    reason: Term,
}

impl Stop {
    /// Ends with this exit reason.
    pub fn because(reason: impl Into<Term>) -> Self {
        Self { reason: reason.into() }
    }

    /// Ends with the reason `normal`: linked processes go on.
    pub fn normal() -> Self {
        Self::because(Term::atom("normal"))
    }

    /// Ends with the reason `shutdown`.
    pub fn shutdown() -> Self {
        Self::because(Term::atom("shutdown"))
    }

    /// The exit reason.
    pub fn reason(&self) -> &Term {
        &self.reason
    }

    /// Takes the exit reason.
    pub fn into_reason(self) -> Term {
        self.reason
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.reason).finish()
    }
}

impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text = format!("{text}: {cause}");
            source = cause.source();
        }
        Self::because(Term::tuple([Term::atom("error"), Term::from(text)]))
    }
}
