//! `rex`: the server of `rpc`. Calls by `rpc:call` come as spawn requests nowadays; what is left to it are blocking
//! calls, server broadcasts, and the calls of C nodes.

use std::sync::Arc;

use peerl_term::{Atom, Encoded, Limits, Pid, RawTerm, Term, encode};

use super::service::{self, Service};
use crate::Exception;
use crate::inner::Inner;
use crate::kernel::serving::{Active, Arguments, Refused, apply, badrpc, refuse_apply};
use crate::process::{Destination, Payload, Process};
use crate::rpc::GenRequest;

pub(super) fn start(node: &Arc<Inner>) {
    service::start(node, &[Atom::from_static("rex")], Rex);
}

struct Rex;

impl Service for Rex {
    fn handle(&mut self, process: &Process, message: Term) {
        match GenRequest::from_term(message) {
            Ok(call) => answer_call(process, call),
            Err(message) => answer_message(process, message),
        }
    }
}

/// `{block_call, Module, Function, Arguments, GroupLeader}`, and the old `{call, …}`.
fn answer_call(process: &Process, call: GenRequest) {
    let Some(function) = call.request.as_tuple().and_then(|parts| function(parts, &["block_call", "call"])) else {
        return;
    };
    let (node, pid) = (process.inner().clone(), process.pid().clone());
    let active = Active::begin(&node.kernel);
    tokio::spawn(async move {
        let value = evaluate(&node, &active, Some(&call.from.pid.node), function).await;
        let reply = Term::tuple([call.from.tag.clone(), value]);
        let mut encoded = Encoded::default();
        encode::term(&reply, &mut encoded);
        node.reply_from(&pid, &call.from, encoded);
        drop(active);
    });
}

fn answer_message(process: &Process, message: Term) {
    let Some(parts) = message.as_tuple() else { return };
    match parts {
        // A peer asks which optional features this node has.
        [Term::Pid(from), request] if request.is_atom("features_request") => {
            let name = process.inner().kernel.identity.atom.clone();
            let reply = Term::tuple([Term::atom("features_reply"), name.into(), Term::list([Term::atom("erpc")])]);
            answer(process, from, reply);
        }
        // `rpc:sbcast`: deliver, and say whether the name is there.
        [Term::Pid(from), Term::Tuple(request)] => match &request[..] {
            [kind, Term::Atom(name), message] if kind.is_atom("sbcast") => {
                let node = Term::from(process.inner().kernel.identity.atom.clone());
                let found = process.inner().kernel.processes.whereis(name).is_some();
                let result = if found {
                    send(process, Destination::Name(name.clone()), message.clone());
                    node.clone()
                } else {
                    Term::tuple([Term::atom("nonexisting_name"), name.clone().into()])
                };
                answer(process, from, Term::tuple([Term::atom("rex"), node, result]));
            }
            [kind, Term::Atom(name), message] if kind.is_atom("send") => {
                let message = Term::tuple([Term::Pid(from.clone()), message.clone()]);
                send(process, Destination::Name(name.clone()), message);
            }
            request => {
                // A C node's call; the value goes to the process that asked.
                let Some(function) = function(request, &["call"]) else { return };
                let (node, to, pid) = (process.inner().clone(), (**from).clone(), process.pid().clone());
                let active = Active::begin(&node.kernel);
                tokio::spawn(async move {
                    let value = evaluate(&node, &active, Some(&to.node), function).await;
                    let reply = Term::tuple([Term::atom("rex"), value]);
                    node.answer_from(&pid, &to, &reply).await;
                    drop(active);
                });
            }
        },
        [kind, Term::Tuple(request)] if kind.is_atom("$gen_cast") => {
            let Some(function) = function(request, &["cast"]) else { return };
            // A cast does not say who sends it; what it prints goes to its sender's group leader.
            let caller = match request.last() {
                Some(Term::Pid(group_leader)) => Some(group_leader.node.clone()),
                _ => None,
            };
            let node = process.inner().clone();
            let active = Active::begin(&node.kernel);
            tokio::spawn(async move {
                evaluate(&node, &active, caller.as_ref(), function).await;
                drop(active);
            });
        }
        _ => {}
    }
}

struct Function {
    module: Term,
    function: Term,
    arguments: Term,
}

/// The function in `{Kind, Module, Function, Arguments, GroupLeader}`.
fn function(parts: &[Term], kinds: &[&str]) -> Option<Function> {
    match parts {
        [kind, module, function, arguments, _] if kinds.iter().any(|name| kind.is_atom(name)) => {
            Some(Function { module: module.clone(), function: function.clone(), arguments: arguments.clone() })
        }
        _ => None,
    }
}

/// The value, or `{badrpc, Reason}`; for a call that is not taken, what `rpc` makes of such a spawn request.
async fn evaluate(
    node: &Arc<Inner>,
    active: &Result<Active, Refused>,
    caller: Option<&Atom>,
    function: Function,
) -> Term {
    match active {
        Ok(_) => {}
        Err(Refused::Draining) => return Term::tuple([Term::atom("badrpc"), Term::atom("nodedown")]),
        Err(Refused::Busy) => return badrpc(Exception::exit(Term::atom("system_limit"))),
    }
    let applied = match (function.module, function.function) {
        (Term::Atom(module), Term::Atom(name)) => {
            apply(&node.kernel, caller, module, name, Arguments::new(RawTerm::encoded_from(&function.arguments)))
        }
        (module, name) => refuse_apply(caller, module, name, function.arguments),
    };
    match applied.await {
        Ok(value) => {
            let value = RawTerm::from(value).decode_with(&Limits::NONE);
            value.unwrap_or_else(|error| badrpc(Exception::error(Term::from(error.to_string()))))
        }
        Err(exception) => badrpc(exception),
    }
}

fn send(process: &Process, to: Destination, message: Term) {
    let (node, pid) = (process.inner().clone(), process.pid().clone());
    tokio::spawn(async move {
        let _ = node.send_from(&pid, to.address(&node.kernel.identity), Payload::Term(&message)).await;
    });
}

fn answer(process: &Process, to: &Pid, answer: Term) {
    let (node, pid, to) = (process.inner().clone(), process.pid().clone(), to.clone());
    tokio::spawn(async move { node.answer_from(&pid, &to, &answer).await });
}
