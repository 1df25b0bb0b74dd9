use std::sync::Arc;

use peerl_term::{Atom, Decoder, Limits, RawTerm, Tag, Term};

use crate::Exception;
use crate::exports::Outcome;
use crate::node::Inner;

/// Calls an exported function, as `erlang:apply/3`. What is not exported is `undef`, whatever it is.
pub(crate) async fn apply(node: &Arc<Inner>, module: Atom, function: Atom, arguments: RawTerm) -> Outcome {
    let (mut module, mut function, mut arguments) = (module, function, arguments);
    // `erlang:apply` may be applied to itself; each turn takes one off, so the loop ends with the message.
    loop {
        let Some(arity) = list_len(&arguments) else { return Err(Exception::badarg()) };
        if module == "erlang" && function == "apply" && (arity == 2 || arity == 3) {
            (module, function, arguments) = inner_call(&arguments, arity)?;
            continue;
        }
        return match node.exports.call(&module, &function, arity, arguments.clone()) {
            Some(call) => call.await.map_err(|exception| with_stack(exception, &module, &function, arity)),
            None => Err(undef(&module, &function, &arguments)),
        };
    }
}

/// The call that `erlang:apply(Fun, Arguments)` or `erlang:apply(Module, Function, Arguments)` makes.
fn inner_call(arguments: &RawTerm, arity: usize) -> Result<(Atom, Atom, RawTerm), Exception> {
    let terms = match arguments.decode() {
        Ok(Term::List(terms)) => terms.into_vec(),
        _ => return Err(Exception::badarg()),
    };
    match (arity, &terms[..]) {
        (2, [Term::ExternalFun(fun), list]) => {
            Ok((fun.module.clone(), fun.function.clone(), RawTerm::encoded_from(list)))
        }
        (2, [fun, _]) => Err(Exception::error(Term::tuple([Term::atom("badfun"), fun.clone()]))),
        (_, [Term::Atom(module), Term::Atom(function), list]) => {
            Ok((module.clone(), function.clone(), RawTerm::encoded_from(list)))
        }
        _ => Err(Exception::badarg()),
    }
}

/// `undef`, with the stack that the BEAM gives it.
fn undef(module: &Atom, function: &Atom, arguments: &RawTerm) -> Exception {
    let arguments = arguments.decode().unwrap_or_else(|_| Term::nil());
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

/// The number of elements of an encoded list, if it is a proper one.
pub(crate) fn list_len(list: &RawTerm) -> Option<usize> {
    let limits = Limits::default();
    let mut decoder = Decoder::new(list.bytes(), list.atoms(), &limits);
    match decoder.peek_tag().ok()? {
        Tag::STRING_EXT => {
            let len = list.bytes().get(1..3)?;
            Some(usize::from(u16::from_be_bytes(len.try_into().ok()?)))
        }
        _ => {
            let len = decoder.list_header().ok()?;
            for _ in 0..len {
                decoder.skip_term().ok()?;
            }
            if len > 0 {
                decoder.nil().ok()?;
            }
            Some(len)
        }
    }
}
