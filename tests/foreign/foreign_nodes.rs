//! Nodes that offer less than a BEAM: C nodes on `ei`, Jinterface, AtomVM. They are sent only what they offer to
//! accept, and the same as by a BEAM.

use std::time::Duration;

use crate::recorder::Recorder;
use crate::stage::{LIMIT, Stage, eval_with, eventually, export, message};
use peerl_node::{Atom, CallError, Class, Message, Mfa, Node, NodeDownReason, NodeEvent, NodeName, Pid, Term};
use peerl_proto::flags::DistributionFlags;
use peerl_test_support::{Beam, ForeignNode, Lan, Machine, ProcessGuard, Rex, matrix, unique_name};

fn name(node: &ForeignNode) -> NodeName {
    node.name().parse().unwrap()
}

fn unique(stem: &str) -> String {
    format!("{}@127.0.0.1", unique_name(stem))
}

/// Calls a node without `erpc`, which answers with the called module, function and arguments.
async fn call(node: &Node, peer: &NodeName, function: &str, arguments: Vec<Term>) -> Result<Term, CallError> {
    let mfa = Mfa::with_terms(Atom::from_static("c"), Atom::new(function).unwrap(), arguments);
    node.call(peer, mfa).await
}

/// `echo` gets `{Pid, Message}`, and answers with the message.
async fn echo(node: &Node, peer: &NodeName, text: &str) -> Term {
    let mut process = node.process();
    let request = Term::tuple([process.pid().clone().into(), Term::binary(text)]);
    process.send_term((Atom::from_static("echo"), peer.clone()), &request).await.unwrap();
    message(&mut process).await
}

/// What both kinds of nodes support, on a connection that stays up.
async fn talk(node: &Node, foreign: &ForeignNode) {
    let peer = name(foreign);
    let mut events = node.events();
    for _ in 0..3 {
        node.ping(&peer).await.unwrap();
    }
    let arguments = vec![Term::from(7), Term::list([Term::atom("a"), Term::binary("b")])];
    let value = call(node, &peer, "add", arguments.clone()).await.unwrap();
    assert_eq!(value, Term::tuple([Term::atom("c"), Term::atom("add"), Term::list(arguments)]));
    // Each answer reaches its own call.
    let calls = (0..20).map(|number| call(node, &peer, "number", vec![Term::from(number)]));
    for (number, value) in futures::future::join_all(calls).await.into_iter().enumerate() {
        assert_eq!(value.unwrap().as_tuple().unwrap()[2], Term::list([Term::from(number)]));
    }
    node.cast(&peer, Mfa::new("c", "cast", (1,)).unwrap()).await.unwrap();
    assert_eq!(echo(node, &peer, "hello").await, Term::binary("hello"));

    // Whatever its processes do with those of the node, no message ends the connection.
    let process = node.process();
    let stranger = Pid { node: peer.as_atom().clone(), id: 77, serial: 0, creation: 7 };
    let monitors = [process.monitor(("nobody", &peer)).await, process.monitor(stranger.clone()).await];
    assert!(process.demonitor(&monitors[0]));
    process
        .send_to_alias(&peerl_term::Reference::new(peer.as_atom().clone(), 7, &[1, 2, 3]).unwrap(), &1)
        .await
        .unwrap_err();
    process.exit_other(&stranger, &Term::tuple([Term::atom("because"), Term::from(1)]));
    node.ping(&peer).await.unwrap();
    assert!(matches!(events.try_recv(), Ok(NodeEvent::NodeUp { node, .. }) if node == peer));
    assert!(events.try_recv().is_err(), "the connection has stayed up");
}

/// Monitors report the end of the connection.
async fn watch_the_end(node: &Node, foreign: ForeignNode) {
    let peer = name(&foreign);
    let mut process = node.process();
    let monitor = process.monitor(("echo", &peer)).await;
    drop(foreign);
    let Ok(Message::Down(down)) = tokio::time::timeout(LIMIT, process.receive()).await.unwrap() else { panic!() };
    assert_eq!(down.reference, monitor);
    assert_eq!(down.reason.decode().unwrap(), Term::atom("noconnection"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_c_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let foreign = ForeignNode::c(&unique("cnode"), stage.epmd.port(), Rex::Answers);
    talk(&node, &foreign).await;
    let peer = name(&foreign);
    let error = call(&node, &peer, "fail", vec![]).await.unwrap_err();
    let CallError::Exception(exception) = error else { panic!("{error}") };
    assert_eq!((exception.class, exception.reason), (Class::Error, Term::atom("badarg")));
    let reply: Term = node.gen_call(("server", &peer), &Term::from(11)).timeout(LIMIT).await.unwrap();
    assert_eq!(reply, Term::from(11));
    // A process that does not answer cannot be monitored; so the wait is limited.
    let error = node.gen_call::<Term>(("nobody", &peer), &Term::from(1)).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout(_)), "{error}");
    let output = foreign.output();
    let operations = output.lines().filter_map(|line| line.strip_prefix("op ")).map(|line| line.split(' ').next());
    // REG_SEND, and EXIT2.
    assert!(operations.clone().all(|operation| matches!(operation, Some("6" | "8"))), "{output}");
    assert_eq!(operations.filter(|operation| *operation == Some("8")).count(), 1, "{output}");
    watch_the_end(&node, foreign).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_java_node() {
    let stage = Stage::new();
    let node = stage.node().await;
    let foreign = ForeignNode::java(&unique("java"), stage.epmd.port(), Rex::Answers);
    talk(&node, &foreign).await;
    watch_the_end(&node, foreign).await;
}

/// The calls fail soon, and the nodes continue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_take_no_calls() {
    let stage = Stage::new();
    let node = stage.node().await;
    let c = ForeignNode::c(&unique("deaf"), stage.epmd.port(), Rex::Missing);
    let java = ForeignNode::java(&unique("mute"), stage.epmd.port(), Rex::Missing);
    let refused = async |foreign: &ForeignNode| {
        let peer = name(foreign);
        let error = call(&node, &peer, "add", vec![Term::from(1)]).await.unwrap_err();
        assert!(matches!(error, CallError::NoRex), "{error}");
        node.ping(&peer).await.unwrap();
    };
    tokio::join!(refused(&c), refused(&java));
}

/// A fan-out over them fails soon, and loses nothing beside a BEAM that accepts the calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fan_out_does_not_wait_for_nodes_that_take_no_calls() {
    let stage = Stage::new();
    let node = stage.node().await;
    let mute = ForeignNode::c(&unique("mute"), stage.epmd.port(), Rex::Missing);
    let answering = ForeignNode::c(&unique("cnode"), stage.epmd.port(), Rex::Answers);
    for peer in [&mute, &answering] {
        node.connect(&name(peer)).await.unwrap();
    }
    let map = async |peers: Vec<NodeName>| {
        let call = |item: &i64| Mfa::new("erlang", "abs", (*item,)).unwrap();
        let mapped = node.pmap(peers, call, 0..300).timeout(Duration::from_secs(60)).run::<Term>();
        futures::StreamExt::collect::<Vec<_>>(mapped).await
    };
    let began = std::time::Instant::now();
    let all = map(vec![name(&mute)]).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(all.len() == 300 && all.iter().all(|mapped| matches!(mapped.result, Err(CallError::NoRex))));
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let all = map(vec![name(&mute), beam.name().parse().unwrap()]).await;
        assert!(all.len() == 300 && all.iter().all(|mapped| mapped.result.is_ok()));
    }
    let all = map(vec![name(&answering)]).await;
    assert!(all.len() == 300 && all.iter().all(|mapped| mapped.result.is_ok()));
}

/// Other names and messages, and a network between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_c_node_on_another_machine() {
    let lan = Lan::start();
    let machine = lan.machine(lan.address(7));
    let _epmd = epmd(&machine);
    let within = |command| machine.command(command);
    let foreign = ForeignNode::c_by(&format!("sensor@{}", machine.address()), 4369, Rex::Answers, within);
    let node = peerl::node(format!("reader@{}", lan.gateway()))
        .cookie(peerl_test_support::COOKIE)
        .epmd(peerl_node::Epmd::Unregistered)
        .epmd_client(peerl_epmd::Client::new((machine.address(), 4369).into()))
        .start()
        .await
        .unwrap();
    talk(&node, &foreign).await;
    watch_the_end(&node, foreign).await;
}

fn epmd(machine: &Machine) -> ProcessGuard {
    let epmd = ProcessGuard::spawn(&mut machine.command(std::process::Command::new("epmd")));
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let mut names = std::process::Command::new("epmd");
        names.arg("-names");
        if machine.command(names).output().unwrap().status.success() {
            return epmd;
        }
        assert!(std::time::Instant::now() < end, "EPMD does not start");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The flags of these kinds of nodes.
fn kinds() -> Vec<(&'static str, DistributionFlags)> {
    let least = DistributionFlags::MANDATORY_26;
    let full = DistributionFlags::HIDDEN.difference(DistributionFlags::ALTACT_SIG);
    vec![
        ("the least", least),
        ("ei", least | DistributionFlags::DIST_MONITOR | DistributionFlags::SMALL_ATOM_TAGS),
        ("monitors by name", least | DistributionFlags::DIST_MONITOR_NAME),
        ("monitors", least | DistributionFlags::DIST_MONITOR | DistributionFlags::DIST_MONITOR_NAME),
        ("AtomVM", full.difference(DistributionFlags::DIST_HDR_ATOM_CACHE | DistributionFlags::FRAGMENTS)),
        ("no senders", full.difference(DistributionFlags::SEND_SENDER)),
        ("no payloads", full.difference(DistributionFlags::EXIT_PAYLOAD)),
        ("no aliases", full.difference(DistributionFlags::ALIAS)),
        ("a full member", full),
    ]
}

/// A BEAM and peerl send a test node with the flags of each kind the same control messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operations_of_a_beam() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        for (kind, flags) in kinds() {
            let recorder = Recorder::start(&stage, flags).await;
            sends_of_the_beam(&beam, &node, &recorder).await;
            sends_of_ours(&node, &recorder).await;
            let (theirs, ours) = (recorder.operations(beam.name()), recorder.operations(node.name().as_str()));
            assert_eq!(ours, theirs, "{kind}, OTP {}", otp.number());
            assert!(theirs.contains(&6) && theirs.contains(&1), "{theirs:?}");
            node.disconnect(&recorder.name());
        }
    }
}

/// All operations of a process on another one. `stop` ends the record.
async fn sends_of_the_beam(beam: &Beam, node: &Node, recorder: &Recorder) {
    let run = "
        % What is sent while a connection is being made is encoded before the flags are known.
        true = net_kernel:hidden_connect_node(REC),
        Run = fun(F) -> {P, R} = spawn_monitor(F), receive {'DOWN', R, _, P, _} -> ok end end,
        register(watched, Watched = spawn(fun() -> receive watching -> exit(enough) end end)),
        Ended = monitor(process, Watched),
        Run(fun() ->
            {sink, REC} ! hello,
            PID ! {hello, 2},
            M1 = monitor(process, PID), demonitor(M1),
            M2 = monitor(process, {sink, REC}), demonitor(M2),
            link(PID), unlink(PID),
            exit(PID, {bye, 1}),
            ALIAS ! aliased
        end),
        Run(fun() -> link(PID), exit({enough, 3}) end),
        Run(fun() -> monitor(process, {sink, REC}), exit({enough, 3}) end),
        {sink, REC} ! watch,
        receive {'DOWN', Ended, _, _, enough} -> ok end,
        {sink, REC} ! stop,
        ok";
    let expression = run.replace("REC", &format!("'{}'", recorder.name()));
    let variables = [("PID", recorder.pid().into()), ("ALIAS", recorder.alias().into())];
    assert_eq!(eval_with(beam, node, &expression, variables).await, "ok");
    recorder.wait_for_stop(beam.name()).await;
}

async fn sends_of_ours(node: &Node, recorder: &Recorder) {
    let (peer, pid) = (recorder.name(), recorder.pid());
    let sink = || (Atom::from_static("sink"), recorder.name());
    let mut watched = node.process();
    watched.register(Atom::from_static("watched")).unwrap();
    let process = node.process();
    process.send_term(sink(), &Term::atom("hello")).await.unwrap();
    process.send_term(&pid, &Term::tuple([Term::atom("hello"), Term::from(2)])).await.unwrap();
    let monitor = process.monitor(&pid).await;
    process.demonitor(&monitor);
    let monitor = process.monitor(sink()).await;
    process.demonitor(&monitor);
    process.link(&pid).await;
    process.unlink(&pid);
    process.exit_other(&pid, &Term::tuple([Term::atom("bye"), Term::from(1)]));
    let _ = process.send_to_alias(&recorder.alias(), &Term::atom("aliased")).await;
    let enough = Term::tuple([Term::atom("enough"), Term::from(3)]);
    let linked = node.process();
    linked.link(&pid).await;
    linked.exit(&enough);
    let watching = node.process();
    watching.monitor(sink()).await;
    watching.exit(&enough);
    process.send_term(sink(), &Term::atom("watch")).await.unwrap();
    assert_eq!(message(&mut watched).await, Term::atom("watching"));
    watched.exit(&Term::atom("enough"));
    process.send_term(sink(), &Term::atom("stop")).await.unwrap();
    recorder.wait_for_stop(node.name().as_str()).await;
    eventually("the connection is up", || node.nodes(peerl_node::Nodes::Connected).contains(&peer)).await;
    assert!(!matches!(node.events().try_recv(), Ok(NodeEvent::NodeDown { reason: NodeDownReason::Protocol(_), .. })));
}

/// A node with these flags spawns nothing, and one without `EXIT_PAYLOAD` accepts reasons only in the control
/// message; its calls are still answered, in a form that it accepts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_a_node_with_the_least_flags() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let recorder = Recorder::start(&stage, DistributionFlags::MANDATORY_26).await;
    node.connect(&recorder.name()).await.unwrap();
    let call = Term::tuple([
        Term::atom("call"),
        Term::atom("rust"),
        Term::atom("add"),
        Term::list([Term::from(40), Term::from(2)]),
        Term::atom("user"),
    ]);
    recorder.send(node.name().as_str(), "rex", &Term::tuple([recorder.pid().into(), call])).await;
    let sum = Term::tuple([Term::atom("rex"), Term::from(42)]);
    eventually("an answer", || recorder.payloads(node.name().as_str()).contains(&sum)).await;
    assert_eq!(recorder.operations(node.name().as_str()), [2]);
}
