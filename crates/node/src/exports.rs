use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_term::{Atom, RawTerm, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Exception;

/// The functions that peers may call. Nothing else of this program can be called, ever.
#[derive(Default)]
pub(crate) struct Exports(ArcSwap<HashMap<Name, Function>>);

type Function = Arc<dyn Fn(RawTerm) -> BoxFuture<'static, Outcome> + Send + Sync>;

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
        let callable: Function = Arc::new(move |arguments: RawTerm| {
            let arguments = match peerl_term::serde::from_raw::<A>(&arguments) {
                Ok(arguments) => arguments,
                Err(_) => return futures::future::ready(Err(Exception::badarg())).boxed(),
            };
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
        self.0.rcu(|functions| {
            let mut functions = HashMap::clone(functions);
            let name = Name { module: module.clone(), function: function.clone(), arity };
            functions.insert(name, callable.clone());
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
        let callable = self.0.load().get(&name)?.clone();
        let call = async move { callable(arguments).await };
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
