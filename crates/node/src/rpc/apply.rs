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
pub(crate) fn apply(node: &Inner, module: Atom, function: Atom, arguments: Result<Arguments, RawTerm>) -> Applied {
    let found = match arguments {
        Ok(arguments) => find(node, module, function, arguments),
        Err(other) => Err(match other.decode() {
            Ok(other) => bad_apply(module.into(), function.into(), other),
            // Of a malformed term its origin has been told; one that is too large to be decoded is too large to be shown.
            Err(_) => Exception::badarg(),
        }),
    };
    found.unwrap_or_else(Applied::failed)
}

/// What `erlang:apply(Module, Function, Arguments)` raises if they cannot be those of a call: `badarg`, with the stack that
/// the BEAM gives it.
pub(crate) fn bad_apply(module: Term, function: Term, arguments: Term) -> Exception {
    let arity = match &arguments {
        Term::List(list) => Some(list.len()),
        _ => None,
    };
    let caller = arity.map(|arity| frame(module.clone(), function.clone(), Term::from(arity)));
    bad_arguments([module, function, arguments], caller)
}

/// The `badarg` of `erlang:apply`, called with these arguments by this caller.
fn bad_arguments(arguments: impl IntoIterator<Item = Term>, caller: Option<Term>) -> Exception {
    let info = Term::map([(Term::atom("module"), Term::atom("erl_erts_errors"))]);
    let place = Term::list([Term::tuple([Term::atom("error_info"), info])]);
    let apply = Term::tuple([ERLANG.into(), APPLY.into(), Term::list(arguments), place]);
    Exception { stack: Term::list(std::iter::once(apply).chain(caller)), ..Exception::badarg() }
}

const ERLANG: Atom = Atom::from_static("erlang");
const APPLY: Atom = Atom::from_static("apply");

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

impl Applied {
    /// There is nothing to evaluate.
    pub(crate) fn failed(exception: Exception) -> Self {
        Self(State::Failed(Some(exception)))
    }
}

fn find(node: &Inner, module: Atom, function: Atom, arguments: Arguments) -> Result<Applied, Exception> {
    let (mut module, mut function, mut arguments) = (module, function, arguments);
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
    let encoded = |list| Arguments::new(RawTerm::encoded_from(list));
    match &terms[..] {
        [Term::ExternalFun(fun), list] => {
            let Ok(arguments) = encoded(list) else {
                let caller = frame(ERLANG.into(), APPLY.into(), Term::from(2));
                return Err(bad_arguments(terms, Some(caller)));
            };
            if arguments.arity != usize::from(fun.arity) {
                let call = Term::tuple([terms[0].clone(), list.clone()]);
                let error = Exception::error(Term::tuple([Term::atom("badarity"), call]));
                return Err(with_stack(error, &ERLANG, &APPLY, 2));
            }
            Ok((fun.module.clone(), fun.function.clone(), arguments))
        }
        [fun, _] => {
            let error = Exception::error(Term::tuple([Term::atom("badfun"), fun.clone()]));
            Err(with_stack(error, &ERLANG, &APPLY, 2))
        }
        [Term::Atom(module), Term::Atom(function), list] => match encoded(list) {
            Ok(arguments) => Ok((module.clone(), function.clone(), arguments)),
            Err(_) => Err(bad_apply(module.clone().into(), function.clone().into(), list.clone())),
        },
        [module, function, list] => Err(bad_apply(module.clone(), function.clone(), list.clone())),
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
    Term::list([frame(module.clone().into(), function.clone().into(), arguments)])
}

/// An entry of a stack whose place in a file is not known.
fn frame(module: Term, function: Term, arguments: Term) -> Term {
    Term::tuple([module, function, arguments, Term::nil()])
}
