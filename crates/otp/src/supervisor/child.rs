use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_node::{Node, Pid, ProcessSender, Term};

use super::Shutdown;
use crate::server::{Options, Running, Server, StartError, Stop, guarded};

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
    pub(crate) fn to_term(self) -> Term {
        Term::atom(match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        })
    }

    pub(crate) fn from_term(term: &Term) -> Option<Self> {
        match term.as_atom()?.as_str() {
            "permanent" => Some(Self::Permanent),
            "transient" => Some(Self::Transient),
            "temporary" => Some(Self::Temporary),
            _ => None,
        }
    }

    /// Whether a child that has ended for this reason is started again.
    pub(super) fn applies(self, reason: &Term) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => is_failure(reason),
            Self::Temporary => false,
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

/// Whether a child is itself a supervisor. It shows in `supervisor:count_children/1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Worker,
    Supervisor,
}

impl Kind {
    pub(super) fn to_term(self) -> Term {
        Term::atom(match self {
            Self::Worker => "worker",
            Self::Supervisor => "supervisor",
        })
    }
}

/// A child of a [`Supervisor`](crate::Supervisor): how it is started, and when it is started again.
///
/// Without further options it is always started again, and has 5 seconds to end.
#[derive(Clone)]
pub struct ChildSpec {
    pub(super) id: Term,
    pub(super) start: Start,
    pub(super) restart: Restart,
    pub(super) shutdown: Shutdown,
    pub(super) kind: Kind,
    /// The module, function and arguments by which a peer has said how it is started.
    pub(super) function: Term,
}

/// Starts a child, linked to its supervisor; fails with the reason.
pub(super) type Start = Arc<dyn Fn(Parent) -> BoxFuture<'static, Result<Pid, Term>> + Send + Sync>;

/// The supervisor that starts a child.
#[derive(Debug, Clone)]
pub struct Parent {
    pub(super) node: Node,
    pub(super) pid: Pid,
}

impl Parent {
    /// The node.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The supervisor's pid.
    pub fn pid(&self) -> &Pid {
        &self.pid
    }

    /// Starts a server that is linked to the supervisor, when the result is awaited.
    pub fn start<S: Server>(&self, server: S) -> Options<S> {
        server.start(&self.node).link(&self.pid)
    }
}

impl ChildSpec {
    /// A child that is a server: `start` makes it with [`Parent::start`], for each start anew.
    ///
    /// ```no_run
    /// # use peerl_node::{Caller, Term};
    /// # use peerl_otp::{ChildSpec, Context, Outcome, Parent, Server, reply};
    /// # struct Counter(i64);
    /// # impl Server for Counter {
    /// #     type Call = Term;
    /// #     type Reply = i64;
    /// #     type Cast = Term;
    /// #     async fn handle_call(&mut self, _: Term, _: Caller, _: &mut Context) -> Outcome<i64> { reply(self.0) }
    /// # }
    /// let child = ChildSpec::new("counter", |parent: &Parent| parent.start(Counter(0)).name("counter"));
    /// ```
    pub fn new<F, O>(id: &'static str, start: F) -> Self
    where
        F: Fn(&Parent) -> O + Send + Sync + 'static,
        O: IntoFuture<Output = Result<Running, StartError>>,
        O::IntoFuture: Send + 'static,
    {
        let start = move |parent: Parent| {
            let starting = start(&parent).into_future();
            async move {
                match starting.await {
                    Ok(running) => Ok(running.pid().clone()),
                    Err(error) => Err(failure(&parent.node, error)),
                }
            }
            .boxed()
        };
        Self::with_start(Term::atom(id), Arc::new(start))
    }

    /// A child that runs a function. It ends with `normal`, or with the reason of the [`Stop`]; an exit signal drops the
    /// function's future. The function can send messages in the child's name, and gets none.
    pub fn task<F, Fut>(id: &'static str, function: F) -> Self
    where
        F: Fn(ProcessSender) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Stop>> + Send + 'static,
    {
        let start = move |parent: Parent| {
            let mut process = parent.node.process();
            let running = function(process.sender());
            async move {
                process.link(&parent.pid).await;
                let pid = process.pid().clone();
                tokio::spawn(async move {
                    let ended = async { while process.receive().await.is_ok() {} };
                    let outcome = tokio::select! {
                        biased;
                        outcome = guarded(running) => outcome,
                        () = ended => return,
                    };
                    let reason = outcome.map_or_else(Stop::into_reason, |()| Term::atom("normal"));
                    process.exit(&reason);
                });
                Ok(pid)
            }
            .boxed()
        };
        Self::with_start(Term::atom(id), Arc::new(start))
    }

    pub(super) fn with_start(id: Term, start: Start) -> Self {
        let (restart, shutdown) = (Restart::default(), Shutdown::default());
        Self { id, start, restart, shutdown, kind: Kind::Worker, function: Term::atom("undefined") }
    }

    /// Sets another id than a static name.
    pub fn id(mut self, id: impl Into<Term>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets when it is started again.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how it is ended.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Says that the child is a supervisor, which has all the time that it needs to end its own children.
    pub fn supervisor(mut self) -> Self {
        self.kind = Kind::Supervisor;
        self.shutdown = Shutdown::Infinity;
        self
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, restart, shutdown, kind, .. } = self;
        let mut spec = f.debug_struct("ChildSpec");
        spec.field("id", id).field("restart", restart).field("shutdown", shutdown).field("kind", kind);
        spec.finish_non_exhaustive()
    }
}

/// What `gen_server:start_link/4` gives for an error.
fn failure(node: &Node, error: StartError) -> Term {
    match error {
        StartError::Stopped(reason) => reason,
        StartError::Taken { name, source } => match node.whereis(&name) {
            Some(pid) => Term::tuple([Term::atom("already_started"), pid.into()]),
            None => Term::from(source.to_string()),
        },
        error => Term::from(error.to_string()),
    }
}
