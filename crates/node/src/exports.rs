use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_term::{Atom, RawTerm, Term};
use rustc_hash::FxHashMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Exception;

/// The functions that peers may call. Nothing else of this program can be called, ever.
///
/// The keys are names of ours, so that a quick hash will do.
#[derive(Default)]
pub(crate) struct Exports(ArcSwap<FxHashMap<Name, Function>>);

type Callable = dyn Fn(RawTerm) -> BoxFuture<'static, Outcome> + Send + Sync;

#[derive(Clone)]
struct Function {
    callable: Arc<Callable>,
    pace: Arc<Pace>,
}

/// How long a function keeps its thread when it is first polled, in nanoseconds: an average in which the last calls
/// count most. Quick functions are run one after another in the task that serves the calls that came together; one
/// that is not quick would hold the others up.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pace {
    const QUICK: u64 = 20_000;

    fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) <= Self::QUICK
    }

    fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let average = self.0.load(Ordering::Relaxed);
        self.0.store(average - average / 4 + nanos / 4, Ordering::Relaxed);
    }
}

/// The encoded result, or the exception.
pub(crate) type Outcome = Result<Vec<u8>, Exception>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    module: Atom,
    function: Atom,
    arity: usize,
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
        let callable: Arc<Callable> = Arc::new(move |arguments: RawTerm| {
            let read = match peerl_term::serde::from_raw::<A>(&arguments) {
                // The tuple of no arguments is `()`, which is no list for serde.
                Err(_) if arity == 0 => peerl_term::serde::from_raw::<A>(&crate::reason::atom("ok")),
                read => read,
            };
            let Ok(arguments) = read else { return futures::future::ready(Err(Exception::badarg())).boxed() };
            handler(arguments)
                .map(|result| {
                    let mut encoded = Vec::new();
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
        let function_of_name = Function { callable, pace: Arc::default() };
        self.0.rcu(|functions| {
            let mut functions = FxHashMap::clone(functions);
            let name = Name { module: module.clone(), function: function.clone(), arity };
            functions.insert(name, function_of_name.clone());
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
        let name = Name { module: module.clone(), function: function.clone(), arity };
        self.0.load().contains_key(&name)
    }

    /// Calls a function, if there is one. A panic in it becomes an `error` exception.
    pub(crate) fn call(
        &self,
        module: &Atom,
        function: &Atom,
        arity: usize,
        arguments: RawTerm,
    ) -> Option<impl Future<Output = Outcome> + Send + use<>> {
        let name = Name { module: module.clone(), function: function.clone(), arity };
        let Function { callable, pace } = self.0.load().get(&name)?.clone();
        let call = async move {
            if !pace.is_quick() {
                // Whoever has served it until now lets it go on in a task of its own.
                tokio::task::yield_now().await;
            }
            let started = Instant::now();
            let mut call = callable(arguments);
            let first = futures::poll!(&mut call);
            pace.note(started.elapsed());
            match first {
                Poll::Ready(outcome) => outcome,
                Poll::Pending => call.await,
            }
        };
        Some(
            AssertUnwindSafe(call).catch_unwind().map(|outcome| outcome.unwrap_or_else(|panic| Err(panicked(&*panic)))),
        )
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
