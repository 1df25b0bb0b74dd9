//! Payloads that are not terms: only their own connection ends, wherever they are decoded, and no other node gets
//! them.

use std::sync::Arc;
use std::time::Duration;

use crate::intruder::{Intruder, fragment};
use crate::stage::{LIMIT, Stage, eval, eval_with, event, eventually, expect, export, message, name, until};
use peerl_node::{ErrorChain, Exception, Message, Mfa, Node, NodeDownReason, NodeEvent, Process, Term};
use peerl_term::{Atom, Pid, Reference};
use peerl_test_support::{Beam, Otp, conformance, matrix};

const LINK: i64 = 1;
const REG_SEND: i64 = 6;
const SEND_SENDER: i64 = 22;
const PAYLOAD_EXIT: i64 = 24;
const PAYLOAD_EXIT2: i64 = 26;
const PAYLOAD_MONITOR_P_EXIT: i64 = 28;
const SPAWN_REQUEST: i64 = 29;
const ALIAS_SEND: i64 = 33;

/// Bytes that no BEAM accepts as a term.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let deep = [[104, 1].repeat(100_000), vec![200]].concat();
    vec![
        ("an unknown tag", vec![132]),
        ("a version inside", vec![131]),
        ("a compressed term", vec![80, 0, 0, 0, 1, 120, 156]),
        ("a tuple cut short", vec![104, 2, 97, 1]),
        ("a list without its tail", vec![108, 0, 0, 0, 1, 97, 1]),
        ("a list with a bad tail", vec![108, 0, 0, 0, 1, 97, 1, 255]),
        ("an atom that is not UTF-8", vec![119, 2, 0xc3, 0x28]),
        ("an atom that the header does not have", vec![82, 9]),
        ("a key twice", vec![116, 0, 0, 0, 2, 97, 1, 97, 1, 97, 1, 97, 2]),
        ("a float that is none", [&[70][..], &f64::NAN.to_be_bytes()].concat()),
        ("a reference of six words", [&[90, 0, 6, 119, 1, b'a'][..], &[0; 28]].concat()),
        ("a pid of a node that is no atom", [&[88, 97, 1][..], &[0; 12]].concat()),
        ("an old fun", vec![117, 0, 0, 0, 0]),
        ("something bad, far inside", deep),
    ]
}

fn signal(operation: i64, parts: impl IntoIterator<Item = Term>) -> Term {
    Term::tuple([Term::from(operation)].into_iter().chain(parts))
}

/// A process at the BEAM that reports each `nodedown` of the node.
async fn watch_nodes(beam: &Beam, node: &Node) {
    let watcher = "register(watcher, spawn(fun() ->
            net_kernel:monitor_nodes(true, #{node_type => all}),
            Loop = fun Loop(Downs) -> receive
                {nodedown, N, _} -> Loop([N | Downs]);
                {nodeup, _, _} -> Loop(Downs);
                {downs, From} -> From ! {downs, lists:member(NODE, Downs)}, Loop(Downs)
            end end, Loop([]) end)), net_adm:ping(NODE)";
    expect(beam, node, watcher, "pong").await;
}

async fn expect_connected(beam: &Beam, node: &Node) {
    expect(beam, node, "watcher ! {downs, self()}, receive {downs, D} -> D end", "false").await;
    expect(beam, node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
}

/// Sends something, and waits until the node has closed the connection because of it.
async fn expect_cut(node: &Node, what: &str, attack: impl FnOnce(&mut Intruder) + Send + 'static) {
    let mut events = node.events();
    let (attacked, text) = (node.clone(), what.to_owned());
    let cut = tokio::task::spawn_blocking(move || {
        let mut intruder = Intruder::connect(&attacked);
        attack(&mut intruder);
        intruder.assert_closed(&text);
        intruder.name
    });
    let name = cut.await.unwrap();
    // The end of an earlier one may be told in between.
    let mut was_up = false;
    let reason = loop {
        match event(&mut events).await {
            NodeEvent::NodeUp { node, .. } if node.as_str() == name => was_up = true,
            NodeEvent::NodeDown { node, reason } if node.as_str() == name => break reason,
            _ => {}
        }
    };
    assert!(was_up, "{what}");
    let NodeDownReason::Protocol(reason) = reason else { panic!("{what}: {reason:?}") };
    let reason = reason.to_string();
    assert!(reason.contains("malformed"), "{what}: {reason}");
}

/// Lets a process of the BEAM link to a process of the node and monitor it.
async fn hold(beam: &Beam, node: &Node, held: &Process) {
    let holder = "Self = self(), register(holder, spawn(fun() ->
            process_flag(trap_exit, true), link(P), R = monitor(process, P), Self ! held,
            receive {'EXIT', P, Linked} -> receive {'DOWN', R, _, _, Monitored} ->
                receive {ask, From} -> From ! {Linked, Monitored} end end end
        end)), receive held -> ok end, erpc:call(NODE, rust, add, [0, 1])";
    assert_eq!(eval_with(beam, node, holder, [("P", held.pid().clone().into())]).await, "1");
}

/// The reason that the holder has received, twice.
async fn expect_reason(beam: &Beam, node: &Node, reason: &str) {
    let ask = "holder ! {ask, self()}, receive {Linked, Monitored} -> Linked = Monitored end";
    assert_eq!(eval(beam, node, ask).await, reason);
}

/// The reasons of exit signals are forwarded to nodes that have done nothing wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_reasons() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        watch_nodes(&beam, &node).await;
        let mut target = node.process();
        hold(&beam, &node, &target).await;
        for (what, payload) in malformed() {
            let to = target.pid().clone();
            expect_cut(&node, what, move |intruder| {
                intruder.raw(signal(PAYLOAD_EXIT2, [intruder.pid().into(), to.into()]), &payload);
            })
            .await;
            assert!(target.try_receive().is_ok(), "{what}");
        }
        expect_connected(&beam, &node).await;

        // A link breaks with the connection, not with the message.
        let linked = node.process();
        let to = linked.pid().clone();
        expect_cut(&node, "a link's end", move |intruder| {
            let me = Term::from(intruder.pid());
            intruder.frame(signal(LINK, [me.clone(), to.clone().into()]), None);
            intruder.raw(signal(PAYLOAD_EXIT, [me, to.into()]), &[104, 3, 97, 1]);
        })
        .await;
        let mut linked = linked;
        eventually("the linked process to end", || linked.try_receive().is_err()).await;
        assert_eq!(linked.try_receive().unwrap_err().reason, Term::atom("noconnection"));

        // Valid reasons are forwarded, with atoms from the intruder's header.
        let mut intruder = Intruder::connect(&node);
        let control = signal(PAYLOAD_EXIT2, [intruder.pid().into(), target.pid().clone().into()]).encode();
        intruder
            .bytes(&[&[131, 68, 1, 0x08, 7, 3][..], b"bye", &control[1..], &[104, 2, 82, 0, 107, 0, 2, 1, 2]].concat());
        expect_reason(&beam, &node, "{bye,[1,2]}").await;
        expect_connected(&beam, &node).await;
        conformance::holds(otp, [45]);
    }
}

/// The process of a pending call has a pid that any node can guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_serve_calls() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let gate = Arc::new(tokio::sync::Notify::new());
        let opened = gate.clone();
        node.export("rust", "wait", move |()| {
            let gate = opened.clone();
            async move {
                gate.notified().await;
                Ok::<_, Exception>(Atom::from_static("open"))
            }
        })
        .unwrap();
        export(&node);
        let beam = stage.beam(otp).await;
        watch_nodes(&beam, &node).await;
        let last = node.process().pid().clone();
        let call = "Self = self(), spawn(fun() -> Self ! waits, R = (catch erpc:call(NODE, rust, wait, [])),
                register(result, self()), receive {ask, From} -> From ! R end end), receive waits -> ok end";
        let before = node.calls_served();
        expect(&beam, &node, call, "ok").await;
        eventually("the call", || node.calls_served() > before).await;
        expect_cut(&node, "an exit signal", move |intruder| {
            for id in last.id + 1..last.id + 20 {
                let to = Pid { id, ..last.clone() };
                intruder.raw(signal(PAYLOAD_EXIT2, [intruder.pid().into(), to.into()]), &[132]);
            }
        })
        .await;
        expect_connected(&beam, &node).await;
        gate.notify_one();
        let ask = format!("{}, result ! {{ask, self()}}, receive R -> R end", until("is_pid(whereis(result))", "true"));
        assert_eq!(eval(&beam, &node, &ask).await, "open");
        conformance::holds(otp, [45]);
    }
}

/// A delivered payload is decoded only by its receiver.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let beam = stage.beam(Otp::V25).await;
    watch_nodes(&beam, &node).await;

    // A process of the user's program that decodes late.
    let mut process = node.process();
    process.trap_exit(true);
    let to = process.pid().clone();
    let mut events = node.events();
    let mut intruder = Intruder::connect(&node);
    let (me, payload) = (Term::from(intruder.pid()), [104, 2, 97, 1]);
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    intruder.raw(signal(SEND_SENDER, [me.clone(), to.clone().into()]), &payload);
    intruder.raw(signal(PAYLOAD_EXIT2, [me.clone(), to.clone().into()]), &payload);
    intruder.frame(signal(SEND_SENDER, [me, to.into()]), Some(Term::atom("after")));
    eventually("three messages", || process.queued() == 3).await;
    assert!(events.try_recv().is_err(), "nobody has looked at them");
    let Message::User(malformed) = process.receive().await.unwrap() else { panic!() };
    assert!(malformed.decode().is_err());
    let down = event(&mut events).await;
    assert!(matches!(down, NodeEvent::NodeDown { reason: NodeDownReason::Protocol(_), .. }), "{down:?}");
    assert!(process.receive().await.unwrap().into_term().is_err());
    assert_eq!(message(&mut process).await, Term::atom("after"));

    // The same node connects again: an error of its earlier connection does not end the new one.
    let mut first = Intruder::connect(&node);
    let name = first.name.clone();
    first.raw(signal(SEND_SENDER, [first.pid().into(), process.pid().clone().into()]), &[200]);
    eventually("the message", || process.queued() == 1).await;
    drop(first);
    while !matches!(event(&mut events).await, NodeEvent::NodeDown { .. }) {}
    let mut again = Intruder::connect_as(&name, &node);
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    assert!(process.receive().await.unwrap().into_term().is_err());
    again.frame(signal(SEND_SENDER, [again.pid().into(), process.pid().clone().into()]), Some(Term::from(1)));
    assert_eq!(message(&mut process).await, Term::from(1));
    assert!(events.try_recv().is_err());
    drop(again);

    // The end of a process that a process of the node monitors.
    let mut monitored = Intruder::connect(&node);
    let reference = process.monitor(monitored.pid()).await;
    let pid = monitored.pid();
    let down = signal(PAYLOAD_MONITOR_P_EXIT, [pid.into(), process.pid().clone().into(), reference.into()]);
    monitored.raw(down, &[116, 0, 0, 0, 1, 97]);
    let Message::Down(down) = process.receive().await.unwrap() else { panic!() };
    assert!(down.reason.decode().is_err());
    tokio::task::spawn_blocking(move || monitored.assert_closed("a monitor")).await.unwrap();

    for name in ["rex", "net_kernel"] {
        expect_cut(&node, name, move |intruder| {
            intruder.raw(signal(REG_SEND, [intruder.pid().into(), Term::atom(""), Term::atom(name)]), &[104, 1, 133]);
        })
        .await;
    }
    // Of another type than the receiver reads, and malformed after that.
    node.export("rust", "typed", |(_,): (u32,)| async { Ok::<_, Exception>(1) }).unwrap();
    let spawns = [
        (("rust", "typed", 1), vec![108, 0, 0, 0, 1, 104, 1, 150, 106]),
        (("rust", "add", 2), vec![108, 0, 0, 0, 2, 97, 1]),
        (("nobody", "knows", 1), vec![108, 0, 0, 0, 1, 140, 106]),
        (("erpc", "execute_call", 4), vec![108, 0, 0, 0, 4, 97, 1, 119, 1, b'm', 119, 1, b'f', 117]),
        (("erpc", "execute_cast", 3), vec![131]),
    ];
    for ((module, function, arity), arguments) in spawns {
        let mfa = Term::tuple([Term::atom(module), Term::atom(function), Term::from(arity)]);
        expect_cut(&node, function, move |intruder| {
            let (me, reference) = (Term::from(intruder.pid()), Reference::new(intruder.pid().node, 9, &[1]).unwrap());
            let options = Term::list([Term::atom("monitor")]);
            intruder.raw(signal(SPAWN_REQUEST, [reference.into(), me.clone(), me, mfa, options]), &arguments);
        })
        .await;
    }
    expect_connected(&beam, &node).await;
}

/// Answers to calls of this node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let beam = stage.beam(Otp::V25).await;
    watch_nodes(&beam, &node).await;
    for wrong in ["in the value", "in the exception", "in the reply"] {
        let intruder = Intruder::connect(&node);
        let peer = intruder.name.parse().unwrap();
        let answered = tokio::task::spawn_blocking(move || answer(intruder, wrong));
        let error = match wrong {
            "in the reply" => node.gen_call::<Term>(("server", &peer), &1).timeout(LIMIT).await.unwrap_err(),
            _ => node.call::<Vec<u64>>(&peer, Mfa::new("m", "f", ()).unwrap()).timeout(LIMIT).await.unwrap_err(),
        };
        let error = ErrorChain(&error).to_string();
        assert!(error.contains("unknown tag"), "{wrong}: {error}");
        answered.await.unwrap().assert_closed(wrong);
    }
    expect_connected(&beam, &node).await;
}

/// Reads a call, and answers it.
fn answer(mut intruder: Intruder, wrong: &str) -> Intruder {
    use peerl_proto::control::Signal;
    loop {
        let me = Term::from(intruder.pid());
        match intruder.message().signal {
            Signal::SpawnRequest(request) => {
                let reference = Term::from(request.reference);
                let mut payload = vec![104, if wrong == "in the value" { 3 } else { 4 }];
                payload.extend_from_slice(&reference.encode()[1..]);
                payload.extend_from_slice(&match wrong {
                    "in the value" => [&[119, 6][..], b"return", &[108, 0, 0, 0, 1, 160, 106]].concat(),
                    _ => [&[119, 5][..], b"error", &[97, 1, 160]].concat(),
                });
                intruder.raw(signal(PAYLOAD_MONITOR_P_EXIT, [me, request.from.into(), reference]), &payload);
                return intruder;
            }
            Signal::Monitor { reference, .. } => {
                let reference = Term::from(reference);
                let payload = [&[104, 2][..], &reference.encode()[1..], &[160]].concat();
                intruder.raw(signal(ALIAS_SEND, [me, reference]), &payload);
                return intruder;
            }
            _ => {}
        }
    }
}

/// Messages without a receiver are not decoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_nobody() {
    let stage = Stage::new();
    let node = stage.node().await;
    let process = node.process();
    let mut intruder = Intruder::connect(&node);
    let (me, gone) = (Term::from(intruder.pid()), node.process().pid().clone());
    intruder.raw(signal(SEND_SENDER, [me.clone(), gone.clone().into()]), &[200]);
    intruder.raw(signal(REG_SEND, [me.clone(), Term::atom(""), Term::atom("nobody")]), &[200]);
    intruder.raw(signal(PAYLOAD_EXIT2, [me.clone(), gone.into()]), &[200]);
    intruder.frame(signal(SEND_SENDER, [me, process.pid().clone().into()]), Some(Term::from(1)));
    eventually("the message after them", || process.queued() == 1).await;
}

/// Valid reasons that the next node rejects nevertheless.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_that_a_peer_does_not_take() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        watch_nodes(&beam, &node).await;
        let mut process = node.process();
        eval_with(&beam, &node, "P ! self(), ok", [("P", process.pid().clone().into())]).await;
        let of_beam = message(&mut process).await.as_pid().unwrap().clone();
        let impossible = Pid { id: u32::MAX, ..of_beam.clone() };
        let reference = Reference::new(of_beam.node.clone(), of_beam.creation, &[1 << 20, 1, 1]).unwrap();
        let large = [&[111, 0, 16, 0, 0, 0][..], &vec![1; 1 << 20]].concat();
        let zero = |sign: u8| [70, sign, 0, 0, 0, 0, 0, 0, 0, 97, 1];
        let record = vec![67, 0, 0, 0, 1, 0, 119, 1, b'm', 119, 1, b'r', 119, 1, b'x', 97, 1];
        let reasons = [
            ("a native record", record, if otp == Otp::V29 { "no_tuple" } else { "{unsendable_reason,native_record}" }),
            (
                "a pid",
                Term::list([impossible.into()]).encode()[1..].to_vec(),
                "{unsendable_reason,impossible_identifier}",
            ),
            ("a reference", Term::from(reference).encode()[1..].to_vec(), "{unsendable_reason,impossible_identifier}"),
            ("a large integer", large, "{unsendable_reason,large_integer}"),
            ("two zeros", [&[116, 0, 0, 0, 2][..], &zero(0), &zero(128)].concat(), "{unsendable_reason,equal_keys}"),
            (
                "more elements than are taken",
                [&[108, 1, 0, 0, 1][..], &vec![106; (1 << 24) + 2]].concat(),
                "{reason_too_large,16777223}",
            ),
        ];
        for (what, reason, expected) in reasons {
            let target = node.process();
            hold(&beam, &node, &target).await;
            let mut intruder = Intruder::connect(&node);
            intruder.raw(signal(PAYLOAD_EXIT2, [intruder.pid().into(), target.pid().clone().into()]), &reason);
            let ask = "holder ! {ask, self()}, receive {Linked, Monitored} -> Linked = Monitored end, case is_tuple(Linked) of true -> Linked; false -> no_tuple end";
            let found = eval(&beam, &node, ask).await;
            assert_eq!(found, expected, "{what}");
            expect_connected(&beam, &node).await;
        }
        // A term that this node sends itself.
        let record = Term::decode(&vec![131, 67, 0, 0, 0, 0, 0, 119, 1, b'm', 119, 1, b'r'].into()).unwrap();
        let sent = process.send_term(("nobody", &name(&beam)), &Term::list([record.clone()])).await;
        let value = record.clone();
        node.export("rust", "record", move |()| std::future::ready(Ok::<_, Exception>(value.clone()))).unwrap();
        let serialized = process.send(("nobody", &name(&beam)), &(&record,)).await;
        let called = node.call::<u64>(&name(&beam), Mfa::new("erlang", "tuple_size", ((record, 1),)).unwrap()).await;
        let is_new = otp == Otp::V29;
        assert_eq!((sent.is_ok(), serialized.is_ok(), called.is_ok()), (is_new, is_new, is_new), "{sent:?} {called:?}");
        let answer = "try erpc:call(NODE, rust, record, []) of _ -> ok catch error:{exception, Why, _} -> Why end";
        let expected = if is_new { "ok" } else { "{unsendable_result,native_record}" };
        assert_eq!(eval(&beam, &node, answer).await, expected);
        expect_connected(&beam, &node).await;
    }
}

/// An operation in the name of a third node's process would be answered there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_the_name_of_others() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        export(&node);
        let beam = stage.beam(otp).await;
        watch_nodes(&beam, &node).await;
        let mut process = node.process();
        eval_with(&beam, &node, "P ! self(), ok", [("P", process.pid().clone().into())]).await;
        let of_beam = message(&mut process).await.as_pid().unwrap().clone();
        let impossible = Pid { id: u32::MAX, ..of_beam.clone() };
        let stale = Pid { creation: of_beam.creation ^ 1, ..of_beam.clone() };
        let mut intruder = Intruder::connect(&node);
        let reference = Reference::new(of_beam.node.clone(), of_beam.creation, &[1 << 20, 1, 1]).unwrap();
        for (from, tag) in [(&impossible, Term::from(1)), (&stale, Term::from(1)), (&of_beam, reference.into())] {
            let caller = Term::tuple([from.clone().into(), tag.clone()]);
            let ping = Term::tuple([Term::atom("$gen_call"), caller, Term::atom("nodename")]);
            let control = signal(REG_SEND, [intruder.pid().into(), Term::atom(""), Term::atom("net_kernel")]);
            intruder.frame(control, Some(ping));
            let features = Term::tuple([from.clone().into(), Term::atom("features_request")]);
            let control = signal(REG_SEND, [intruder.pid().into(), Term::atom(""), Term::atom("rex")]);
            intruder.frame(control, Some(features));
        }
        let spawn = |intruder: &mut Intruder| {
            let options = Term::list([Term::atom("link"), Term::atom("monitor")]);
            let mfa = Term::tuple([Term::atom("rust"), Term::atom("sleep"), 1.into()]);
            let reference = Reference::new(intruder.pid().node, 9, &[1]).unwrap();
            let control = [reference.into(), stale.clone().into(), intruder.pid().into(), mfa, options];
            intruder.frame(signal(SPAWN_REQUEST, control), Some(Term::list([20.into()])));
        };
        spawn(&mut intruder);
        tokio::task::spawn_blocking(move || intruder.assert_closed("a spawn request")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        expect_connected(&beam, &node).await;
    }
}

/// The payload in fragments, or all of it in the last one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let beam = stage.beam(Otp::V25).await;
    watch_nodes(&beam, &node).await;
    let target = node.process();
    let to = target.pid().clone();
    for (first, last) in [(&[104, 2, 97][..], &[1, 200][..]), (&[], &[132]), (&[108, 0], &[0, 0, 1])] {
        let to = to.clone();
        expect_cut(&node, "a reason", move |intruder| {
            let control = signal(PAYLOAD_EXIT2, [intruder.pid().into(), to.into()]).encode();
            intruder.bytes(&fragment(69, 8, 2, &[&[0], &control[1..], first].concat()));
            intruder.bytes(&fragment(70, 8, 1, last));
        })
        .await;
        expect_connected(&beam, &node).await;
    }
    drop(target);
}
