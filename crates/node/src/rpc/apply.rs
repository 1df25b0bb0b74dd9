use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use peerl_term::{Atom, RawTerm, Term};

use super::Arguments;
use crate::Exception;
use crate::exports::{Evaluation, Outcome};
use crate::node::Inner;

/// Calls an exported function, as `erlang:apply/3`. What is not exported is `undef`, whatever it is; what is no list of
/// arguments, `badarg`.
pub(crate) fn apply(node: &Inner, module: Atom, function: Atom, arguments: Option<Arguments>) -> Applied {
    match find(node, module, function, arguments) {
        Ok(applied) => applied,
        Err(exception) => Applied(State::Failed(Some(exception))),
    }
}

/// The evaluation of a function.
pub(crate) struct Applied(State);

enum State {
    Found {
        evaluation: Evaluation,
        module: Atom,
        function: Atom,
        arity: usize,
    },
    /// There is nothing to evaluate.
    Failed(Option<Exception>),
}

impl Future for Applied {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        match &mut self.0 {
            State::Found { evaluation, module, function, arity } => {
                let outcome = ready!(Pin::new(evaluation).poll(cx));
                Poll::Ready(outcome.map_err(|exception| with_stack(exception, module, function, *arity)))
            }
            State::Failed(exception) => match exception.take() {
                Some(exception) => Poll::Ready(Err(exception)),
                None => Poll::Pending,
            },
        }
    }
}

fn find(node: &Inner, module: Atom, function: Atom, arguments: Option<Arguments>) -> Result<Applied, Exception> {
    const ERLANG: Atom = Atom::from_static("erlang");
    const APPLY: Atom = Atom::from_static("apply");
    let (mut module, mut function, mut arguments) = (module, function, arguments.ok_or_else(Exception::badarg)?);
    // `erlang:apply` may be applied to itself; each turn takes one off, so the loop ends with the message.
    while module == ERLANG && function == APPLY && matches!(arguments.arity, 2 | 3) {
        (module, function, arguments) = inner_call(&arguments)?;
    }
    let arity = arguments.arity;
    match node.exports.find(&module, &function, arity) {
        Some(exported) => {
            let evaluation = Evaluation::new(exported, arguments.list);
            Ok(Applied(State::Found { evaluation, module, function, arity }))
        }
        None => Err(undef(&module, &function, &arguments)),
    }
}

/// The call that `erlang:apply(Fun, Arguments)` or `erlang:apply(Module, Function, Arguments)` makes.
fn inner_call(arguments: &Arguments) -> Result<(Atom, Atom, Arguments), Exception> {
    let terms = match arguments.list.decode() {
        Ok(Term::List(terms)) => terms.into_vec(),
        _ => return Err(Exception::badarg()),
    };
    let encoded = |list| Arguments::new(RawTerm::encoded_from(list)).ok_or_else(Exception::badarg);
    match &terms[..] {
        [Term::ExternalFun(fun), list] => Ok((fun.module.clone(), fun.function.clone(), encoded(list)?)),
        [fun, _] => Err(Exception::error(Term::tuple([Term::atom("badfun"), fun.clone()]))),
        [Term::Atom(module), Term::Atom(function), list] => Ok((module.clone(), function.clone(), encoded(list)?)),
        _ => Err(Exception::badarg()),
    }
}

/// `undef`, with the stack that the BEAM gives it.
fn undef(module: &Atom, function: &Atom, arguments: &Arguments) -> Exception {
    // A frame has the arguments or their number.
    let arguments = arguments.list.decode().unwrap_or_else(|_| Term::from(arguments.arity));
    Exception { stack: stack(module, function, arguments), ..Exception::error(Term::atom("undef")) }
}

fn with_stack(exception: Exception, module: &Atom, function: &Atom, arity: usize) -> Exception {
    match exception.stack {
        Term::List(list) if list.is_empty() => {
            Exception { stack: stack(module, function, Term::from(arity)), ..exception }
        }
        stack => Exception { stack, ..exception },
    }
}

fn stack(module: &Atom, function: &Atom, arguments: Term) -> Term {
    let entry = [module.clone().into(), function.clone().into(), arguments, Term::nil()];
    Term::list([Term::tuple(entry)])
}
