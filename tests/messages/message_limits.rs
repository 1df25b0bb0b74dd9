//! Messages that are too large, and more messages than fit: each fails alone, and the connection continues.

use crate::intruder::{Intruder, fragment};
use crate::stage::{LIMIT, Stage, eval, eval_with, eventually, expect, export, message, name};
use peerl_node::{CallError, ChannelLimits, Limits, Loss, Message, Mfa, Node, NodeDownReason, Nodes, Term};
use peerl_proto::control::Signal;
use peerl_term::{Atom, Reference};
use peerl_test_support::{COOKIE, Otp, ProcessGuard, matrix, peerl_command, unique_name};

const MIB: usize = 1 << 20;

async fn node_of(stage: &Stage, most: usize) -> Node {
    let node = stage.builder().max_message(most).start().await.unwrap();
    export(&node);
    node
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_beam() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = node_of(&stage, MIB).await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let mut process = node.process();
        process.trap_exit(true);
        let watch = "register(watcher, spawn(fun() -> monitor_node(NODE, true), receive M -> exit(M) end end)), net_adm:ping(NODE)";
        expect(&beam, &node, watch, "pong").await;
        let under_way = node.call::<Atom>(&peer, Mfa::new("timer", "sleep", (1500,)).unwrap());
        let under_way = tokio::spawn(std::future::IntoFuture::into_future(under_way));
        let theirs = "Self = self(), spawn(fun() -> Self ! {slept, erpc:call(NODE, rust, sleep, [1500])} end), ok";
        expect(
            &beam,
            &node,
            &format!(
                "register(sleeper, spawn(fun() -> {theirs}, receive {{slept, _}} = S -> receive {{ask, F}} -> F ! S end end end)), ok"
            ),
            "ok",
        )
        .await;

        // Calls.
        let large = "catch erpc:call(NODE, rust, echo, [binary:copy(<<7>>, 3 bsl 20)])";
        assert_eq!(
            eval(&beam, &node, &format!("{{'EXIT', {{Why, _}}}} = ({large}), Why")).await,
            "{erpc,system_limit}"
        );
        let large = "rpc:call(NODE, rust, echo, [binary:copy(<<7>>, 2 bsl 20)])";
        assert_eq!(eval(&beam, &node, large).await, "{badrpc,{'EXIT',system_limit}}");
        let fits = "byte_size(erpc:call(NODE, rust, echo, [binary:copy(<<7>>, 1000000)]))";
        expect(&beam, &node, fits, "1000000").await;

        // Messages; the atoms of the lost one are known to the next.
        let send = "P ! {courgette, binary:copy(<<7>>, 2 bsl 20)}, P ! [courgette, aubergine], ok";
        eval_with(&beam, &node, send, [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::list([Term::atom("courgette"), Term::atom("aubergine")]));

        // Signals.
        let ends = "spawn(fun() -> link(P), exit(lists:seq(1, 1 bsl 20)) end), ok";
        eval_with(&beam, &node, ends, [("P", process.pid().clone().into())]).await;
        let exit = message(&mut process).await;
        let replaced = |reason: &Term| reason.as_tuple().is_some_and(|parts| parts[0].is_atom("reason_too_large"));
        assert!(replaced(&exit.as_tuple().unwrap()[2]), "{exit:?}");
        let kills = "exit(P, binary:copy(<<8>>, 2 bsl 20)), ok";
        eval_with(&beam, &node, kills, [("P", process.pid().clone().into())]).await;
        assert!(replaced(&message(&mut process).await.as_tuple().unwrap()[2]));
        let server = "register(server, spawn(fun Loop() -> receive
                {'$gen_call', From, large} -> gen_server:reply(From, binary:copy(<<9>>, 4 bsl 20)), Loop();
                {'$gen_call', From, _} -> gen_server:reply(From, small), Loop();
                stop -> exit(binary:copy(<<9>>, 4 bsl 20)) end end)), ok";
        expect(&beam, &node, server, "ok").await;
        let reference = process.monitor(("server", &peer)).await;

        // Answers.
        let arguments = vec![Term::binary(b"x".to_vec()), Term::from(3 * MIB)];
        let copy = Mfa::with_terms(Atom::from_static("binary"), Atom::from_static("copy"), arguments);
        let called = node.call::<Term>(&peer, copy).await;
        assert!(
            matches!(called, Err(CallError::AnswerLost { loss: Loss::TooLarge, bytes }) if bytes > 3 * MIB),
            "{called:?}"
        );
        let replied = node.gen_call::<Term>(("server", &peer), &Atom::from_static("large")).timeout(LIMIT).await;
        assert!(matches!(replied, Err(CallError::AnswerLost { loss: Loss::TooLarge, .. })), "{replied:?}");
        let replied = node.gen_call::<Atom>(("server", &peer), &1).timeout(LIMIT).await;
        assert_eq!(replied.unwrap(), "small");

        expect(&beam, &node, "server ! stop, ok", "ok").await;
        let Message::Down(down) = process.receive().await.unwrap() else { panic!() };
        assert_eq!(down.reference, reference);
        assert!(replaced(&down.reason.decode().unwrap()));

        // Other callers are not affected.
        assert_eq!(under_way.await.unwrap().unwrap(), "ok");
        expect(&beam, &node, "sleeper ! {ask, self()}, receive {slept, S} -> S end", "awake").await;
        expect(&beam, &node, "is_pid(whereis(watcher))", "true").await;
    }
}

/// Peers without fragments send a message as one frame of any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames() {
    const FIRST: u8 = 69;
    const LATER: u8 = 70;
    let stage = Stage::new();
    let node = node_of(&stage, MIB).await;
    let mut process = node.process();
    process.trap_exit(true);
    let you = Term::from(process.pid().clone());
    // A little more than the limit, and much more.
    for size in [MIB + 1, 9 * MIB] {
        let mut intruder = Intruder::connect(&node);
        let me = Term::from(intruder.pid());
        let large = Term::binary(vec![5; size]);
        let send = Term::tuple([22.into(), me.clone(), you.clone()]);
        // Its header has an atom that the next one refers to.
        let header = |flags: u8, atom: &[u8]| [&[131, 68, 1, flags, 9][..], atom].concat();
        let frame = [&header(0x08, &[3, b'n', b'e', b'w'])[..], &send.encode()[1..], &large.encode()[1..]].concat();
        intruder.bytes(&frame);
        intruder.bytes(&[&header(0, &[])[..], &send.encode()[1..], &[82, 0]].concat());
        assert_eq!(message(&mut process).await, Term::atom("new"));

        intruder.frame(Term::tuple([26.into(), me.clone(), you.clone()]), Some(large.clone()));
        let reason = Term::tuple([Term::atom("reason_too_large"), Term::from(large.encode().len() - 1)]);
        assert_eq!(message(&mut process).await, Term::tuple([Term::atom("EXIT"), me.clone(), reason]));

        let mfa = Term::tuple([Term::atom("rust"), Term::atom("echo"), 1.into()]);
        let reference = Reference::new(intruder.pid().node, 9, &[4]).unwrap();
        let request = [29.into(), reference.into(), me.clone(), me.clone(), mfa, Term::nil()];
        intruder.frame(Term::tuple(request), Some(Term::list([large.clone()])));
        let Signal::SpawnReply { result, .. } = intruder.message().signal else { panic!() };
        assert_eq!(result.unwrap_err(), "system_limit");

        // Fragments of that size.
        let start = [&[0][..], &send.encode()[1..], &[104, 1]].concat();
        let data = vec![6; size];
        intruder.bytes(&fragment(FIRST, 5, 3, &start));
        intruder.bytes(&fragment(LATER, 5, 2, &data));
        intruder.bytes(&fragment(FIRST, 6, 2, &[&start[..], &data].concat()));
        intruder.bytes(&fragment(LATER, 5, 1, &data));
        intruder.bytes(&fragment(LATER, 6, 1, &[1]));
        intruder.frame(send, Some(Term::from(1)));
        assert_eq!(message(&mut process).await, Term::from(1));
    }

    // One that no BEAM sends; pending calls fail with the reason.
    let mut intruder = Intruder::connect(&node);
    let peer = intruder.name.parse().unwrap();
    eventually("the connection", || node.nodes(Nodes::Connected).contains(&peer)).await;
    let mfa = Mfa::new("m", "f", ()).unwrap();
    let call = tokio::spawn(std::future::IntoFuture::into_future(node.call::<Term>(&peer, mfa)));
    let intruder = tokio::task::spawn_blocking(move || {
        while !matches!(intruder.message().signal, Signal::SpawnRequest(_)) {}
        std::io::Write::write_all(&mut intruder.socket, &[0xff; 4]).unwrap();
        intruder
    });
    let failed = call.await.unwrap();
    assert!(matches!(&failed, Err(CallError::Disconnected(NodeDownReason::Protocol(_)))), "{failed:?}");
    drop(intruder);
}

/// The sum of all incomplete messages is too large: those that progressed least recently fail, and only they.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_there_is_room_for() {
    let stage = Stage::new();
    for otp in matrix() {
        let mut channel = ChannelLimits::default();
        channel.reassembly = 8 * MIB;
        let node = stage.builder().limits(Limits { channel, ..Limits::default() }).start().await.unwrap();
        export(&node);
        let beam = stage.beam(otp).await;
        // Each answer is the right one, or reports that the node was busy.
        let calls = "Self = self(), net_adm:ping(NODE),
            [spawn(fun() -> B = binary:copy(<<N>>, 300000),
                Self ! try erpc:call(NODE, rust, echo, [B]) of B -> right; _ -> wrong
                       catch error:{erpc, system_limit} -> busy; _:E -> E end end) || N <- lists:seq(1, 120)],
            Answers = [receive A -> A end || _ <- lists:seq(1, 120)],
            [] = lists:usort(Answers) -- [right, busy], lists:member(right, Answers)";
        expect(&beam, &node, calls, "true").await;
        expect(&beam, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
    }
}

/// Many callers with large arguments at once: all are answered, and small calls continue meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_calls_at_once() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let calls = "Self = self(), net_adm:ping(NODE),
            Small = spawn(fun() -> Loop = fun Loop(N) -> 5 = erpc:call(NODE, rust, add, [2, 3]),
                receive {stop, From} -> From ! {small, N} after 0 -> Loop(N + 1) end end, Loop(0) end),
            [spawn(fun() -> B = binary:copy(<<N>>, (1 bsl 19) + N),
                Self ! {large, (catch erpc:call(NODE, rust, echo, [B])) =:= B} end) || N <- lists:seq(1, 120)],
            Right = length([ok || _ <- lists:seq(1, 120), receive {large, R} -> R end]),
            Small ! {stop, Self}, receive {small, N} -> {Right, N} end";
        let answer = eval(&beam, &node, calls).await;
        let small = answer.strip_prefix("{120,").and_then(|rest| rest.strip_suffix('}')).map(str::parse::<u32>);
        // About twelve, since the BEAM shares its output between its processes.
        assert!(matches!(small, Some(Ok(3..))), "{answer}");
    }
}

/// Senders that are killed within a message leave nothing that ends the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_that_are_killed() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let mut process = node.process();
        let kill = "[begin
                S = [spawn(fun() -> B = binary:copy(<<1>>, 4 bsl 20), P ! B end) || _ <- lists:seq(1, 10)],
                timer:sleep(2), [exit(Pid, kill) || Pid <- S] end || _ <- lists:seq(1, 3)],
            P ! last, erpc:call(NODE, rust, add, [1, 2])";
        assert_eq!(eval_with(&beam, &node, kill, [("P", process.pid().clone().into())]).await, "3");
        while message(&mut process).await != Term::atom("last") {}
    }
}

/// The program's log, at its default level.
#[test]
fn worker() {
    let stage = Stage::new();
    let beam = stage.erlang(Otp::V25).start();
    let worker = format!("{}@127.0.0.1", unique_name("worker"));
    let port = stage.epmd.port().to_string();
    let mut command = peerl_command();
    command.env("ERL_EPMD_PORT", &port).args([
        "worker",
        "--name",
        &worker,
        "--cookie",
        COOKIE,
        "--max-message",
        "1MiB",
    ]);
    let guard = ProcessGuard::spawn(&mut command);
    let ready = guard.wait_for_line("ready", LIMIT);
    let large = format!("rpc:call('{worker}', erlang, list_to_binary, [binary:copy(<<7>>, 2 bsl 20)])");
    assert_eq!(beam.eval(&large).unwrap(), "{badrpc,{'EXIT',system_limit}}");
    let line = guard.wait_for_error_line("dropped the contents of a message", LIMIT);
    for part in [beam.name(), "WARN", "limit=1048576", "bytes=209", "sender=", "too large"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let mut intruder = Intruder::connect_to(
        "intruder@127.0.0.1",
        &worker.parse().unwrap(),
        ready.rsplit(' ').next().unwrap().parse().unwrap(),
    );
    intruder.bytes(&[1, 2, 3]);
    intruder.assert_closed("noise");
    let line = guard.wait_for_error_line("protocol violation", LIMIT);
    assert!(line.contains("intruder@127.0.0.1") && line.contains("WARN"), "{line}");
    assert_eq!(beam.eval(&format!("net_adm:ping('{worker}')")).unwrap(), "pong");

    let call = |options: &[&str]| {
        let mut command = peerl_command();
        command.env("ERL_EPMD_PORT", &port).args([
            "call",
            beam.name(),
            "binary:copy(<<7>>, 2000000)",
            "--cookie",
            COOKIE,
        ]);
        command.args(options).output().unwrap()
    };
    assert!(call(&[]).status.success());
    let output = call(&["--max-message", "1M"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && text.contains("--max-message"), "{text}");
}
