//! Calls with an invalid module, function or arguments: the answer is a BEAM's.

use crate::stage::{Stage, eval, expect, export};
use peerl_node::Node;
use peerl_test_support::{Beam, matrix};

/// Calls of the node `W`, whose answers are the same to the last stack frame.
const CALLS: [&str; 26] = [
    "rpc:call(W, timer, sleep, [a | b])",
    "rpc:call(W, nomod, nofun, [1, 2 | 3])",
    "rpc:call(W, timer, sleep, ok)",
    "rpc:call(W, timer, sleep, #{})",
    "rpc:call(W, timer, sleep, <<1, 2>>)",
    "erpc:call(W, timer, sleep, [a | b])",
    "erpc:call(W, nomod, nofun, [{x}, \"y\" | <<\"z\">>])",
    "erpc:call(W, timer, sleep, #{a => 1})",
    "erpc:call(W, timer, sleep, 17)",
    "erpc:call(W, erlang, apply, [timer, sleep, [a | b]])",
    "erpc:call(W, erlang, apply, [timer, sleep, <<\"a\">>])",
    "erpc:call(W, erlang, apply, [\"timer\", sleep, #{}])",
    "erpc:call(W, erlang, apply, [fun timer:sleep/1, [a | b]])",
    "erpc:call(W, erlang, apply, [fun timer:sleep/1, [1, 2]])",
    "erpc:call(W, erlang, apply, [17, [1, 2]])",
    "erpc:multicall([W], timer, sleep, [a | b])",
    "rpc:multicall([W], timer, sleep, [a | b])",
    "spawn_monitor(W, timer, sleep, [a | b])",
    "rpc:block_call(W, timer, sleep, [a | b])",
    "gen_server:call({rex, W}, {block_call, timer, sleep, #{}, group_leader()})",
    "gen_server:call({rex, W}, {block_call, timer, sleep, <<\"x\">>, group_leader()})",
    "gen_server:call({rex, W}, {block_call, 1, sleep, [], group_leader()})",
    "gen_server:call({rex, W}, {call, timer, \"sleep\", 7, group_leader()})",
    "begin {rex, W} ! {self(), {call, timer, sleep, [a | b], user}}, receive {rex, V} -> V end end",
    "begin {rex, W} ! {self(), {call, {}, sleep, #{}, user}}, receive {rex, V} -> V end end",
    "rpc:async_call(W, timer, sleep, [a | b]) =/= none",
];

/// Spawned functions at `W`, and the first frame of the stack of their exit reason: a BEAM's has further frames.
const SPAWNS: [&str; 13] = [
    "erlang, apply, [timer, sleep, [a | b]]",
    "erlang, apply, [timer, sleep, #{}]",
    "erlang, apply, [timer, sleep, <<1>>]",
    "erlang, apply, [1, sleep, []]",
    "erpc, execute_call, [id, timer, sleep, [a | b]]",
    "erpc, execute_call, [{17}, timer, sleep, #{}]",
    "erpc, execute_call, [<<\"id\">>, timer, sleep, <<1>>]",
    "erpc, execute_call, [id, 1, sleep, []]",
    "erpc, execute_call, [id, timer, \"x\", [1]]",
    "erpc, execute_call, [1, 2, 3, 4]",
    "erpc, execute_call, [1, 2, 3, 4, 5]",
    "erpc, execute_cast, [timer, sleep, [a | b]]",
    "erpc, execute_cast, [1, 2, 3]",
];

/// A module of the caller's that the worker lacks.
const FUNS: &str = "-module(funs). -export([nothing/0, one/0, bound/1]).
    nothing() -> fun() -> ok end.
    one() -> fun(X) -> X end.
    bound(Y) -> fun() -> Y end.";

/// Calls of funs that cannot run.
const FUN_CALLS: [&str; 11] = [
    "erpc:call(W, funs:nothing())",
    "erpc:call(W, funs:bound({a, <<1>>}), 5000)",
    "erpc:call(W, erlang, apply, [funs:one(), [1]])",
    "erpc:call(W, erlang, apply, [funs:one(), []])",
    "erpc:call(W, erlang, apply, [funs:one(), [1 | 2]])",
    "rpc:call(W, erlang, apply, [funs:one(), [x]])",
    "rpc:call(W, erlang, apply, [funs:nothing(), [x]])",
    "erpc:multicall([W], funs:nothing())",
    "begin {_, R} = spawn_monitor(W, funs:nothing()), receive {'DOWN', R, _, _, E} -> E end end",
    "begin {_, R} = spawn_monitor(W, funs:bound(7)), receive {'DOWN', R, _, _, E} -> E end end",
    "begin {_, R} = spawn_monitor(W, erlang, apply, [funs:one(), []]), receive {'DOWN', R, _, _, E} -> E end end",
];

fn at(expression: &str, node: &str) -> String {
    format!("W = {node}, try {{value, {expression}}} catch Class:Reason -> {{Class, Reason}} end",)
}

fn spawned(call: &str) -> String {
    format!(
        "begin
            First = fun({{E, [{{M, F, A, _}} | _]}}) when is_atom(M) -> {{E, M, F, A}}; (Other) -> Other end,
            {{_, R}} = spawn_monitor(W, {call}),
            receive {{'DOWN', R, _, _, {{{{exception, E}}, [_]}}}} -> {{exception, First(E)}}; {{'DOWN', R, _, _, E}} -> First(E) end
         end"
    )
}

async fn compare(caller: &Beam, worker: &Beam, node: &Node, expression: &str) {
    let expected = eval(caller, node, &at(expression, &format!("'{}'", worker.name()))).await;
    let answered = eval(caller, node, &at(expression, "NODE")).await;
    let expected = expected.replace(worker.name(), "W");
    assert_eq!(answered.replace(node.name().as_str(), "W"), expected, "{expression}, OTP {}", caller.otp().number());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_calls_are_answered_as_by_a_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let (caller, worker, node) = (stage.beam(otp).await, stage.beam(otp).await, stage.node().await);
        for call in CALLS {
            compare(&caller, &worker, &node, call).await;
        }
        caller.load_module(FUNS).unwrap();
        for call in FUN_CALLS {
            compare(&caller, &worker, &node, call).await;
        }
        for call in SPAWNS {
            compare(&caller, &worker, &node, &spawned(call)).await;
        }
        expect(&caller, &node, "net_adm:ping(NODE)", "pong").await;
    }
}

/// The reply to a spawn request comes before anything that the spawned function sends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_spawn_reply_comes_first() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let process = std::sync::Arc::new(node.process());
    node.export("rust", "tell", move |(to, what): (peerl_node::Pid, peerl_node::Term)| {
        let process = process.clone();
        async move {
            process.send_term(to, &what).await.unwrap();
            Ok::<_, peerl_node::Exception>(peerl_node::Atom::from_static("told"))
        }
    })
    .unwrap();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        // Spawned alone, linked, monitored, and many at a time.
        for options in ["", "link", "monitor", "link, monitor"] {
            let told = format!(
                "process_flag(trap_exit, true),
                 Next = fun Next() ->
                     receive {{'EXIT', _, normal}} -> Next(); {{'DOWN', _, _, _, normal}} -> Next(); M -> M end
                 end,
                 [begin
                     R = spawn_request(NODE, rust, tell, [self(), N], [{options}]),
                     {{spawn_reply, R, ok, _}} = Next(),
                     N = Next()
                  end || N <- lists:seq(1, 100)],
                 Rs = [spawn_request(NODE, rust, tell, [self(), {{N}}], [{options}]) || N <- lists:seq(1, 100)],
                 Take = fun Take(0, Replies, _) -> Replies;
                            Take(Left, Replies, Told) ->
                     case Next() of
                         {{spawn_reply, _, ok, _}} -> Take(Left, Replies + 1, Told);
                         {{_}} when Told < Replies -> Take(Left - 1, Replies, Told + 1);
                         {{_}} -> too_soon
                     end
                 end,
                 {{length(Rs), Take(100, 0, 0)}}"
            );
            expect(&beam, &node, &told, "{100,100}").await;
        }
        // A process that is still running exists when its pid is known.
        let ended = "{P, R} = spawn_monitor(NODE, rust, sleep, [60000]), exit(P, enough),
                     receive {'DOWN', R, process, P, Reason} -> Reason end";
        expect(&beam, &node, ended, "enough").await;
        expect(&beam, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
    }
}

/// As long as a message may be without a lease: the work is in proportion to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_itself_and_kinds_that_are_asked_for_again_and_again() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        let nested = "A = lists:foldl(fun(_, A) -> [erlang, apply, A] end, [erlang, node, []], lists:seq(1, 3000)),
                      [Call(NODE, erlang, apply, A) =:= NODE || Call <- [fun erpc:call/4, fun rpc:block_call/4]]";
        expect(&beam, &node, nested, "[true,true]").await;
        let kinds = "erpc:call(NODE, erlang, nodes, [lists:append(lists:duplicate(10000, [connected, this]))])
                     =:= lists:sort([node(), NODE])";
        expect(&beam, &node, kinds, "true").await;
        let keys = "try erpc:call(NODE, erlang, memory, [lists:duplicate(10000, total)]) catch error:{exception, Why, _} -> Why end";
        expect(&beam, &node, keys, "system_limit").await;
    }
}
