//! `rpc` and `erpc`, from a BEAM to this node and back: every outcome, and many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::stage::{LIMIT, Stage, atom, eval, eventually, expect, export, export_held, message, name};
use futures::StreamExt;
use futures::future::join_all;
use peerl_node::{Atom, CallError, Class, Exception, Mfa, Term};
use peerl_test_support::{conformance, matrix};

/// `Class:Reason` and the stack's first function, of a call that fails.
const CAUGHT: &str = "try CALL of Value -> {value, Value} catch Class:Reason -> {Class, Reason} end";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erpc_to_us() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let caught = |call: &str, value: &'static str| expect(&beam, &node, &CAUGHT.replace("CALL", call), value);

        caught("erpc:call(NODE, rust, add, [1, 2])", "{value,3}").await;
        caught("erpc:call(NODE, rust, fail, [throw])", "{throw,ball}").await;
        caught("erpc:call(NODE, rust, fail, [exit])", "{exit,{exception,gone}}").await;
        caught("erpc:call(NODE, rust, fail, [error])", "{error,{exception,wrong,[{rust,fail,1,[]}]}}").await;
        caught(
            "erpc:call(NODE, rust, fail, [panic])",
            "{error,{exception,{panic,<<\"on purpose\">>},[{rust,fail,1,[]}]}}",
        )
        .await;
        caught("erpc:call(NODE, rust, none, [1])", "{error,{exception,undef,[{rust,none,[1],[]}]}}").await;
        caught("erpc:call(NODE, rust, add, [1])", "{error,{exception,undef,[{rust,add,[1],[]}]}}").await;
        caught("erpc:call(NODE, os, cmd, [\"id\"])", "{error,{exception,undef,[{os,cmd,[\"id\"],[]}]}}").await;
        expect(
            &beam,
            &node,
            "try erpc:call(NODE, rust, add, [1, b]) catch error:{exception, badarg, [{rust, add, 2, [{error_info, Info}]}]} -> Info end",
            "#{cause => {badarg,<<\"argument 2: invalid type: string \\\"b\\\", expected i64\">>}}",
        )
        .await;
        caught("erpc:call(NODE, rust, sleep, [60000], 50)", "{error,{erpc,timeout}}").await;
        caught("erpc:call(NODE, erlang, apply, [fun rust:add/2, [3, 4]])", "{value,7}").await;
        caught("erpc:call('nobody@127.0.0.1', rust, add, [1, 2])", "{error,{erpc,noconnection}}").await;
        expect(
            &beam,
            &node,
            "{error, {exception, undef, [{F, [], []} | _]}} = element(2, {ok, try erpc:call(NODE, fun() -> 1 end) catch C:R -> {C, R} end}), is_function(F)",
            "true",
        )
        .await;

        // The answer to a call that timed out is dropped.
        expect(
            &beam,
            &node,
            "catch erpc:call(NODE, rust, sleep, [20], 0), receive X -> X after 100 -> none end",
            "none",
        )
        .await;

        // Requests and their collections.
        expect(
            &beam,
            &node,
            "Rs = [erpc:send_request(NODE, rust, add, [N, N]) || N <- lists:seq(1, 100)],
             lists:sum([erpc:receive_response(R) || R <- Rs])",
            "10100",
        )
        .await;
        expect(
            &beam,
            &node,
            "erpc:multicall([NODE, node(), NODE, 'nobody@127.0.0.1'], erlang, get_cookie, [])
                =:= [{error, {exception, undef, [{erlang, get_cookie, [], []}]}}, {ok, erlang:get_cookie()},
                     {error, {exception, undef, [{erlang, get_cookie, [], []}]}}, {error, {erpc, noconnection}}]",
            "true",
        )
        .await;
        expect(&beam, &node, "erpc:multicall([NODE, NODE], rust, add, [2, 2])", "[{ok,4},{ok,4}]").await;
        conformance::holds(otp, [47, 49]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rpc_to_us() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, other) = (stage.node().await, stage.node().await);
        export(&node);
        export(&other);
        let beam = stage.beam(otp).await;
        let expect = |expression: &str, value: &'static str| {
            let expression = expression.replace("OTHER", &format!("'{}'", other.name()));
            expect(&beam, &node, &expression, value)
        };
        expect("rpc:call(NODE, rust, add, [1, 2])", "3").await;
        expect("rpc:call(NODE, rust, fail, [throw])", "ball").await;
        expect("rpc:call(NODE, rust, fail, [exit])", "{badrpc,{'EXIT',gone}}").await;
        expect("rpc:call(NODE, rust, fail, [error])", "{badrpc,{'EXIT',{wrong,[{rust,fail,1,[]}]}}}").await;
        expect("rpc:call(NODE, a, b, [c])", "{badrpc,{'EXIT',{undef,[{a,b,[c],[]}]}}}").await;
        expect("rpc:call(NODE, rust, sleep, [60000], 30)", "{badrpc,timeout}").await;
        expect("rpc:call('nobody@127.0.0.1', rust, add, [1, 2])", "{badrpc,nodedown}").await;
        expect("rpc:block_call(NODE, rust, add, [1, 2])", "3").await;
        expect("rpc:block_call(NODE, rust, fail, [error])", "{badrpc,{'EXIT',{wrong,[{rust,fail,1,[]}]}}}").await;
        expect("rpc:multicall([NODE, OTHER], rust, add, [1, 2])", "{[3,3],[]}").await;
        expect(
            "rpc:multicall([NODE, 'nobody@127.0.0.1', OTHER], rust, add, [1, 2], 20000)",
            "{[3,3],['nobody@127.0.0.1']}",
        )
        .await;
        expect("K = rpc:async_call(NODE, rust, add, [5, 6]), rpc:yield(K)", "11").await;
        expect("K = rpc:async_call(NODE, rust, sleep, [60000]), rpc:nb_yield(K, 20)", "timeout").await;
        // These go to all connected nodes, and to the BEAM itself.
        beam.load_module("-module(rust). -export([add/2]). add(A, B) -> A + B.").unwrap();
        expect(
            "rpc:parallel_eval([{rust, add, [N, N]} || N <- lists:seq(1, 20)]) =:= [2 * N || N <- lists:seq(1, 20)]",
            "true",
        )
        .await;
        expect("rpc:pmap({rust, add}, [1], lists:seq(1, 20)) =:= lists:seq(2, 21)", "true").await;

        // Named processes.
        let server = node.process();
        server.register(Atom::from_static("server")).unwrap();
        let server_node = atom(node.name().as_str());
        let inner = node.clone();
        let task = crate::stage::run(server, move |server, message| {
            let Some([Term::Pid(from), request]) = message.as_tuple() else { return };
            let reply = Term::tuple([Term::atom("server"), server_node.clone(), request.clone()]);
            let (node, from) = (inner.clone(), (**from).clone());
            let _ = server;
            tokio::spawn(async move { node.process().send_term(&from, &reply).await.unwrap() });
        });
        expect("rpc:multi_server_call([NODE], server, hello)", "{[hello],[]}").await;
        expect("rpc:multi_server_call([NODE, OTHER], server, hello) =:= {[hello], [OTHER]}", "true").await;
        expect("rpc:server_call(NODE, server, server, hello)", "hello").await;
        let mut listener = node.process();
        listener.register(Atom::from_static("listener")).unwrap();
        expect("rpc:sbcast([NODE, OTHER], listener, news) =:= {[NODE], [OTHER]}", "true").await;
        expect("rpc:abcast([NODE, OTHER], listener, more_news)", "abcast").await;
        assert_eq!(message(&mut listener).await, Term::atom("news"));
        assert_eq!(message(&mut listener).await, Term::atom("more_news"));

        // Casts.
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        node.export("rust", "count", move |(by,): (usize,)| {
            counter.fetch_add(by, Ordering::SeqCst);
            async { Ok::<_, Exception>(()) }
        })
        .unwrap();
        expect("rpc:cast(NODE, rust, count, [1]), erpc:cast(NODE, rust, count, [10]), erpc:multicast([NODE, OTHER], rust, count, [100])", "ok").await;
        eventually("all casts", || calls.load(Ordering::SeqCst) == 111).await;

        let features =
            "{rex, NODE} ! {self(), features_request}, receive {features_reply, NODE, Features} -> Features end";
        expect(features, "[erpc]").await;

        // As C nodes call: `rex ! {Self, {call, ...}}`, and the forms of old releases.
        expect("{rex, NODE} ! {self(), {call, rust, add, [1, 2], user}}, receive {rex, V} -> V end", "3").await;
        expect("gen_server:call({rex, NODE}, {call, rust, add, [1, 2], group_leader()})", "3").await;
        task.abort();
        conformance::holds(otp, [47, 49, 50, 52]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_to_the_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.hidden().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let call = async |module: &str, function: &str, arguments: Vec<Term>| {
            let mfa = Mfa::with_terms(Atom::new(module).unwrap(), Atom::new(function).unwrap(), arguments);
            node.call::<Term>(&peer, mfa).timeout(LIMIT).await
        };
        let exception = |result| match result {
            Err(CallError::Exception(exception)) => exception,
            other => panic!("{other:?}"),
        };
        assert_eq!(call("erlang", "+", vec![1.into(), 2.into()]).await.unwrap(), Term::from(3));
        for class in [Class::Throw, Class::Exit, Class::Error] {
            let name = format!("{class:?}").to_lowercase();
            let failed = exception(call("erlang", &name, vec![Term::from("why")]).await);
            assert_eq!((failed.class, failed.reason), (class, Term::from("why")));
        }
        let undef = exception(call("no", "such", vec![1.into()]).await);
        let entry = Term::tuple([atom("no"), atom("such"), Term::list([1.into()]), Term::nil()]);
        assert_eq!((undef.class, undef.reason, undef.stack), (Class::Error, atom("undef"), Term::list([entry])));
        let badarith = exception(call("erlang", "+", vec![1.into(), atom("a")]).await);
        assert_eq!(badarith.reason, atom("badarith"));
        assert!(badarith.stack.as_list().is_some_and(|stack| !stack.is_empty()));

        let killed = call("erlang", "apply", vec![fun("erlang", "exit", 2), Term::list([])]).await;
        assert!(matches!(killed, Err(CallError::Exception(_))), "{killed:?}");
        let suicide = "kill_caller() -> exit(self(), kill), receive after infinity -> ok end.";
        beam.load_module(&format!("-module(suicide). -export([kill_caller/0]). {suicide}")).unwrap();
        let killed = call("suicide", "kill_caller", vec![]).await;
        let Err(CallError::Signal(reason)) = killed else { panic!("{killed:?}") };
        assert_eq!(reason, atom("killed"));

        let wrong_type = node.call::<u8>(&peer, Mfa::new("erlang", "node", ()).unwrap()).await;
        assert!(matches!(wrong_type, Err(CallError::Decode(_))), "{wrong_type:?}");
        let slow = node.call::<Term>(&peer, Mfa::new("timer", "sleep", (60_000,)).unwrap());
        assert!(matches!(slow.timeout(Duration::from_millis(30)).await, Err(CallError::Timeout(_))));

        node.cast(
            &peer,
            Mfa::with_terms(
                atom_of("erlang"),
                atom_of("register"),
                vec![atom("cast_came"), call("erlang", "whereis", vec![atom("init")]).await.unwrap()],
            ),
        )
        .await
        .unwrap();
        // `init` is registered already, so the cast fails there; nothing fails here.
        node.cast(&peer, Mfa::new("persistent_term", "put", (Atom::from_static("cast"), 1)).unwrap()).await.unwrap();
        beam.wait_for_async("persistent_term:get(cast, none)", "1", LIMIT).await;

        let nobody = "nobody@127.0.0.1".parse().unwrap();
        let results: Vec<Result<Atom, CallError>> =
            node.multicall(&[peer.clone(), nobody, peer.clone()], Mfa::new("erlang", "node", ()).unwrap()).await;
        assert!(matches!(&results[0], Ok(name) if name.as_str() == beam.name()));
        assert!(matches!(&results[1], Err(CallError::Connect(_))));
        assert!(results[2].is_ok());
        conformance::holds(otp, [51]);
    }
}

fn atom_of(name: &str) -> Atom {
    Atom::new(name).unwrap()
}

fn fun(module: &str, function: &str, arity: u8) -> Term {
    peerl_term::ExternalFun { module: atom_of(module), function: atom_of(function), arity }.into()
}

/// Ten thousand calls at once, each way; each gets its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once() {
    const CALLS: u32 = 10_000;
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let calls = (0..CALLS).map(|n| node.call::<u32>(&peer, Mfa::new("erlang", "+", (n, 1)).unwrap()).into_future());
        let sums: Vec<u32> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
        assert!(sums.into_iter().eq(1..=CALLS));

        // Each caller is a separate process, and all calls are pending at once: none returns before all have begun.
        let begun = Arc::new(tokio::sync::Barrier::new(CALLS as usize));
        node.export("rust", "together", move |(n,): (u32,)| {
            let begun = begun.clone();
            async move {
                begun.wait().await;
                Ok::<_, Exception>(n + 1)
            }
        })
        .unwrap();
        let call = format!(
            "S = self(), [spawn(fun() -> S ! {{N, erpc:call(NODE, rust, together, [N])}} end) || N <- lists:seq(1, {CALLS})],
             lists:sum([receive {{N, V}} -> V - N end || _ <- lists:seq(1, {CALLS})])"
        );
        assert_eq!(eval(&beam, &node, &call).await, CALLS.to_string());
        eventually("the end of all calls", || node.calls_served() == 0).await;
    }
}

/// An abandoned call leaves nothing behind, on either side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_given_up() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let monitored = "lists:sum([length([W || W <- element(2, B), node(W) =:= NODE]) || P <- processes(),
                         (B = process_info(P, monitored_by)) =/= undefined])";
        let sleep = || node.call::<Term>(&peer, Mfa::new("timer", "sleep", (60_000,)).unwrap()).into_future();
        let mut calls: Vec<_> = (0..50).map(|_| tokio::spawn(sleep())).collect();
        let server = "register(slow, spawn(fun Loop() -> receive _ -> Loop() end end)), ok";
        eval(&beam, &node, server).await;
        calls.extend((0..50).map(|_| {
            let call = node.gen_call::<Term>(("slow", &peer), &"hello");
            tokio::spawn(call.into_future())
        }));
        beam.wait_for_async(monitored.replace("NODE", &format!("'{}'", node.name())), "100", LIMIT).await;
        for call in &calls {
            call.abort();
        }
        // Dropped even before the peer has reported the spawned process.
        for _ in 0..50 {
            let mut call = sleep();
            assert!(futures::poll!(&mut call).is_pending());
        }
        beam.wait_for_async(monitored.replace("NODE", &format!("'{}'", node.name())), "0", LIMIT).await;

        // A caller of the BEAM that gives up, or dies, leaves no monitor; its call runs to its end.
        let processes = node.process_count();
        let held = export_held(&node, "held");
        let calls =
            "catch erpc:call(NODE, rust, held, [], 0), register(caller, spawn(erpc, call, [NODE, rust, held, []]))";
        expect(&beam, &node, calls, "true").await;
        eventually("both calls", || node.calls_served() == 2).await;
        expect(&beam, &node, "exit(whereis(caller), kill), net_adm:ping(NODE)", "pong").await;
        assert_eq!(node.calls_served(), 2);
        held.add_permits(2);
        eventually("the end of the calls", || node.process_count() == processes && node.calls_served() == 0).await;
        conformance::holds(otp, [48]);
    }
}

/// A draining node accepts no more calls, and finishes pending ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let held = export_held(&node, "held");
        let under_way = eval(&beam, &node, "rpc:call(NODE, rust, held, [])");
        let draining = async {
            eventually("the call", || node.calls_served() == 1).await;
            let draining = tokio::spawn({
                let node = node.clone();
                async move { node.drain().await }
            });
            let refused = "try erpc:call(NODE, rust, add, [1, 2]) catch C:R -> {C, R} end";
            beam.wait_for_async(
                refused.replace("NODE", &format!("'{}'", node.name())),
                "{error,{erpc,noconnection}}",
                LIMIT,
            )
            .await;
            assert!(!draining.is_finished());
            held.add_permits(1);
            draining.await.unwrap();
            node.calls_served()
        };
        let (slept, left) = tokio::join!(under_way, draining);
        assert_eq!((slept.as_str(), left), ("awake", 0));
        assert_eq!(eval(&beam, &node, "net_adm:ping(NODE)").await, "pong");
    }
}

/// A peer cannot make this node serve more calls than it leaves for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_limit() {
    let stage = Stage::new();
    let limits = peerl_node::Limits { calls: 10, ..Default::default() };
    for otp in matrix() {
        let node = stage.builder().limits(limits).start().await.unwrap();
        export(&node);
        let beam = stage.beam(otp).await;
        let calls = "Rs = [erpc:send_request(NODE, rust, sleep, [5000]) || _ <- lists:seq(1, 20)],
                     lists:sort([try erpc:receive_response(R) catch _:{erpc, Why} -> Why end || R <- Rs])";
        let answers = eval(&beam, &node, calls).await;
        assert_eq!((answers.matches("awake").count(), answers.matches("system_limit").count()), (5, 15), "{answers}");
        expect(&beam, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
        // While one peer has all that it can get, in whatever way it asks, another one finds something.
        let greedy = "[rpc:async_call(NODE, rust, sleep, [60000]) || _ <- lists:seq(1, 20)],
                      [catch spawn(NODE, rust, sleep, [60000]) || _ <- lists:seq(1, 20)],
                      [gen_server:send_request({rex, NODE}, {call, rust, sleep, [60000], user}) || _ <- lists:seq(1, 20)], ok";
        expect(&beam, &node, greedy, "ok").await;
        eventually("as many calls as a peer may have", || node.calls_served() == 5).await;
        let other = stage.beam(otp).await;
        expect(&other, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
        expect(&other, &node, "rpc:block_call(NODE, rust, add, [1, 2])", "3").await;
    }
}

/// The BEAM's exit signals end a served call, whose process belongs to this node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_call_ends_with_its_caller() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let ended = "S = self(), C = spawn(fun() -> P = spawn_link(NODE, rust, sleep, [60000]), S ! P, receive after infinity -> ok end end),
                     receive P when is_pid(P) -> ok end, R = monitor(process, P), exit(C, enough),
                     receive {'DOWN', R, process, P, Why} -> Why end";
        expect(&beam, &node, ended, "enough").await;
        eventually("the end of the call", || node.calls_served() == 0).await;
    }
}

/// The same node, called by many tasks of a peerl node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_between_our_nodes() {
    let stage = Stage::new();
    let (client, server) = (stage.node().await, stage.node().await);
    export(&server);
    let mfa = |n: u32| Mfa::new("rust", "add", (n, n)).unwrap();
    let sums: Vec<u32> = futures::stream::iter(0..20_000)
        .map(|n| client.call::<u32>(server.name(), mfa(n)).into_future())
        .buffered(256)
        .map(Result::unwrap)
        .collect()
        .await;
    assert!(sums.into_iter().eq((0..20_000).map(|n| 2 * n)));
    let failed =
        client.call::<Term>(server.name(), Mfa::new("rust", "fail", (Atom::from_static("throw"),)).unwrap()).await;
    assert!(matches!(failed, Err(CallError::Exception(Exception { class: Class::Throw, .. }))));
    let own: u32 = server.call(server.name(), mfa(4)).await.unwrap();
    assert_eq!(own, 8);
}
