use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::connection::LARGE;
use peerl_term::{Atom, Encoded, RawTerm, Term};
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::kernel::batching::Pace;
use crate::kernel::call::Call;
use crate::kernel::exception::Exception;
#[cfg(feature = "metrics")]
use crate::kernel::figures::FunctionFigures;
use crate::kernel::figures::OutcomeCounts;
use crate::kernel::long_work::{self, Turns};
use crate::kernel::process::Core;
use crate::kernel::repeats::Repeats;
use crate::kernel::spans::ServeSpan;

/// The functions that peers may call. Nothing else of this program can be called, ever.
#[derive(Default)]
pub(crate) struct Exports(ArcSwap<Table>);

/// The keys are names of this program, not of a peer: a fast hash is safe.
#[derive(Default, Clone)]
struct Table {
    functions: FxHashMap<Name, Arc<Exported>>,
    /// Those that take any number of arguments.
    of_any_arity: FxHashMap<(Atom, Atom), Arc<Exported>>,
    /// Those that are all functions of a module.
    modules: FxHashMap<Atom, Arc<Exported>>,
}

/// What a handler is called for.
pub(crate) enum Scope {
    /// One function.
    Function(Atom, Atom, usize),
    /// A function of any arity.
    AnyArity(Atom, Atom),
    /// All functions of a module.
    Module(Atom),
}

/// A function that peers may call.
pub(crate) struct Exported {
    handler: Handler,
    pace: Pace,
    /// The warnings of arguments that do not fit.
    repeats: Arc<Repeats>,
    outcomes: OutcomeCounts,
}

/// What evaluates a function, of a list of arguments.
pub(crate) enum Handler {
    /// It needs nothing but the arguments.
    Plain(Box<dyn Fn(RawTerm) -> Evaluated + Send + Sync>),
    /// It knows who calls.
    WithCall(Box<dyn Fn(Call, RawTerm) -> Evaluated + Send + Sync>),
    /// It knows who calls, and receives the messages of the process that evaluates it.
    Receiving(Box<dyn Fn(Call, RawTerm) -> Evaluated + Send + Sync>),
    /// It is not evaluated: this is the error of a request to spawn a process for it, and of a call.
    Refusing(Box<dyn Fn(Call) -> Atom + Send + Sync>),
}

pub(crate) type Evaluated = BoxFuture<'static, Outcome>;

/// The encoded result, or the exception.
pub(crate) type Outcome = Result<Encoded, Exception>;

#[derive(Clone, PartialEq, Eq)]
struct Name {
    module: Atom,
    function: Atom,
    arity: usize,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.module.fingerprint());
        state.write_u64(self.function.fingerprint());
        state.write_usize(self.arity);
    }
}

impl Exports {
    /// Makes a function callable; one of the same name and arity is replaced.
    pub(crate) fn insert(&self, scope: &Scope, handler: Handler) {
        let exported = Arc::new(Exported {
            handler,
            pace: Pace::default(),
            repeats: Arc::default(),
            outcomes: OutcomeCounts::default(),
        });
        self.0.rcu(|table| {
            let mut table = Table::clone(table);
            let exported = exported.clone();
            match scope {
                Scope::Function(module, function, arity) => {
                    let name = Name { module: module.clone(), function: function.clone(), arity: *arity };
                    table.functions.insert(name, exported);
                }
                Scope::AnyArity(module, function) => {
                    table.of_any_arity.insert((module.clone(), function.clone()), exported);
                }
                Scope::Module(module) => {
                    table.modules.insert(module.clone(), exported);
                }
            }
            table
        });
    }

    /// The names and arities of the functions that have an arity, sorted.
    pub(crate) fn names(&self) -> Vec<(Atom, Atom, usize)> {
        let table = self.0.load();
        let served = table.functions.iter().filter(|(_, exported)| exported.is_served());
        let mut names: Vec<_> =
            served.map(|(name, _)| (name.module.clone(), name.function.clone(), name.arity)).collect();
        names.sort();
        names
    }

    /// How the calls of all functions have ended.
    #[cfg(feature = "metrics")]
    pub(crate) fn figures(&self) -> Vec<FunctionFigures> {
        let Table { functions, of_any_arity, modules } = &**self.0.load();
        let exact = functions.iter().map(|(name, exported)| {
            exported.outcomes.figures(name.module.clone(), Some(name.function.clone()), Some(name.arity))
        });
        let named = of_any_arity
            .iter()
            .map(|((module, name), exported)| exported.outcomes.figures(module.clone(), Some(name.clone()), None));
        let whole = modules.iter().map(|(module, exported)| exported.outcomes.figures(module.clone(), None, None));
        exact.chain(named).chain(whole).collect()
    }

    pub(crate) fn contains(&self, module: &Atom, function: &Atom, arity: usize) -> bool {
        self.find(module, function, arity).is_some_and(|exported| exported.is_served())
    }

    pub(crate) fn find(&self, module: &Atom, function: &Atom, arity: usize) -> Option<Arc<Exported>> {
        let name = Name { module: module.clone(), function: function.clone(), arity };
        let table = self.0.load();
        table.functions.get(&name).or_else(|| table.of_wide_scope(module, function)).cloned()
    }
}

impl Exported {
    fn is_served(&self) -> bool {
        !matches!(self.handler, Handler::Refusing(_))
    }
}

impl Table {
    #[cold]
    fn of_wide_scope(&self, module: &Atom, function: &Atom) -> Option<&Arc<Exported>> {
        self.of_any_arity.get(&(module.clone(), function.clone())).or_else(|| self.modules.get(module))
    }
}

/// A call of an exported function. A panic in it becomes an `error` exception.
pub(crate) struct Evaluation {
    exported: Arc<Exported>,
    stage: Stage,
    span: ServeSpan,
    /// The handler of a function that knows who calls is told when this is dropped.
    call: Option<DropGuard>,
    message: Option<LargeMessage>,
}

/// The large message from which arguments come: it holds a lease until the handler has done with them.
pub(crate) struct LargeMessage {
    /// If going through it takes long.
    long: Option<Turns>,
    _bytes: Bytes,
}

impl LargeMessage {
    /// The message of these arguments, if they are large.
    pub(crate) fn of(arguments: &RawTerm) -> Option<Self> {
        let bytes = arguments.bytes();
        (bytes.len() > LARGE).then(|| Self { long: arguments.is_long().then(Turns::default), _bytes: bytes.clone() })
    }
}

enum Stage {
    /// The function is not known to be quick: it is evaluated in a task of its own.
    Apart(Evaluable),
    /// It has not been called yet.
    Ready(Evaluable),
    Running(Evaluated),
    Ended,
}

struct Evaluable {
    arguments: RawTerm,
    call: Option<Box<Call>>,
}

impl Evaluation {
    pub(crate) fn new(
        exported: Arc<Exported>,
        arguments: RawTerm,
        message: Option<LargeMessage>,
        call: impl FnOnce() -> Call,
    ) -> Self {
        let call = (!matches!(exported.handler, Handler::Plain(_))).then(|| Box::new(call()));
        let guard = call.as_ref().map(|call| call.cancelled.clone().drop_guard());
        let evaluable = Evaluable { arguments, call };
        // One whose arguments take long to read has a task already.
        let is_long = message.as_ref().is_some_and(|message| message.long.is_some());
        let stage = if exported.pace.is_quick() || is_long { Stage::Ready(evaluable) } else { Stage::Apart(evaluable) };
        Self { exported, stage, span: ServeSpan::default(), call: guard, message }
    }

    /// Sets the span in which the function is evaluated.
    #[cfg(feature = "spans")]
    pub(crate) fn set_span(&mut self, span: ServeSpan) {
        self.span = span;
    }

    /// Cancels the handler when its caller no longer waits, if the handler takes that.
    pub(crate) fn cancellation(&self) -> Option<CancellationToken> {
        self.call.as_ref().map(|guard| guard.token().clone())
    }

    /// Whether the function receives the messages of its process, which then has to be there before it is called.
    pub(crate) fn receives(&self) -> bool {
        matches!(self.exported.handler, Handler::Receiving(_))
    }

    /// Gives the function, which has not been called yet, the process whose messages it receives.
    pub(crate) fn receive_as(&mut self, process: Arc<Core>) {
        if let Stage::Apart(Evaluable { call: Some(call), .. }) | Stage::Ready(Evaluable { call: Some(call), .. }) =
            &mut self.stage
        {
            call.receiver = Some(process);
        }
    }

    /// The error with which a process for the function is not spawned, if it is refused.
    pub(crate) fn refusal(&mut self) -> Option<Atom> {
        let Handler::Refusing(refuse) = &self.exported.handler else { return None };
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Apart(Evaluable { call: Some(call), .. }) | Stage::Ready(Evaluable { call: Some(call), .. }) => {
                catch_unwind(AssertUnwindSafe(|| refuse(*call))).ok()
            }
            _ => None,
        }
    }

    /// The warnings of the function.
    pub(crate) fn repeats(&self) -> &Arc<Repeats> {
        &self.exported.repeats
    }
}

impl Future for Evaluation {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let span = self.span.clone();
        let Some(turns) = self.message.as_mut().and_then(|message| message.long.as_mut()) else {
            return span.within(|| self.as_mut().advance(cx));
        };
        // Its arguments may be gone through, or dropped, at any time.
        let _turn = ready!(turns.poll_next(cx));
        long_work::run(|| span.within(|| self.as_mut().advance(cx)))
    }
}

impl Evaluation {
    /// Whether going through the arguments takes long.
    fn is_long(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.long.is_some())
    }

    fn advance(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let polled = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => return Poll::Pending,
            Stage::Apart(evaluable) => {
                self.stage = Stage::Ready(evaluable);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Stage::Ready(Evaluable { arguments, call }) => {
                let began = Instant::now();
                let polled = catch_unwind(AssertUnwindSafe(|| {
                    let mut running = match (&self.exported.handler, call) {
                        (Handler::WithCall(handler) | Handler::Receiving(handler), Some(call)) => {
                            handler(*call, arguments)
                        }
                        (Handler::Plain(handler), _) => handler(arguments),
                        (Handler::Refusing(refuse), Some(call)) => {
                            futures::future::ready(Err(Exception::error(refuse(*call)))).boxed()
                        }
                        // They are made with their call.
                        (_, None) => futures::future::pending().boxed(),
                    };
                    let polled = running.poll_unpin(cx);
                    (running, polled)
                }));
                if !self.is_long() {
                    self.exported.pace.note(began.elapsed());
                }
                polled
            }
            Stage::Running(mut running) => catch_unwind(AssertUnwindSafe(|| {
                let polled = running.poll_unpin(cx);
                (running, polled)
            })),
        };
        match polled {
            Ok((_, Poll::Ready(outcome))) => {
                self.exported.outcomes.note(&outcome);
                Poll::Ready(outcome)
            }
            Ok((running, Poll::Pending)) => {
                self.stage = Stage::Running(running);
                Poll::Pending
            }
            Err(panic) => {
                let outcome = Err(panicked(&*panic));
                self.exported.outcomes.note(&outcome);
                Poll::Ready(outcome)
            }
        }
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        if !matches!(self.stage, Stage::Ended) {
            self.exported.outcomes.ended();
        }
        if self.is_long() {
            let stage = std::mem::replace(&mut self.stage, Stage::Ended);
            long_work::run(|| drop(stage));
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Exception {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Exception::error(Term::tuple([Term::atom("panic"), Term::from(message)]))
}
