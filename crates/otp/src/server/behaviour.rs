use std::error::Error;
use std::fmt;
use std::future::Future;

use peerl_node::{Caller, ErrorChain, Exception, Message, Node, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Context, Options};

/// A process that handles requests one after another, like Erlang's `gen_server`.
///
/// serde reads requests and writes replies. A request of another type is answered with `{error, {bad_request, Text}}`
/// and the server continues, so a faulty peer cannot end it.
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
    /// The requests of `gen_server:call/2`.
    type Call: DeserializeOwned + Send;

    /// Their replies; [`Term`] if replies have different types.
    type Reply: Serialize + Send;

    /// The requests of `gen_server:cast/2`.
    type Cast: DeserializeOwned + Send;

    /// Prepares the server, before its name is registered and its start is reported.
    ///
    /// # Errors
    /// A [`Stop`] cancels the start, with its reason.
    fn init(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// Handles a call, or leaves the reply for [later](later).
    ///
    /// # Errors
    /// A [`Stop`] ends the server; its reason becomes the exit of the call.
    fn handle_call(
        &mut self,
        request: Self::Call,
        from: Caller,
        context: &mut Context,
    ) -> impl Future<Output = Outcome<Self::Reply>> + Send;

    /// Handles a cast.
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_cast(
        &mut self,
        _request: Self::Cast,
        context: &mut Context,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        context.warn_dropped("a cast, and this server handles none");
        async { Ok(()) }
    }

    /// Handles any other message: of monitors, of timers, or sent with `!`. Also exit signals, if the server [traps
    /// them](Context::trap_exits).
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_info(
        &mut self,
        _message: Message,
        context: &mut Context,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        context.warn_dropped("neither a call nor a cast");
        async { Ok(()) }
    }

    /// Continues the work of the last handler that called [`Context::continue_next`], before the next message.
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_continue(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// No message has arrived within the [time-out](Context::timeout).
    ///
    /// # Errors
    /// A [`Stop`] ends the server.
    fn handle_timeout(&mut self, _context: &mut Context) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// Cleans up before the server ends for this reason. Not called if it is killed or its node stops.
    fn terminate(&mut self, _reason: &Term, _context: &mut Context) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The state for `sys:get_state/1`.
    fn state(&self) -> Term {
        Term::atom("undefined")
    }

    /// Takes another state, in the form that [`state`](Self::state) has: `sys:replace_state/2` has applied a function to that. A
    /// function that is not exported here is evaluated at the caller's node, which has its code.
    ///
    /// # Errors
    /// If the server cannot take the state, which then stays as it is. Without this method none is taken.
    fn replace_state(&mut self, _state: Term) -> Result<(), Exception> {
        Err(Exception::error(Term::atom("not_supported")))
    }

    /// The state as `sys:get_status/1` and the tools that call it show it: without what must stay secret.
    fn format_status(&self) -> Term {
        self.state()
    }

    /// Handles `sys:change_code/4`, which a release upgrade of a BEAM calls while the server is suspended. The code of a program
    /// in Rust stays; the server can follow another version of its peers.
    ///
    /// # Errors
    /// A [`Stop`] refuses the change, with its reason. The server continues.
    fn code_change(
        &mut self,
        _version: &Term,
        _extra: &Term,
        _context: &mut Context,
    ) -> impl Future<Output = Result<(), Stop>> + Send {
        async { Ok(()) }
    }

    /// Starts the server at a node, when the result is awaited.
    fn start(self, node: &Node) -> Options<Self> {
        Options::new(self, node.clone())
    }
}

/// The result of a call's handler.
pub type Outcome<R> = Result<Answer<R>, Stop>;

/// The reply to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<R> {
    /// This reply, now.
    Reply(R),
    /// The server, or one of its tasks, [replies](Context::reply) later.
    Later,
}

/// Answers the call now.
///
/// # Errors
/// Never; it is the [`Outcome`] of a handler.
pub fn reply<R>(reply: R) -> Outcome<R> {
    Ok(Answer::Reply(reply))
}

/// Leaves the reply for later, with [`Context::reply`].
///
/// # Errors
/// Never; it is the [`Outcome`] of a handler.
pub fn later<R>() -> Outcome<R> {
    Ok(Answer::Later)
}

/// The reason for a server's end. The operator `?` converts any error, with the reason `{error, Text}`.
#[derive(Clone, PartialEq)]
pub struct Stop {
    reason: Term,
}

impl Stop {
    /// Ends with this exit reason.
    pub fn because(reason: impl Into<Term>) -> Self {
        Self { reason: reason.into() }
    }

    /// Ends with the reason `normal`, which does not end linked processes.
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

    /// Returns the exit reason.
    pub fn into_reason(self) -> Term {
        self.reason
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stop").field(&self.reason).finish()
    }
}

impl<E: Error + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::because(Term::tuple([Term::atom("error"), Term::from(ErrorChain(&error).to_string())]))
    }
}
