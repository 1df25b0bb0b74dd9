//! `rex`: the server of `rpc`. Calls by `rpc:call` come as spawn requests nowadays; what is left to it are blocking
//! calls, server broadcasts, and the calls of C nodes.

use peerl_node::{
    Atom, Class, Destination, Exception, GenRequest, Node, PacedTasks, PeerCall, Pid, Process, ProcessSender, Refused,
    ServedCall, ServiceError, WeakNode,
};
use peerl_term::{Limits, Term};

use super::process::{self, SystemProcess};
use crate::last_element::last_element;

pub(super) fn start(node: &Node) -> Result<Pid, ServiceError> {
    process::start(node, &["rex"], Rex { node: node.downgrade() })
}

struct Rex {
    node: WeakNode,
}

impl SystemProcess for Rex {
    fn handle(&mut self, process: &Process, tasks: &PacedTasks, message: Term) {
        // What comes while the node ends gets no answer.
        let Some(node) = self.node.upgrade() else { return };
        match GenRequest::from_term(message) {
            Ok(call) => answer_call(&node, process, tasks, call),
            Err(message) => answer_message(&node, process, tasks, message),
        }
    }
}

/// `{block_call, Module, Function, Arguments, GroupLeader}`, and the old `{call, …}`.
fn answer_call(node: &Node, process: &Process, tasks: &PacedTasks, call: GenRequest) {
    let GenRequest { from, request } = call;
    let Some(function) = function(request, &["block_call", "call"]) else { return };
    let (rex, active) = (process.sender(), node.begin_call(Some(&from.pid.node)));
    tasks.spawn(async move {
        let value = evaluate(&active, function.of_caller(&from.pid, &rex)).await;
        let _ = rex.reply(&from, &value);
        drop(active);
    });
}

fn answer_message(node: &Node, process: &Process, tasks: &PacedTasks, message: Term) {
    let Some(parts) = message.as_tuple() else { return };
    let own = || Term::from(node.name().as_atom().clone());
    match parts {
        // A peer asks which optional features this node has.
        [Term::Pid(from), request] if request.is_atom("features_request") => {
            let reply = Term::tuple([Term::atom("features_reply"), own(), Term::list([Term::atom("erpc")])]);
            send(process, tasks, (**from).clone(), reply);
        }
        // `rpc:sbcast`: deliver, and say whether the name is there.
        [Term::Pid(from), Term::Tuple(request)] => match &request[..] {
            [kind, Term::Atom(name), message] if kind.is_atom("sbcast") => {
                let result = if node.whereis(name.as_str()).is_some() {
                    send(process, tasks, Destination::Name(name.clone()), message.clone());
                    own()
                } else {
                    Term::tuple([Term::atom("nonexisting_name"), name.clone().into()])
                };
                send(process, tasks, (**from).clone(), Term::tuple([Term::atom("rex"), own(), result]));
            }
            [kind, Term::Atom(name), message] if kind.is_atom("send") => {
                let message = Term::tuple([Term::Pid(from.clone()), message.clone()]);
                send(process, tasks, Destination::Name(name.clone()), message);
            }
            _ => {
                // A C node's call; the value goes to the process that asked.
                let to = (**from).clone();
                let Some(function) = function(last_element(message), &["call"]) else { return };
                let (rex, active) = (process.sender(), node.begin_call(Some(&to.node)));
                tasks.spawn(async move {
                    let value = evaluate(&active, function.of_caller(&to, &rex)).await;
                    let _ = rex.send_if_connected(to, &Term::tuple([Term::atom("rex"), value])).await;
                    drop(active);
                });
            }
        },
        [kind, _] if kind.is_atom("$gen_cast") => {
            let Some(function) = function(last_element(message), &["cast"]) else { return };
            // A cast does not say who sends it; what it prints goes to its sender's group leader.
            let caller = function.group_leader.as_ref().map(|leader| leader.node.clone());
            let active = node.begin_call(caller.as_ref());
            let call = function.call(caller, None, process.pid());
            tasks.spawn(async move {
                evaluate(&active, call).await;
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

/// The value, or `{badrpc, Reason}`; for a call that is not taken, what `rpc` makes of such a spawn request.
async fn evaluate(active: &Result<ServedCall, Refused>, call: PeerCall) -> Term {
    let served = match active {
        Ok(served) => served,
        Err(Refused::Draining) => return Term::tuple([Term::atom("badrpc"), Term::atom("nodedown")]),
        Err(Refused::Busy) => return badrpc(Exception::exit(Term::atom("system_limit"))),
    };
    match served.apply(call).await {
        Ok(value) => {
            let value = value.decode_with(&Limits::NONE);
            value.unwrap_or_else(|error| badrpc(Exception::error(Term::from(error.to_string()))))
        }
        Err(exception) => badrpc(exception),
    }
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
fn send(process: &Process, tasks: &PacedTasks, to: impl Into<Destination>, message: Term) {
    let (rex, to) = (process.sender(), to.into());
    tasks.spawn(async move {
        let _ = rex.send_if_connected(to, &message).await;
    });
}
