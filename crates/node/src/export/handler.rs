use std::future::Future;

use futures::FutureExt;
use peerl_term::{Encoded, RawTerm, Term};
use serde::Serialize;

use super::{Arguments, CallContext};
use crate::Exception;
use crate::kernel::bad_argument;
use crate::kernel::exports::{self, Evaluated, Outcome};
use crate::node::WeakNode;
use crate::process::Process;

/// What can be [exported](crate::Node::export): an async function or closure of a tuple of [`Arguments`], of a
/// [`CallContext`] and such a tuple, or of a [`Process`], a [`CallContext`] and such a tuple, that gives a [`Result`] of any type
/// that serde writes, or an [`Exception`]. `Shape` tells these apart, and is always inferred.
pub trait Handler<Shape>: Send + Sync + 'static {
    /// The number of arguments.
    fn arity(&self) -> u8;

    #[doc(hidden)]
    fn into_function(self, node: WeakNode) -> Function;
}

/// A handler whose types are forgotten.
pub struct Function(pub(super) exports::Handler);

impl<F, Fut, A, R> Handler<fn(A) -> R> for F
where
    F: Fn(A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    A: Arguments,
    R: Serialize,
{
    fn arity(&self) -> u8 {
        A::ARITY
    }

    fn into_function(self, _: WeakNode) -> Function {
        Function(exports::Handler::Plain(Box::new(move |arguments| evaluate(&arguments, &self))))
    }
}

impl<F, Fut, A, R> Handler<fn(CallContext, A) -> R> for F
where
    F: Fn(CallContext, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    A: Arguments,
    R: Serialize,
{
    fn arity(&self) -> u8 {
        A::ARITY
    }

    fn into_function(self, node: WeakNode) -> Function {
        Function(exports::Handler::WithCall(Box::new(move |call, arguments| {
            evaluate(&arguments, |read| self(CallContext::new(node.clone(), call), read))
        })))
    }
}

impl<F, Fut, A, R> Handler<fn(Process, CallContext, A) -> R> for F
where
    F: Fn(Process, CallContext, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Exception>> + Send + 'static,
    A: Arguments,
    R: Serialize,
{
    fn arity(&self) -> u8 {
        A::ARITY
    }

    fn into_function(self, node: WeakNode) -> Function {
        Function(exports::Handler::Receiving(Box::new(move |mut call, arguments| {
            let Some(running) = node.upgrade() else {
                return futures::future::ready(Err(Exception::exit(Term::atom("shutdown")))).boxed();
            };
            let process = Process::of_call(&running.inner, &mut call);
            evaluate(&arguments, |read| self(process, CallContext::new(node.clone(), call), read))
        })))
    }
}

fn evaluate<A, R, Fut>(arguments: &RawTerm, handler: impl FnOnce(A) -> Fut) -> Evaluated
where
    A: Arguments,
    R: Serialize,
    Fut: Future<Output = Result<R, Exception>> + Send + 'static,
{
    match A::read(arguments) {
        Ok(read) => handler(read).map(|result| encoded(&result?)).boxed(),
        Err(error) => futures::future::ready(Err(bad_argument::exception(arguments, &error))).boxed(),
    }
}

fn encoded(value: &impl Serialize) -> Outcome {
    // Most results are small.
    let mut encoded = Encoded::with_capacity(64);
    match peerl_term::serde::to_sink(value, &mut encoded) {
        Ok(()) => Ok(encoded),
        Err(error) => {
            let reason = [Term::atom("unencodable_result"), Term::from(error.to_string())];
            Err(Exception::error(Term::tuple(reason)))
        }
    }
}
