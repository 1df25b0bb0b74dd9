use std::future::Future;
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_term::{Atom, Encoded, RawTerm, Term};
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::kernel::exception::Exception;
use crate::kernel::repeats::Repeats;

/// The functions that peers may call. Nothing else of this program can be called, ever.
///
/// The keys are names of ours, so that a quick hash will do.
#[derive(Default)]
pub(crate) struct Exports(ArcSwap<FxHashMap<Name, Arc<Exported>>>);

/// A function that peers may call.
pub(crate) struct Exported {
    callable: Box<Callable>,
    pace: Pace,
    /// The warnings of arguments that do not fit.
    repeats: Arc<Repeats>,
}

type Callable = dyn Fn(RawTerm) -> BoxFuture<'static, Outcome> + Send + Sync;

/// How long a function keeps its thread when it is first polled, in nanoseconds: an average in which the last calls
/// count most. Quick functions are run one after another in the task that serves the calls that came together; one
/// that is not quick would hold the others up.
#[derive(Default)]
struct Pace {
    average: AtomicU64,
    calls: AtomicU64,
}

impl Pace {
    const QUICK: u64 = 20_000;

    /// To ask for the time takes as long as a quick function does: it is asked for every so many calls.
    const SAMPLE: u64 = 16;

    fn is_quick(&self) -> bool {
        self.average.load(Ordering::Relaxed) <= Self::QUICK
    }

    /// Starts to measure, if it is time to. It does not matter if two calls at once are counted as one.
    fn start(&self) -> Option<Instant> {
        let calls = self.calls.load(Ordering::Relaxed);
        self.calls.store(calls.wrapping_add(1), Ordering::Relaxed);
        (calls.is_multiple_of(Self::SAMPLE) || !self.is_quick()).then(Instant::now)
    }

    fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let average = self.average.load(Ordering::Relaxed);
        self.average.store(average - average / 4 + nanos / 4, Ordering::Relaxed);
    }
}

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
    pub(crate) fn insert<A, R, F, Fut>(&self, module: Atom, function: Atom, arity: usize, handler: F)
    where
        A: DeserializeOwned,
        R: Serialize,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    {
        let callable: Box<Callable> = Box::new(move |arguments: RawTerm| {
            let read = match peerl_term::serde::from_raw::<A>(&arguments) {
                // The tuple of no arguments is `()`, which is no list for serde.
                Err(_) if arity == 0 => peerl_term::serde::from_raw::<A>(&RawTerm::encoded_from(&Term::atom("ok"))),
                read => read,
            };
            let arguments = match read {
                Ok(read) => read,
                Err(error) => {
                    return futures::future::ready(Err(crate::kernel::bad_argument::exception(&arguments, &error)))
                        .boxed();
                }
            };
            handler(arguments)
                .map(|result| {
                    // Most results are small.
                    let mut encoded = Encoded::with_capacity(64);
                    match peerl_term::serde::to_sink(&result?, &mut encoded) {
                        Ok(()) => Ok(encoded),
                        Err(error) => Err(Exception::error(Term::tuple([
                            Term::atom("unencodable_result"),
                            Term::from(error.to_string()),
                        ]))),
                    }
                })
                .boxed()
        });
        let exported = Arc::new(Exported { callable, pace: Pace::default(), repeats: Arc::default() });
        self.0.rcu(|functions| {
            let mut functions = FxHashMap::clone(functions);
            let name = Name { module: module.clone(), function: function.clone(), arity };
            functions.insert(name, exported.clone());
            functions
        });
    }

    /// The names and arities of all functions, sorted.
    pub(crate) fn names(&self) -> Vec<(Atom, Atom, usize)> {
        let functions = self.0.load();
        let mut names: Vec<_> =
            functions.keys().map(|name| (name.module.clone(), name.function.clone(), name.arity)).collect();
        names.sort();
        names
    }

    pub(crate) fn contains(&self, module: &Atom, function: &Atom, arity: usize) -> bool {
        self.find(module, function, arity).is_some()
    }

    pub(crate) fn find(&self, module: &Atom, function: &Atom, arity: usize) -> Option<Arc<Exported>> {
        let name = Name { module: module.clone(), function: function.clone(), arity };
        self.0.load().get(&name).cloned()
    }
}

/// A call of an exported function. A panic in it becomes an `error` exception.
pub(crate) struct Evaluation {
    exported: Arc<Exported>,
    stage: Stage,
}

enum Stage {
    /// The function is not quick: whoever serves the call first lets it go on in a task of its own.
    Apart(RawTerm),
    /// It has not been called yet.
    Ready(RawTerm),
    Running(BoxFuture<'static, Outcome>),
    Ended,
}

impl Evaluation {
    pub(crate) fn new(exported: Arc<Exported>, arguments: RawTerm) -> Self {
        let stage = if exported.pace.is_quick() { Stage::Ready(arguments) } else { Stage::Apart(arguments) };
        Self { exported, stage }
    }

    /// The warnings of the function.
    pub(crate) fn repeats(&self) -> &Arc<Repeats> {
        &self.exported.repeats
    }
}

impl Future for Evaluation {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let exported = self.exported.clone();
        let polled = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Ended => return Poll::Pending,
            Stage::Apart(arguments) => {
                self.stage = Stage::Ready(arguments);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Stage::Ready(arguments) => {
                let started = exported.pace.start();
                let polled = catch_unwind(AssertUnwindSafe(|| {
                    let mut running = (exported.callable)(arguments);
                    let polled = running.poll_unpin(cx);
                    (running, polled)
                }));
                if let Some(started) = started {
                    exported.pace.note(started.elapsed());
                }
                polled
            }
            Stage::Running(mut running) => catch_unwind(AssertUnwindSafe(|| {
                let polled = running.poll_unpin(cx);
                (running, polled)
            })),
        };
        match polled {
            Ok((_, Poll::Ready(outcome))) => Poll::Ready(outcome),
            Ok((running, Poll::Pending)) => {
                self.stage = Stage::Running(running);
                Poll::Pending
            }
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
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
