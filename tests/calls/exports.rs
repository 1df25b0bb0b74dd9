//! Exported functions: what their handlers may be, what they know of their calls, and whom a slow one delays.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, eval_with, eventually, expect, export, name, until};
use peerl::{Atom, CallContext, Exception, Functions, Mfa, Node, Pid, Process, RawCall, Term};
use peerl_term::{Encoded, RawTerm};
use peerl_test_support::{Otp, matrix};
use tokio::sync::mpsc;

/// Plain values, and errors of any type.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_and_errors() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        node.export("text", "number", |(text,): (String,)| async move { Ok(text.parse::<i64>()?) }).unwrap();
        node.export("text", "nothing", |()| async { Ok("nothing") }).unwrap();
        node.export("text", "join", |(a, b, c): (String, u8, f64)| async move { Ok(format!("{a} {b} {c}")) }).unwrap();
        let this = node.downgrade();
        node.export("text", "there", move |(module, function): (String, String)| {
            let (node, peer) = (this.upgrade(), peer.clone());
            async move {
                let node = node.ok_or_else(|| Exception::exit(Term::atom("shutdown")))?;
                Ok(node.call::<Term>(&peer, Mfa::new(&module, &function, ("x",))?).await?)
            }
        })
        .unwrap();
        expect(&beam, &node, "erpc:call(NODE, text, number, [<<\"12\">>])", "12").await;
        let fails = "try erpc:call(NODE, text, number, [<<\"x\">>]) catch
                         error:{exception, {failed, <<\"invalid digit found in string\">>}, [{text, number, 1, []}]} -> ok
                     end";
        expect(&beam, &node, fails, "ok").await;
        expect(&beam, &node, "erpc:call(NODE, text, nothing, []) =:= <<\"nothing\">>", "true").await;
        let join = "erpc:call(NODE, text, join, [<<\"a\">>, 2, 0.5]) =:= <<\"a 2 0.5\">>";
        expect(&beam, &node, join, "true").await;
        // The arity is that of the tuple.
        let undef = "try erpc:call(NODE, text, join, [<<\"a\">>]) catch error:{exception, undef, _} -> undef end";
        expect(&beam, &node, undef, "undef").await;
        assert!(node.is_exported(&Atom::from_static("text"), &Atom::from_static("join"), 3));
        // An exception of another node's function is raised here as it was there.
        let relayed = "try erpc:call(NODE, text, there, [<<\"erlang\">>, <<\"throw\">>]) catch throw:X -> X end";
        expect(&beam, &node, relayed, "<<\"x\">>").await;
        let relayed = "try erpc:call(NODE, text, there, [<<\"erlang\">>, <<\"binary_to_atom\">>]) catch C:_ -> C end";
        expect(&beam, &node, relayed, "x").await;
        let relayed = "try erpc:call(NODE, text, there, [<<\"erlang\">>, <<\"hd\">>])
                       catch error:{exception, badarg, [{erlang, hd, [<<\"x\">>], _} | _]} -> badarg end";
        expect(&beam, &node, relayed, "badarg").await;
    }
}

/// What a handler is told of its call.
struct Seen {
    context: CallContext,
    cancelled: mpsc::UnboundedReceiver<()>,
}

/// Exports `rust:wait/0`, which never returns, and `rust:who/0`.
fn export_watched(node: &Node) -> mpsc::UnboundedReceiver<Seen> {
    let (seen, calls) = mpsc::unbounded_channel();
    node.export("rust", "wait", move |context: CallContext, ()| {
        let (tell, cancelled) = mpsc::unbounded_channel();
        seen.send(Seen { context: context.clone(), cancelled }).unwrap();
        tokio::spawn(async move {
            context.cancelled().await;
            let _ = tell.send(());
        });
        std::future::pending::<Result<Term, Exception>>()
    })
    .unwrap();
    node.export("rust", "who", |context: CallContext, ()| async move {
        let pid = |pid: Option<&peerl::Pid>| pid.map_or_else(|| Term::atom("none"), |pid| Term::from(pid.clone()));
        let caller_node = context.caller_node().map(|node| Term::from(node.as_atom().clone()));
        Ok(Term::tuple([
            pid(context.caller()),
            caller_node.unwrap_or_else(|| Term::atom("none")),
            pid(context.group_leader()),
            pid(Some(context.pid())),
            context.node()?.name().as_atom().clone().into(),
        ]))
    })
    .unwrap();
    calls
}

/// A handler knows who calls, and learns when nobody waits for its value any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contexts() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut calls = export_watched(&node);
        let who = "{Caller, CallerNode, Leader, Pid, Node} = CALL, Me = self(),
            {case Caller of Me -> me; _ -> Caller end, CallerNode =:= node(), Leader =:= group_leader(),
             node(Pid) =:= NODE, Node =:= NODE}";
        let by = |call: &str| who.replace("CALL", call);
        expect(&beam, &node, &by("erpc:call(NODE, rust, who, [])"), "{me,true,true,true,true}").await;
        let blocking = by("(fun() -> A = rpc:block_call(NODE, rust, who, []), setelement(1, A, self()) end)()");
        expect(&beam, &node, &blocking, "{me,true,true,true,true}").await;
        let rex = node.whereis("rex").unwrap();
        let is_rex = "element(4, rpc:block_call(NODE, rust, who, [])) =:= Rex";
        assert_eq!(eval_with(&beam, &node, is_rex, [("Rex", rex.into())]).await, "true");
        // This node itself.
        let own: Term = node.call(node.name(), Mfa::new("rust", "who", ()).unwrap()).await.unwrap();
        assert_eq!(own.as_tuple().unwrap()[..3], ["none", "none", "none"].map(Term::atom));

        // Nobody waits: after a time-out, or when the caller has ended.
        let timed_out = "catch erpc:call(NODE, rust, wait, [], 100), ok";
        let killed = "P = spawn(fun() -> erpc:call(NODE, rust, wait, []) end), timer:sleep(200), exit(P, kill), ok";
        // The process that evaluates the function ends: by the link with its parent.
        let linked = "P = spawn(fun() -> spawn_link(NODE, rust, wait, []), timer:sleep(200), exit(enough) end), ok";
        for ends in [timed_out, killed, linked] {
            expect(&beam, &node, ends, "ok").await;
            let mut seen = calls.recv().await.unwrap();
            assert_eq!(seen.context.caller_node(), Some(name(&beam)));
            let told = tokio::time::timeout(LIMIT, seen.cancelled.recv()).await;
            assert_eq!(told, Ok(Some(())), "{ends} on {otp:?}");
            assert!(seen.context.is_cancelled());
        }
        // Who waits is not told.
        let waits = "P = spawn(fun() -> erpc:call(NODE, rust, wait, []) end), register(waits, P), ok";
        expect(&beam, &node, waits, "ok").await;
        let mut seen = calls.recv().await.unwrap();
        expect(&beam, &node, "erpc:call(NODE, rust, who, []), ok", "ok").await;
        assert!(!seen.context.is_cancelled() && seen.cancelled.try_recv().is_err());
        // By messages to `rex`.
        let blocked = "spawn(fun() -> rpc:block_call(NODE, rust, wait, []) end), ok";
        let cast = "gen_server:cast({rex, NODE}, {cast, rust, wait, [], group_leader()})";
        let mut by_message = Vec::new();
        for asks in [blocked, cast] {
            expect(&beam, &node, asks, "ok").await;
            by_message.push(calls.recv().await.unwrap());
        }
        let mut cast = by_message.pop().unwrap();
        by_message.push(seen);
        // The connection ends.
        node.disconnect(&name(&beam));
        for seen in &mut by_message {
            let told = tokio::time::timeout(LIMIT, seen.cancelled.recv()).await;
            assert_eq!(told, Ok(Some(())), "after the connection, on {otp:?}");
            eventually("the context of an ended call", || seen.context.is_cancelled()).await;
        }
        beam.wait_for_async("nodes(connected)", "[]", LIMIT).await;
        // Nobody has waited for the value of a cast.
        expect(&beam, &node, "erpc:call(NODE, rust, who, []), ok", "ok").await;
        assert!(!cast.context.is_cancelled() && cast.cancelled.try_recv().is_err());
    }
}

/// Handlers that read arguments and write values themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_handlers() {
    let stage = Stage::new();
    let node = stage.node().await;
    let beam = stage.beam(Otp::V25).await;
    let shown = |kind: &'static str| {
        move |call: RawCall| async move {
            let arguments = call.arguments.decode()?;
            let function = Term::tuple([call.module.into(), call.function.into(), Term::from(call.arity)]);
            let mut encoded = Encoded::default();
            encoded.put_term(&RawTerm::encoded_from(&Term::tuple([Term::atom(kind), function, arguments])));
            Ok(encoded)
        }
    };
    node.export_raw("store", Functions::All, shown("all")).unwrap();
    node.export_raw("store", Functions::Named("get"), shown("named")).unwrap();
    node.export_raw("store", Functions::Exact("get", 2), shown("exact")).unwrap();
    let call = |function: &str, arguments: &str| format!("erpc:call(NODE, store, {function}, {arguments})");
    expect(&beam, &node, &call("put", "[a, 1]"), "{all,{store,put,2},[a,1]}").await;
    expect(&beam, &node, &call("get", "[]"), "{named,{store,get,0},[]}").await;
    expect(&beam, &node, &call("get", "[a, 1]"), "{exact,{store,get,2},[a,1]}").await;
    expect(&beam, &node, "rpc:block_call(NODE, store, get, [x])", "{named,{store,get,1},[x]}").await;
    expect(&beam, &node, "try erpc:call(NODE, stores, get, []) catch error:{exception, undef, _} -> no end", "no")
        .await;
}

/// A `gen` call that a handler makes in the name of the process that evaluates its function.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_behalf_of_the_evaluating_process() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let tells = "register(tells, spawn(fun Tell() ->
            receive {'$gen_call', {Pid, _} = From, who} -> gen_server:reply(From, Pid), Tell() end
        end)), ok";
        expect(&beam, &node, tells, "ok").await;
        // One of our own, which answers in the same way.
        let process = node.process();
        process.register(Atom::from_static("tells")).unwrap();
        let _tells = crate::stage::run(process, |process, message| {
            let call = peerl::GenRequest::from_term(message).unwrap();
            process.reply(&call.from, &Term::from(call.from.pid.clone())).unwrap();
        });
        node.export("rust", "ask", |context: CallContext, (at,): (String,)| async move {
            // Until it waits, the process of a call is not there.
            tokio::task::yield_now().await;
            let at = at.parse()?;
            let call = context.node()?.gen_call::<Term>(("tells", &at), &Term::atom("who"));
            let told = call.on_behalf_of(context.pid()).await?;
            Ok((told == Term::from(context.pid().clone()), told))
        })
        .unwrap();
        for at in ["node()", "NODE"] {
            let ask = format!(
                "{{Same, Pid}} = erpc:call(NODE, rust, ask, [atom_to_binary({at})]), {{Same, node(Pid) =:= NODE}}"
            );
            expect(&beam, &node, &ask, "{true,true}").await;
        }
    }
}

/// A function that is slow from the first call on delays none of the calls that come with it; and one that was quick and blocks
/// all of a sudden delays them once, however often it is called.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn slow_functions_delay_others_once_alone() {
    const BLOCKS: Duration = Duration::from_secs(1);
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let beam = stage.beam(Otp::V25).await;
    for name in ["slow", "sudden", "single"] {
        node.export("rust", name, |(milliseconds,): (u64,)| async move {
            std::thread::sleep(Duration::from_millis(milliseconds));
            Ok(milliseconds)
        })
        .unwrap();
    }
    // All but `slow` are known to be quick.
    let quick = "[[erpc:receive_response(R) || R <- [erpc:send_request(NODE, rust, F, [0]) || _ <- lists:seq(1, 50)]]
                  || F <- [echo, sudden, single], _ <- lists:seq(1, 4)], ok";
    expect(&beam, &node, quick, "ok").await;
    // How long the echoes take, in milliseconds, that are sent together with two calls of the function.
    let echoes_with = async |function: &str| -> u128 {
        let calls = format!(
            "T = erlang:monotonic_time(millisecond),
             Call = fun(F, A) -> erpc:send_request(NODE, rust, F, [A]) end,
             All = [Call(F, A) || {{F, A}} <- [{{echo, 1}}, {{{function}, 1000}}, {{{function}, 1000}} | lists:duplicate(20, {{echo, 1}})]],
             [First, Slow1, Slow2 | Echoes] = All,
             [1 = erpc:receive_response(R) || R <- [First | Echoes]],
             Took = erlang:monotonic_time(millisecond) - T,
             [1000 = erpc:receive_response(R) || R <- [Slow1, Slow2]],
             Took"
        );
        eval(&beam, &node, &calls).await.parse().unwrap()
    };
    let took = echoes_with("slow").await;
    assert!(took < BLOCKS.as_millis() * 8 / 10, "echoes waited {took} ms for a function that is not known to be quick");
    let took = echoes_with("sudden").await;
    assert!(took < BLOCKS.as_millis() * 18 / 10, "echoes waited {took} ms for a function that blocks one second");
    // From then on it is not quick.
    let took = echoes_with("sudden").await;
    assert!(took < BLOCKS.as_millis() * 8 / 10, "echoes waited {took} ms for a function that has blocked before");
    // Nor is one that blocked when no other call came with it.
    expect(&beam, &node, "erpc:call(NODE, rust, single, [1000])", "1000").await;
    let took = echoes_with("single").await;
    assert!(took < BLOCKS.as_millis() * 8 / 10, "echoes waited {took} ms for a function that has blocked before");
}

/// A function that receives: it tells its pid, sends back what comes until `stop`, and gives the number of messages.
fn export_receiving(node: &Node) {
    node.export("rust", "listen", |mut process: Process, context: CallContext, (to, exits): (Pid, Atom)| async move {
        assert_eq!(process.pid(), context.pid());
        process.trap_exit(exits.as_str() == "trap");
        process.send(&to, &Term::tuple([Term::atom("begun"), process.pid().clone().into()])).await?;
        for number in 0.. {
            // One that is ended by a signal goes no further, whatever it does then.
            let Ok(message) = process.receive().await else { return std::future::pending().await };
            match message.into_term()? {
                stop if stop.is_atom("stop") => return Ok(number),
                fail if fail.is_atom("fail") => return Err(Exception::exit(Term::atom("failed"))),
                other => process.send(&to, &other).await?,
            }
        }
        Err(Exception::badarg())
    })
    .unwrap();
}

/// Its process has a mailbox, links, and an end, as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_receive() {
    let stage = Stage::new();
    for otp in matrix() {
        let (node, beam) = (stage.node().await, stage.beam(otp).await);
        export_receiving(&node);
        let next = "Next = fun() -> receive {'DOWN', _, _, _, Why} -> {down, Why}; Message -> Message end end,";
        // What comes before the function does is kept, in order.
        let spawned = format!(
            "{next} {{P, _}} = spawn_monitor(NODE, rust, listen, [self(), end_]), [P ! N || N <- lists:seq(1, 50)], P ! stop,
             {{begun, P}} = Next(), {{[Next() || _ <- lists:seq(1, 50)] =:= lists:seq(1, 50), Next()}}"
        );
        expect(&beam, &node, &spawned, "{true,{down,normal}}").await;
        let fails = format!(
            "{next} {{P, _}} = spawn_monitor(NODE, rust, listen, [self(), end_]), P ! fail, {{begun, P}} = Next(), Next()"
        );
        expect(&beam, &node, &fails, "{down,failed}").await;
        // Exit signals end it, or are messages.
        let ended = format!(
            "{next} {{P, _}} = spawn_monitor(NODE, rust, listen, [self(), end_]), {{begun, P}} = Next(), exit(P, why), Next()"
        );
        expect(&beam, &node, &ended, "{down,why}").await;
        let traps = format!(
            "{next} Me = self(), {{P, _}} = spawn_monitor(NODE, rust, listen, [Me, trap]), {{begun, P}} = Next(), exit(P, why),
             {{'EXIT', Me, why}} = Next(), exit(P, kill), Next()"
        );
        expect(&beam, &node, &traps, "{down,killed}").await;
        let info = format!(
            "{next} Me = self(), P = spawn_link(NODE, rust, listen, [Me, trap]), {{begun, P}} = Next(),
             [{{current_function, F}}, {{links, [Me]}}] = rpc:call(NODE, erlang, process_info, [P, [current_function, links]]),
             unlink(P), P ! a, P ! stop, {{F, Next(), {}}}",
            until("rpc:call(NODE, erlang, is_process_alive, [P])", "false")
        );
        expect(&beam, &node, &info, "{{rust,listen,2},a,ok}").await;
        // A call has the function's value; by a message, `rex` evaluates it and keeps its own messages.
        for call in ["erpc:call", "rpc:call", "rpc:block_call"] {
            let called = format!(
                "{next} Me = self(), spawn(fun() -> Me ! {{value, {call}(NODE, rust, listen, [Me, end_])}} end),
                 {{begun, P}} = Next(), P ! a, a = Next(), rpc:abcast([NODE], rex, b), P ! stop,
                 {{Next(), P =:= rpc:call(NODE, erlang, whereis, [rex])}}"
            );
            expect(&beam, &node, &called, "{{value,1},false}").await;
        }
        let processes = node.process_count();
        node.export("rust", "listen_and_panic", |_: Process, _: CallContext, ()| async move {
            panic!("on purpose");
            #[expect(unreachable_code, reason = "it has a type")]
            Ok::<(), Exception>(())
        })
        .unwrap();
        let panics =
            format!("{next} spawn_monitor(NODE, rust, listen_and_panic, []), {{down, {{What, _}}}} = Next(), What");
        expect(&beam, &node, &panics, "{panic,<<\"on purpose\">>}").await;
        eventually("the end of all", || node.process_count() == processes).await;
    }
}
