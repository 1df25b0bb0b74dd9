//! What `rpc` and `erpc` do with many nodes, with messages, and in `rex`.
//!
//! | Erlang | here |
//! |---|---|
//! | `erpc:call/4,5`, `rpc:call/4,5` | [`Node::call`], [`timeout`](peerl_node::Call::timeout) |
//! | `erpc:cast/4`, `rpc:cast/4` | [`Node::cast`] |
//! | `erpc:multicall/4,5`, `rpc:multicall` | [`Node::multicall`] |
//! | `erpc:multicast/4`, `rpc:eval_everywhere/4` | [`multicast`] |
//! | `erpc:send_request/4`, `receive_response`, `wait_response`, `check_response`; `rpc:async_call`, `yield`, `nb_yield` | [`Request`](crate::Request) |
//! | `erpc:reqids_new/0` and its kin | [`Requests`](crate::Requests) |
//! | `rpc:block_call/4` | [`block_call`] |
//! | `rpc:server_call/4`, `multi_server_call/3` | [`server_call`], [`multi_server_call`] |
//! | `rpc:abcast/3`, `sbcast/3` | [`abcast`], [`sbcast`] |
//! | `rpc:parallel_eval/1`, `pmap/3` | [`Node::pmap`] |
//! | `rpc:pinfo/2` | [`block_call`] of `erlang:process_info/2` |
//!
//! Erlang docs: kernel, [`rpc`](https://www.erlang.org/doc/apps/kernel/rpc.html) and
//! [`erpc`](https://www.erlang.org/doc/apps/kernel/erpc.html).

use futures::FutureExt;
use futures::future::join_all;
use peerl_node::{Atom, CallError, Class, Exception, Message, Mfa, Node, NodeName, Term};
use peerl_term::AtomError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::ServerRef;

/// Has several peers call a function, and does not wait for them, like `erpc:multicast/4`. A peer that cannot be reached calls
/// nothing.
pub async fn multicast(node: &Node, peers: &[NodeName], mfa: &Mfa) {
    join_all(peers.iter().map(|peer| node.cast(peer, mfa.clone()))).await;
}

/// Calls a function in the process `rex` of a peer, one after another with all such calls, like `rpc:block_call/4`.
///
/// # Errors
/// As [`Node::call`].
pub async fn block_call<T: DeserializeOwned>(node: &Node, peer: &NodeName, mfa: &Mfa) -> Result<T, CallError> {
    let request = Term::tuple([
        Term::atom("block_call"),
        mfa.module().clone().into(),
        mfa.function().clone().into(),
        mfa.arguments().decode()?,
        node.group_leader().clone().into(),
    ]);
    let value: Term = node.gen_call(("rex", peer), &request).await?;
    match value.as_tuple() {
        Some([bad, reason]) if bad.is_atom("badrpc") => Err(failure(reason)),
        _ => Ok(peerl_term::serde::from_term(&value)?),
    }
}

/// What the reason of a `{badrpc, Reason}` means.
fn failure(reason: &Term) -> CallError {
    match reason.as_tuple() {
        Some([kind, exit]) if kind.is_atom("EXIT") => match exit.as_tuple() {
            Some([error, stack @ Term::List(_)]) => {
                CallError::Exception(Exception { class: Class::Error, reason: error.clone(), stack: stack.clone() })
            }
            _ => CallError::Exception(Exception::exit(exit.clone())),
        },
        _ if reason.is_atom("nodedown") => CallError::NodeDown,
        _ => CallError::Erpc(reason.clone()),
    }
}

/// Sends `{Pid, Request}` to the process of this name at a peer, and waits for `{Wrapper, Node, Reply}`, like
/// `rpc:server_call/4`.
///
/// # Errors
/// If there is no such process ([`CallError::Signal`] with `noproc`), it ends, or the reply is of another type.
pub async fn server_call<T: DeserializeOwned>(
    node: &Node,
    peer: &NodeName,
    name: &str,
    wrapper: &str,
    request: &impl Serialize,
) -> Result<T, CallError> {
    let (name, request) = (atom(name)?, peerl_term::serde::to_term(request)?);
    let reply = exchange(node, peer, name, request, |parts| match parts {
        [Term::Atom(marked), Term::Atom(from), reply] if *marked == wrapper && from.as_str() == peer.as_str() => {
            Some(reply.clone())
        }
        _ => None,
    });
    Ok(peerl_term::serde::from_term(&reply.await?)?)
}

/// Calls the processes of this name at several peers as [`server_call`] does, with the name as the wrapper, like
/// `rpc:multi_server_call/3`. Gives the replies, and the peers without one.
///
/// # Errors
/// If the request cannot be a term, or the name is too long for an atom.
pub async fn multi_server_call<T: DeserializeOwned>(
    node: &Node,
    peers: &[NodeName],
    name: &str,
    request: &impl Serialize,
) -> Result<(Vec<T>, Vec<NodeName>), CallError> {
    atom(name)?;
    let request = peerl_term::serde::to_term(request)?;
    let calls = peers.iter().map(|peer| server_call(node, peer, name, name, &request).map(move |reply| (peer, reply)));
    let (mut replies, mut bad_nodes) = (Vec::new(), Vec::new());
    for (peer, reply) in join_all(calls).await {
        match reply {
            Ok(reply) => replies.push(reply),
            Err(_) => bad_nodes.push(peer.clone()),
        }
    }
    Ok((replies, bad_nodes))
}

/// Sends a message to the processes of this name at several peers, like `rpc:abcast/3`. Nothing tells whether it arrives.
///
/// # Errors
/// If the name is too long for an atom.
pub async fn abcast(
    node: &Node,
    peers: &[NodeName],
    name: &str,
    message: &(impl Serialize + Sync),
) -> Result<(), AtomError> {
    let name = Atom::new(name)?;
    let servers: Vec<_> = peers.iter().map(|peer| ServerRef::new(node, (name.clone(), peer.clone()))).collect();
    join_all(servers.iter().map(|server| server.send(message))).await;
    Ok(())
}

/// Sends a message to the processes of this name at several peers, and waits until it has arrived, like `rpc:sbcast/3`. Gives
/// the peers that have such a process, and the others.
///
/// # Errors
/// If the message cannot be a term, or the name is too long for an atom.
pub async fn sbcast(
    node: &Node,
    peers: &[NodeName],
    name: &str,
    message: &impl Serialize,
) -> Result<(Vec<NodeName>, Vec<NodeName>), CallError> {
    let message = peerl_term::serde::to_term(message)?;
    let request = Term::tuple([Term::atom("sbcast"), atom(name)?.into(), message]);
    let sent = peers.iter().map(|peer| {
        let answer = exchange(node, peer, Atom::from_static("rex"), request.clone(), |parts| match parts {
            [rex, Term::Atom(from), result] if rex.is_atom("rex") && from.as_str() == peer.as_str() => {
                Some(result.clone())
            }
            _ => None,
        });
        answer.map(move |answer| (peer, answer.is_ok_and(|result| result.is_atom(peer.as_str()))))
    });
    let (good, bad): (Vec<_>, Vec<_>) = join_all(sent).await.into_iter().partition(|(_, arrived)| *arrived);
    let names = |peers: Vec<(&NodeName, bool)>| peers.into_iter().map(|(peer, _)| peer.clone()).collect();
    Ok((names(good), names(bad)))
}

/// Sends `{Pid, Request}` to a name at a peer, and waits for a message that is the answer.
async fn exchange(
    node: &Node,
    peer: &NodeName,
    name: Atom,
    request: Term,
    answer: impl Fn(&[Term]) -> Option<Term>,
) -> Result<Term, CallError> {
    let mut process = node.process();
    let monitor = process.monitor((name.clone(), peer.clone())).await;
    let message = Term::tuple([process.pid().clone().into(), request]);
    // A peer that cannot be reached is told by the monitor.
    let _ = process.send_term((name, peer.clone()), &message).await;
    loop {
        match process.receive().await.map_err(|ended| CallError::Signal(ended.reason))? {
            Message::User(payload) => {
                let message = payload.decode()?;
                if let Some(answer) = message.as_tuple().and_then(&answer) {
                    return Ok(answer);
                }
            }
            Message::Down(down) if down.reference == monitor => {
                let reason = down.reason.decode()?;
                return Err(if reason.is_atom("noconnection") {
                    CallError::NodeDown
                } else {
                    CallError::Signal(reason)
                });
            }
            _ => {}
        }
    }
}

fn atom(name: &str) -> Result<Atom, CallError> {
    Atom::new(name).map_err(|error| CallError::Decode(serde::ser::Error::custom(error)))
}
