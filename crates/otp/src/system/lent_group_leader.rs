//! What becomes of processes of peers that have this node's group leader, when this node goes.
//!
//! A process that a called function spawns has the group leader of its parent: ours. When that is gone, `io:format/2`
//! fails there, and log events are sent to nobody. So before this node ends its links, it has each peer give such processes
//! the group leader of a process that nobody has called from elsewhere: `user`.

use std::time::Duration;

use futures::future::join_all;
use peerl_node::{Atom, Mfa, Node, NodeName};
use peerl_term::Term;
use tokio::time::timeout;

/// How long a peer may take. To look at 100,000 processes takes a scheduler of a BEAM about a tenth of a second.
const LIMIT: Duration = Duration::from_secs(5);

/// While processes are looked at, those not looked at yet may spawn others: it is done again until none is found, so many
/// times at most.
const PASSES: usize = 5;

/// Has all peers at which functions were called give those processes another group leader.
pub(super) async fn take_back(node: &Node) {
    let peers = node.group_leader_lent_to();
    join_all(peers.iter().map(|peer| timeout(LIMIT, take_back_at(node, peer)))).await;
}

async fn take_back_at(node: &Node, peer: &NodeName) {
    let (module, function) = (Atom::from_static("erl_eval"), Atom::from_static("exprs"));
    let ours = Term::tuple([Term::atom("Ours"), node.group_leader().clone().into()]);
    let mfa = Mfa::with_terms(module, function, vec![expressions(), Term::list([ours])]);
    for _ in 0..PASSES {
        // `{value, Count, Bindings}`. A peer without `erl_eval` is no BEAM.
        match node.call(peer, mfa.clone()).if_connected().timeout(LIMIT).await {
            Ok(Term::Tuple(value)) if value.get(1).and_then(Term::as_integer).is_some_and(|count| count > 0) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::debug!(%peer, %error, "processes may keep the group leader of this node");
                return;
            }
        }
    }
}

/// These expressions, in the abstract format: there is no code of ours at the peer. What is done for each process is done
/// by compiled functions.
///
/// ```erlang
/// User = erlang:whereis(user),
/// erlang:group_leader(User, erlang:self()),
/// Pids = erlang:processes(),
/// Heirs = proplists:get_all_values(
///     {group_leader, Ours},
///     lists:zip(
///         lists:zipwith(fun erlang:process_info/2, Pids, lists:duplicate(erlang:length(Pids), group_leader)),
///         Pids)),
/// lists:foreach(fun(Pid) -> catch erlang:group_leader(User, Pid) end, Heirs),
/// erlang:length(Heirs)
/// ```
fn expressions() -> Term {
    let pids = || variable("Pids");
    let infos = call(
        "lists",
        "zipwith",
        [
            form("fun", [form("function", [atom("erlang"), atom("process_info"), form("integer", [Term::from(2)])])]),
            pids(),
            call("lists", "duplicate", [call("erlang", "length", [pids()]), atom("group_leader")]),
        ],
    );
    let key = form("tuple", [Term::list([atom("group_leader"), variable("Ours")])]);
    let heirs = call("proplists", "get_all_values", [key, call("lists", "zip", [infos, pids()])]);
    let change = form("catch", [call("erlang", "group_leader", [variable("User"), variable("Pid")])]);
    let clause = form("clause", [Term::list([variable("Pid")]), Term::nil(), Term::list([change])]);
    // A fun's clauses stand in a tuple of their own, without a line.
    let each = form("fun", [Term::tuple([Term::atom("clauses"), Term::list([clause])])]);
    Term::list([
        bind("User", call("erlang", "whereis", [atom("user")])),
        call("erlang", "group_leader", [variable("User"), call("erlang", "self", [])]),
        bind("Pids", call("erlang", "processes", [])),
        bind("Heirs", heirs),
        call("lists", "foreach", [each, variable("Heirs")]),
        call("erlang", "length", [variable("Heirs")]),
    ])
}

fn form<const N: usize>(kind: &'static str, parts: [Term; N]) -> Term {
    let line = Term::from(1);
    match kind {
        // The only form without a line.
        "function" => Term::tuple([Term::atom(kind)].into_iter().chain(parts)),
        _ => Term::tuple([Term::atom(kind), line].into_iter().chain(parts)),
    }
}

fn atom(name: &'static str) -> Term {
    form("atom", [Term::atom(name)])
}

fn variable(name: &'static str) -> Term {
    form("var", [Term::atom(name)])
}

fn bind(name: &'static str, value: Term) -> Term {
    form("match", [variable(name), value])
}

fn call<const N: usize>(module: &'static str, function: &'static str, arguments: [Term; N]) -> Term {
    form("call", [form("remote", [atom(module), atom(function)]), Term::list(arguments)])
}
