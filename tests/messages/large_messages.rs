//! Messages too large for one write: they arrive whole and in order, without head-of-line blocking.

use std::time::{Duration, Instant};

use crate::intruder::Intruder;
use crate::stage::{LIMIT, Stage, eval, eval_with, eventually, export, message, name};
use bytes::Bytes;
use futures::future::join_all;
use peerl_node::{Atom, Exception, Message, Mfa, Term};
use peerl_proto::control::Signal;
use peerl_term::{AtomTable, RawTerm, Reference};
use peerl_test_support::{HeldThread, conformance, matrix};

const MIB: usize = 1 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binaries_of_64_mib() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        node.export("rust", "is_pattern", |(data,): (Term,)| async move {
            Ok::<_, Exception>(data.as_binary().is_some_and(|data| **data == *pattern()))
        })
        .unwrap();
        let beam = stage.beam(otp).await;
        // There and back; this node calls.
        let data = Term::binary(pattern());
        let mfa =
            Mfa::with_terms(Atom::from_static("lists"), Atom::from_static("last"), vec![Term::list([data.clone()])]);
        let back: Term = node.call(&name(&beam), mfa).timeout(LIMIT).await.unwrap();
        assert!(back == data);

        // There and back; the BEAM calls.
        let call = "B = binary:copy(list_to_binary(lists:seq(0, 250)), 267366),
                    B =:= erpc:call(NODE, rust, echo, [B]) andalso erpc:call(NODE, rust, is_pattern, [B])";
        assert_eq!(eval(&beam, &node, call).await, "true");
    }
}

/// A little more than 64 MiB, with a period that is no divisor of a fragment's size.
fn pattern() -> Vec<u8> {
    let period: Vec<u8> = (0..251).collect();
    period.repeat(64 * MIB / 251 + 1)
}

/// Messages from one process to another arrive in the order of sending, at any size.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let mut process = node.process();

        // From the BEAM.
        let send = "B = binary:copy(<<7>>, 3 bsl 20), [P ! {N, case N rem 3 of 0 -> B; _ -> small end} || N <- lists:seq(1, 20)],
                    exit(P, last), ok";
        process.trap_exit(true);
        eval_with(&beam, &node, send, [("P", process.pid().clone().into())]).await;
        for n in 1..=20 {
            let Term::Tuple(numbered) = message(&mut process).await else { panic!() };
            assert_eq!(numbered[0], Term::from(n));
            assert_eq!(numbered[1].as_binary().map_or(0, |data| data.len()), if n % 3 == 0 { 3 * MIB } else { 0 });
        }
        assert_eq!(message(&mut process).await.as_tuple().unwrap()[2], Term::atom("last"));

        // To the BEAM: messages by pid and by name, a link's end and a monitor's.
        let collect = "
            register(collector, spawn(fun() ->
                process_flag(trap_exit, true), link(P), monitor(process, P), P ! self(),
                Loop = fun Loop(Seen) -> receive
                    {N, B} when is_binary(B) -> Loop([{N, byte_size(B)} | Seen]);
                    {N, small} -> Loop([{N, 0} | Seen]);
                    {'EXIT', P, Why} -> Loop([{exit, Why} | Seen]);
                    {'DOWN', _, _, P, Why} -> {lists:reverse(Seen), {down, Why}}
                end end,
                Seen = Loop([]),
                receive {ask, From} -> From ! Seen end
            end)), ok";
        eval_with(&beam, &node, collect, [("P", process.pid().clone().into())]).await;
        let collector = message(&mut process).await.as_pid().unwrap().clone();
        for n in 1..=20u64 {
            let content = if n % 3 == 0 { Term::binary(vec![7; 3 * MIB]) } else { Term::atom("small") };
            let numbered = Term::tuple([Term::from(n), content]);
            match n % 2 {
                0 => process.send_term(&collector, &numbered).await.unwrap(),
                _ => process.send_term(("collector", &name(&beam)), &numbered).await.unwrap(),
            }
        }
        process.send_term(&collector, &Term::tuple([Term::from(21), Term::binary(vec![7; 9 * MIB])])).await.unwrap();
        process.exit(&Term::atom("done"));
        let sizes = (1..=20).map(|n| format!("{{{n},{}}}", if n % 3 == 0 { 3 * MIB } else { 0 })).collect::<Vec<_>>();
        // OTP sends the exit signal before the monitor's message; so does peerl.
        let expected = format!("{{[{},{{21,{}}},{{exit,done}}],{{down,done}}}}", sizes.join(","), 9 * MIB);
        assert_eq!(eval(&beam, &node, "collector ! {ask, self()}, receive S -> S end").await, expected);
    }
}

/// Small messages do not wait for a large one of another sender.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_overtake() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);

        // To the BEAM: large messages queue up; calls meanwhile return before the last large one has arrived.
        let sink = "register(sink, spawn(fun Loop() -> receive {From, B} when is_binary(B) -> From ! size, Loop() end end)), ok";
        eval(&beam, &node, sink).await;
        let mut sender = node.process();
        let large = Term::tuple([sender.pid().clone().into(), Term::binary(vec![1; 64 * MIB])]);
        sender.send_term(("sink", &peer), &large).await.unwrap();
        let started = Instant::now();
        let answered = join_all(
            (0..10u32).map(|n| node.call::<u32>(&peer, Mfa::new("erlang", "+", (n, 0)).unwrap()).into_future()),
        );
        let (answered, arrived) = tokio::join!(
            async {
                let answers = answered.await;
                (answers, started.elapsed())
            },
            async {
                message(&mut sender).await;
                started.elapsed()
            }
        );
        assert!(answered.0.iter().all(Result::is_ok));
        assert!(answered.1 < arrived, "answers after {:?}, the large message after {arrived:?}", answered.1);

        // From the BEAM: its fragments of one sender are read between messages of others.
        let mut receiver = node.process();
        let flood = "B = binary:copy(<<1>>, 64 bsl 20), spawn(fun() -> P ! B end), [spawn(fun() -> P ! small end) || _ <- lists:seq(1, 100)], ok";
        eval_with(&beam, &node, flood, [("P", receiver.pid().clone().into())]).await;
        let (mut small, mut is_large) = (0, false);
        while small < 100 || !is_large {
            let Ok(Message::User(payload)) = tokio::time::timeout(LIMIT, receiver.receive()).await.unwrap() else {
                panic!()
            };
            if payload.bytes().len() > MIB { is_large = true } else { small += 1 }
        }
        conformance::holds(otp, [20]);
    }
}

/// Many senders of large messages at once; every one arrives whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_large_messages() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let calls = (0..40u8).map(|n| {
            let data = Term::binary(vec![n; MIB + usize::from(n)]);
            let mfa = Mfa::with_terms(
                Atom::from_static("lists"),
                Atom::from_static("last"),
                vec![Term::list([data.clone()])],
            );
            let call = node.call::<Term>(&peer, mfa).into_future();
            async move { assert!(call.await.unwrap() == data) }
        });
        join_all(calls).await;
        let calls = "S = self(),
            [spawn(fun() -> B = binary:copy(<<N>>, (1 bsl 20) + N), S ! (B =:= erpc:call(NODE, rust, echo, [B])) end) || N <- lists:seq(1, 40)],
            lists:all(fun(B) -> B end, [receive B -> B end || _ <- lists:seq(1, 40)])";
        assert_eq!(eval(&beam, &node, calls).await, "true");
        conformance::holds(otp, [19, 20]);
    }
}

/// How long a message may hold a thread of the runtime: ten times as long without optimization.
const HELD: Duration = Duration::from_millis(if cfg!(debug_assertions) { 50 } else { 5 });

/// Terms that take long to decode, in every kind of message: the only thread of the runtime is not held while they are decoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn long_terms_hold_no_thread() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let held = HeldThread::watch();
    let attacked = node.clone();
    let rex = node.whereis("rex").unwrap();
    let decoding = tokio::task::spawn_blocking(move || {
        let mut intruder = Intruder::connect(&attacked);
        let me = Term::from(intruder.pid());
        let deep = [[104, 1].repeat(400_000), vec![106]].concat();
        let wide = [vec![108, 0, 4, 0, 0], [104, 2, 97, 1, 97, 2].repeat(4 << 16), vec![106]].concat();
        let mut decoding = Duration::MAX;
        for (index, term) in [deep, wide].iter().enumerate() {
            let raw = RawTerm::new(Bytes::copy_from_slice(term), AtomTable::empty());
            let began = Instant::now();
            drop(raw.decode().unwrap());
            decoding = decoding.min(began.elapsed());
            for (function, arity) in [("echo", 1), ("nothing", 1), ("sleep", 1)] {
                let reference = Reference::new(intruder.pid().node, 9, &[index as u32, arity, 7]).unwrap();
                let call = Term::tuple([Term::atom("erpc"), Term::atom("execute_call"), 4.into()]);
                let options = Term::list([Term::atom("monitor")]);
                let request = [29.into(), reference.clone().into(), me.clone(), me.clone(), call, options];
                let start = Term::tuple([Term::from(reference), Term::atom("rust"), Term::atom(function)]).encode();
                // [Reference, rust, Function, [Term]]
                let arguments = [&[108, 0, 0, 0, 4], &start[3..], &[108, 0, 0, 0, 1], term, &[106, 106]].concat();
                intruder.raw(Term::tuple(request), &arguments);
                while !matches!(intruder.message().signal, Signal::MonitorExit { .. }) {}
            }
            let to_rex = Term::tuple([6.into(), me.clone(), Term::atom(""), Term::atom("rex")]);
            let exit = Term::tuple([26.into(), me.clone(), rex.clone().into()]);
            for control in [to_rex.clone(), exit] {
                intruder.raw(control, term);
                let question = Term::tuple([me.clone(), Term::atom("features_request")]);
                intruder.frame(to_rex.clone(), Some(question));
                while !matches!(intruder.message().signal, Signal::Send { .. }) {}
            }
        }
        decoding
    });
    let decoding = decoding.await.unwrap();
    let longest = held.longest();
    eprintln!("a thread was held for at most {longest:?}; to decode one of the terms takes {decoding:?}");
    assert!(longest < HELD && HELD < decoding, "{longest:?} {decoding:?}");
    eventually("everything to be given back", || node.kept_bytes() == 0).await;
}
