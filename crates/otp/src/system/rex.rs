//! `rex`: the server of `rpc`. Calls by `rpc:call` come as spawn requests nowadays; what is left to it are blocking
//! calls, server broadcasts, and the calls of C nodes.

use peerl_node::{
    Atom, Class, Destination, Exception, GenRequest, Node, PeerCall, Pid, ProcessSender, Refused, ServiceError,
    WeakNode,
};
use peerl_term::{RawTerm, Term};

use super::process::{self, BegunCall, Received, SystemProcess};
use crate::last_element::last_element;

pub(super) fn start(node: &Node) -> Result<Pid, ServiceError> {
    process::start(node, &["rex"], Rex { node: node.downgrade() })
}

struct Rex {
    node: WeakNode,
}

impl SystemProcess for Rex {
    fn handle(&mut self, received: Received<'_>, message: Term) {
        // What comes while the node ends gets no answer.
        let Some(node) = self.node.upgrade() else { return };
        match GenRequest::from_term(message) {
            Ok(call) => answer_call(&node, received, call),
            Err(message) => answer_message(&node, received, message),
        }
    }
}

/// `{block_call, Module, Function, Arguments, GroupLeader}`, and the old `{call, …}`.
fn answer_call(node: &Node, received: Received<'_>, call: GenRequest) {
    let GenRequest { from, request } = call;
    let Some(function) = function(request, &["block_call", "call"]) else { return };
    let rex = received.process.sender();
    match received.begin_call(node) {
        Ok(begun) => received.tasks.spawn(async move {
            let value = evaluate(&begun, function.of_caller(&from.pid, &rex)).await;
            rex.reply_value(&from, &value);
            drop(begun);
        }),
        Err(refused) => drop(rex.reply(&from, &not_taken(refused))),
    }
}

fn answer_message(node: &Node, received: Received<'_>, message: Term) {
    let Some(parts) = message.as_tuple() else { return };
    let own = || Term::from(node.name().as_atom().clone());
    match parts {
        // A peer asks which optional features this node has.
        [Term::Pid(from), request] if request.is_atom("features_request") => {
            let reply = Term::tuple([Term::atom("features_reply"), own(), Term::list([Term::atom("erpc")])]);
            send(node, received, (**from).clone(), reply);
        }
        // `rpc:sbcast`: deliver, and say whether the name is there.
        [Term::Pid(from), Term::Tuple(request)] => match &request[..] {
            [kind, Term::Atom(name), message] if kind.is_atom("sbcast") => {
                let result = if node.whereis(name.as_str()).is_some() {
                    send(node, received, Destination::Name(name.clone()), message.clone());
                    own()
                } else {
                    Term::tuple([Term::atom("nonexisting_name"), name.clone().into()])
                };
                send(node, received, (**from).clone(), Term::tuple([Term::atom("rex"), own(), result]));
            }
            [kind, Term::Atom(name), message] if kind.is_atom("send") => {
                let message = Term::tuple([Term::Pid(from.clone()), message.clone()]);
                send(node, received, Destination::Name(name.clone()), message);
            }
            _ => {
                // A C node's call; the value goes to the process that asked.
                let to = (**from).clone();
                let Some(function) = function(last_element(message), &["call"]) else { return };
                let rex = received.process.sender();
                let tag = Term::atom("rex");
                match received.begin_call(node) {
                    Ok(begun) => received.tasks.spawn(async move {
                        let value = evaluate(&begun, function.of_caller(&to, &rex)).await;
                        let _ = rex.send_value_if_connected(to, &tag, &value).await;
                        drop(begun);
                    }),
                    // Nothing waits to be sent but what is counted.
                    Err(refused) => drop(rex.send_connected(&to, &Term::tuple([tag, not_taken(refused)]))),
                }
            }
        },
        [kind, _] if kind.is_atom("$gen_cast") => {
            let Some(function) = function(last_element(message), &["cast"]) else { return };
            let Ok(begun) = received.begin_call(node) else { return };
            let call = function.call(Some(received.sender().clone()), None, received.process.pid());
            received.tasks.spawn(async move {
                evaluate(&begun, call).await;
                drop(begun);
            });
        }
        _ => {}
    }
}

struct Function {
    module: Term,
    function: Term,
    arguments: Term,
    group_leader: Option<Pid>,
}

impl Function {
    fn of_caller(self, caller: &Pid, rex: &ProcessSender) -> PeerCall {
        self.call(Some(caller.node.clone()), Some(caller.clone()), rex.pid())
    }

    fn call(self, node: Option<Atom>, caller: Option<Pid>, rex: &Pid) -> PeerCall {
        let Self { module, function, arguments, group_leader } = self;
        PeerCall { module, function, arguments, node, caller, group_leader, process: rex.clone() }
    }
}

/// The function in `{Kind, Module, Function, Arguments, GroupLeader}`. The arguments may be large: they are not copied.
fn function(request: Term, kinds: &[&str]) -> Option<Function> {
    let Term::Tuple(parts) = request else { return None };
    match <[Term; 5]>::try_from(parts.into_vec()) {
        Ok([kind, module, function, arguments, leader]) if kinds.iter().any(|name| kind.is_atom(name)) => {
            Some(Function { module, function, arguments, group_leader: leader.as_pid().cloned() })
        }
        _ => None,
    }
}

/// The answer to a call that is not taken: what `rpc` makes of such a spawn request.
fn not_taken(refused: Refused) -> Term {
    match refused {
        Refused::Draining => Term::tuple([Term::atom("badrpc"), Term::atom("nodedown")]),
        Refused::Busy => badrpc(Exception::exit(Term::atom("system_limit"))),
    }
}

/// The value, or `{badrpc, Reason}`. It stays encoded while it waits to be sent: so a large one counts for the caller, and
/// takes no more than that.
async fn evaluate(begun: &BegunCall, call: PeerCall) -> RawTerm {
    // Freed when the value is there: the task may wait long until the caller reads that.
    let value = Box::pin(begun.served.apply(call)).await;
    value.unwrap_or_else(|exception| RawTerm::encoded_from(&badrpc(exception)))
}

/// What `rpc:call` makes of an exception: `{badrpc, {'EXIT', Reason}}`; a thrown value is a value.
fn badrpc(exception: Exception) -> Term {
    let exit = |reason| Term::tuple([Term::atom("badrpc"), Term::tuple([Term::atom("EXIT"), reason])]);
    match exception.class {
        Class::Throw => exception.reason,
        Class::Exit => exit(exception.reason),
        Class::Error => exit(Term::tuple([exception.reason, exception.stack])),
    }
}

/// Sends an answer. Nobody waits for it whose node has gone, and a connection that was just ended on purpose is not to come back.
///
/// A peer that does not read its answers has no more of them waiting than it may have calls.
fn send(node: &Node, received: Received<'_>, to: impl Into<Destination>, message: Term) {
    let Ok(begun) = received.begin_call(node) else { return };
    let (rex, to) = (received.process.sender(), to.into());
    received.tasks.spawn(async move {
        let _ = rex.send_if_connected(to, &message).await;
        drop(begun);
    });
}
