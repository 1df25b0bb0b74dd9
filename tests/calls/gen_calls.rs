//! `gen_server:call` between processes of this node and of a BEAM, both ways; and processes that a BEAM spawns here.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, atom, eval, eventually, expect, export, name, until};
use peerl_node::{Atom, CallError, GenRequest, Node, Term};
use peerl_test_support::{conformance, matrix};
use tokio::task::JoinHandle;

/// A `gen_server` in Rust: `{add, A, B}`, `ignore` (no reply), `stop`, and `state` with the received casts.
fn serve(node: &Node, registered: &'static str) -> JoinHandle<()> {
    let mut process = node.process();
    process.register(Atom::from_static(registered)).unwrap();
    tokio::spawn(async move {
        let mut casts = Vec::new();
        while let Ok(message) = process.receive().await {
            match GenRequest::from_term(message.into_term().unwrap()) {
                Ok(call) => match &call.request {
                    Term::Tuple(add) if add[0].is_atom("add") => {
                        let sum = add[1].as_integer().unwrap() + add[2].as_integer().unwrap();
                        process.reply(&call.from, &sum).unwrap();
                    }
                    Term::Atom(state) if *state == "state" => {
                        process.reply(&call.from, &Term::list(casts.clone())).unwrap();
                    }
                    Term::Atom(stop) if *stop == "stop" => return process.exit(&Term::atom("stopped")),
                    _ => {}
                },
                Err(message) => casts.push(message),
            }
        }
    })
}

/// Larger than a fragment, as a request and as a reply, with a server of the BEAM and one of this node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_and_replies() {
    let large = Term::binary(vec![7; 300_000]);
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let echo = "register(echo, spawn(fun Echo() ->
            receive {'$gen_call', {To, Tag}, Request} -> To ! {Tag, Request}, Echo() end end)), ok";
        expect(&beam, &node, echo, "ok").await;
        let reply: Term = node.gen_call(("echo", &name(&beam)), &large).timeout(LIMIT).await.unwrap();
        assert_eq!(reply, large);

        let mut process = node.process();
        process.register(Atom::from_static("echo")).unwrap();
        let ours = tokio::spawn(async move {
            let call = GenRequest::from_term(process.receive().await.unwrap().into_term().unwrap()).unwrap();
            process.reply(&call.from, &call.request).unwrap();
        });
        let call = "X = binary:copy(<<7>>, 300000), gen_server:call({echo, NODE}, X) =:= X";
        expect(&beam, &node, call, "true").await;
        ours.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beam_calls_our_servers() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        serve(&node, "server");
        let expect = |expression, value| expect(&beam, &node, expression, value);
        expect("gen_server:call({server, NODE}, {add, 1, 2})", "3").await;
        expect("gen_server:call({server, NODE}, {add, 1, 2}, infinity)", "3").await;
        expect("lists:sum([gen_server:call({server, NODE}, {add, N, 0}) || N <- lists:seq(1, 200)])", "20100").await;
        expect("gen_server:receive_response(gen_server:send_request({server, NODE}, {add, 3, 4}), 5000)", "{reply,7}")
            .await;
        expect("gen_server:multi_call([NODE], server, {add, 2, 2}) =:= {[{NODE, 4}], []}", "true").await;
        expect("gen_server:multi_call([NODE], server, {add, 2, 2}, 5000) =:= {[{NODE, 4}], []}", "true").await;
        expect("gen_server:multi_call([NODE], nobody, x) =:= {[], [NODE]}", "true").await;
        expect("gen_statem:call({server, NODE}, {add, 2, 3})", "5").await;
        // An unknown name, a server that does not answer, and one that ends.
        expect("try gen_server:call({nobody, NODE}, x) catch exit:{Why, _} -> Why end", "noproc").await;
        expect("try gen_server:call({server, NODE}, ignore, 50) catch exit:{Why, _} -> Why end", "timeout").await;
        // A late or missing reply does not affect others.
        expect("gen_server:call({server, NODE}, {add, 1, 1})", "2").await;
        expect("gen_server:cast({server, NODE}, one), gen_server:abcast([NODE], server, two), {server, NODE} ! three, gen_server:call({server, NODE}, state)",
            "[{'$gen_cast',one},{'$gen_cast',two},three]").await;
        expect("try gen_server:call({server, NODE}, stop) catch exit:{Why, _} -> Why end", "stopped").await;
        expect("try gen_server:call({server, NODE}, stop) catch exit:{Why, _} -> Why end", "noproc").await;
        expect(
            "try gen_server:call({server, 'nobody@127.0.0.1'}, x) catch exit:{{nodedown, _}, _} -> nodedown end",
            "nodedown",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_call_servers_of_the_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.hidden().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        beam.load_module(
            "-module(server). -export([init/1, handle_call/3, handle_cast/2]).
             init(S) -> {ok, S}.
             handle_call(get, _, S) -> {reply, S, S};
             handle_call(ignore, _, S) -> {noreply, S};
             handle_call({later, V}, From, S) -> spawn(fun() -> timer:sleep(20), gen_server:reply(From, V) end), {noreply, S};
             handle_call(crash, _, _) -> exit(crashed).
             handle_cast(S, _) -> {noreply, S}.",
        )
        .unwrap();
        eval(&beam, &node, "{ok, _} = gen_server:start({local, server}, server, 7, []), ok").await;
        let call = |request: Term| node.gen_call::<Term>(("server", &peer), &request).timeout(LIMIT).into_future();
        assert_eq!(call(atom("get")).await.unwrap(), Term::from(7));
        assert_eq!(call(Term::tuple([atom("later"), Term::from("x")])).await.unwrap(), Term::from("x"));
        let slow = node.gen_call::<Term>(("server", &peer), &Atom::from_static("ignore"));
        assert!(matches!(slow.timeout(Duration::from_millis(50)).await, Err(CallError::Timeout(_))));
        // By pid; a typed reply; earlier messages are handled first.
        let process = node.process();
        let cast = Term::tuple([atom("$gen_cast"), Term::from(8)]);
        process.send_term(("server", &peer), &cast).await.unwrap();
        let typed: u8 = node.gen_call(("server", &peer), &Atom::from_static("get")).await.unwrap();
        assert!(typed == 7 || typed == 8);
        eventually_eight(&node, &peer).await;
        let crashed = call(atom("crash")).await;
        let Err(CallError::Signal(reason)) = crashed else { panic!("{crashed:?}") };
        assert_eq!(reason, atom("crashed"));
        let noproc = call(atom("get")).await;
        let Err(CallError::Signal(reason)) = noproc else { panic!("{noproc:?}") };
        assert_eq!(reason, atom("noproc"));
    }
}

async fn eventually_eight(node: &Node, peer: &peerl_node::NodeName) {
    for _ in 0..1000 {
        if node.gen_call::<u8>(("server", peer), &Atom::from_static("get")).await.unwrap() == 8 {
            return;
        }
    }
    panic!("the cast has not come");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_beam_spawns_here() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let expect = |expression, value| expect(&beam, &node, expression, value);
        expect("P = spawn(NODE, rust, sleep, [10]), node(P) =:= NODE", "true").await;
        expect(
            "{P, R} = spawn_monitor(NODE, rust, add, [1, 2]), receive {'DOWN', R, process, P, Why} -> Why end",
            "normal",
        )
        .await;
        expect(
            "{P, R} = spawn_monitor(NODE, rust, none, [1]), receive {'DOWN', R, process, P, Why} -> Why end",
            "{undef,[{rust,none,[1],[]}]}",
        )
        .await;
        expect(
            "{P, R} = spawn_monitor(NODE, rust, fail, [exit]), receive {'DOWN', R, process, P, Why} -> Why end",
            "gone",
        )
        .await;
        expect(
            "{P, R} = spawn_monitor(NODE, rust, fail, [throw]), receive {'DOWN', R, process, P, {Why, _}} -> Why end",
            "{nocatch,ball}",
        )
        .await;
        expect("process_flag(trap_exit, true), P = spawn_link(NODE, rust, fail, [error]), receive {'EXIT', P, {Why, _}} -> Why end", "wrong").await;
        expect("process_flag(trap_exit, true), P = spawn_link(NODE, rust, sleep, [60000]), exit(P, kill), receive {'EXIT', P, Why} -> Why end", "killed").await;
        expect(
            "process_flag(trap_exit, true), {P, R} = spawn_opt(NODE, rust, sleep, [10], [link, monitor]),
                A = receive {'EXIT', P, _} -> exit; {'DOWN', R, _, _, _} -> down end,
                B = receive {'EXIT', P, _} -> exit; {'DOWN', R, _, _, _} -> down end, {A, B}",
            "{exit,down}",
        )
        .await;
        expect(
            "R = spawn_request(NODE, rust, add, [1, 2], [monitor, {priority, low}, {min_heap_size, 1000}]),
                receive {spawn_reply, R, ok, P} -> receive {'DOWN', R, process, P, Why} -> Why end end",
            "normal",
        )
        .await;
        expect("R = spawn_request(NODE, rust, add, [1, 2], [{reply, error_only}, monitor]), receive {'DOWN', R, process, _, Why} -> Why end", "normal").await;
        expect("R = spawn_request(NODE, rust, add, [1, 2], [{no_such_option, 1}]), receive {spawn_reply, R, error, Why} -> Why end", "badopt").await;
        expect("R = spawn_request(NODE, rust, add, [1, 2], [link, monitor, {reply_tag, tagged}]), receive {tagged, R, ok, P} -> is_pid(P) end", "true").await;
        let unasked = "R = spawn_request(NODE, rust, add, [1, 2], [{reply, no}]), net_adm:ping(NODE),
                receive {spawn_reply, R, _, _} -> reply after 0 -> none end";
        expect(unasked, "none").await;
        eventually("the end of all", || node.calls_served() == 0).await;
        // The group leader of spawned processes is the BEAM's; exit signals concern only the processes.
        expect("net_adm:ping(NODE)", "pong").await;
        eval(&beam, &node, &until("nodes()", &format!("['{}']", node.name()))).await;
        conformance::holds(otp, [31, 39, 40]);
    }
}
