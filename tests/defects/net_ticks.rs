//! Ticks: for idle peers, and for those whose tick time is shorter than this node's, which they do not announce.

use std::io::Write;
use std::time::Duration;

use crate::intruder::Intruder;
use crate::stage::{LIMIT, Stage, eval, expect};
use peerl_node::{Atom, Node, NodeDownReason, NodeEvent};
use peerl_test_support::{Beam, Lan, Otp, ProcessGuard, conformance, matrix, unique_name};

/// The tick time of the BEAM in seconds; this node's is a minute.
const TICK_TIME: &str = "8";

/// Longer than a BEAM waits for a silent peer.
const TRAFFIC: Duration = Duration::from_secs(15);

/// `log_missed_net_ticks` exists in OTP 29; older releases ignore it.
const TICKS: [&str; 6] = ["-kernel", "net_ticktime", TICK_TIME, "-kernel", "log_missed_net_ticks", "true"];

/// The BEAM sends, and gets only ticks.
async fn one_way(beam: &Beam, node: &Node) {
    let sink = node.process();
    sink.register(Atom::from_static("sink")).unwrap();
    let mut events = node.events();
    expect(beam, node, "net_adm:ping(NODE)", "pong").await;
    let sends = format!(
        "[begin {{sink, NODE}} ! N, timer:sleep(500) end || N <- lists:seq(1, {})], ok",
        TRAFFIC.as_millis() / 500
    );
    assert_eq!(eval(beam, node, &sends).await, "ok");
    expect(beam, node, "lists:member(NODE, nodes())", "true").await;
    assert!(matches!(events.try_recv(), Ok(NodeEvent::NodeUp { .. })));
    assert!(events.try_recv().is_err(), "the connection has stayed up");
}

/// This node sends, and the BEAM writes only ticks; between its calls, nothing at all.
async fn the_other_way(beam: &Beam, node: &Node) {
    let mut events = node.events();
    let process = node.process();
    let peer = crate::stage::name(beam);
    for number in 0..TRAFFIC.as_secs() {
        process.send(("nobody", &peer), &number).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    // Now both are idle, except for a call that makes the BEAM tick within a second.
    for _ in 0..3 {
        expect(beam, node, "timer:sleep(1500), net_adm:ping(NODE)", "pong").await;
    }
    assert!(matches!(events.try_recv(), Ok(NodeEvent::NodeUp { .. })));
    assert!(events.try_recv().is_err(), "the connection has stayed up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_with_a_short_tick_time() {
    let stage = Stage::new();
    let runs = matrix().into_iter().map(async |otp| {
        let start = || async { stage.erlang(otp).args(TICKS).start_async().await };
        let (sender, receiver) = (start().await, start().await);
        let (silent, idle) = (stage.node().await, stage.node().await);
        tokio::join!(one_way(&sender, &silent), the_other_way(&receiver, &idle));
        for beam in [sender, receiver] {
            assert!(!beam.log().contains("missed"), "{}", beam.log());
        }
    });
    futures::future::join_all(runs).await;
}

/// Nothing is sent for five times the tick time of both sides: each has heard of the other. The tick time is 4 s, to save time; with
/// that of OTP it takes five minutes:
///
/// ```text
/// PEERL_OTP_MATRIX=1 PEERL_TICK_TIME=60 cargo test --workspace --test defects net_ticks::idle
/// ```
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections() {
    let tick_time: u64 = std::env::var("PEERL_TICK_TIME").map_or(4, |seconds| seconds.parse().unwrap());
    let stage = Stage::new();
    let runs = matrix().into_iter().map(async |otp| {
        let ticks = ["-kernel", "net_ticktime", &tick_time.to_string()];
        let beam = stage.erlang(otp).args(ticks).start_async().await;
        let node = stage.builder().net_ticktime(Duration::from_secs(tick_time)).start().await.unwrap();
        let mut events = node.events();
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        assert!(matches!(crate::stage::event(&mut events).await, NodeEvent::NodeUp { .. }));
        let counts = "{_, Port} = lists:keyfind(NODE, 1, erlang:system_info(dist_ctrl)),
            {ok, Counts} = inet:getstat(Port, [recv_cnt, send_cnt]), [{_, Received}, {_, Sent}] = lists:sort(Counts),
            #{received => Received, sent => Sent}";
        let counts = async || {
            let printed = eval(&beam, &node, counts).await;
            let numbers = printed.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
            let numbers: Vec<u64> = numbers.map(|digits| digits.parse().unwrap()).collect();
            assert_eq!(numbers.len(), 2, "{printed}");
            numbers
        };
        let before = counts().await;
        tokio::time::sleep(Duration::from_secs(5 * tick_time)).await;
        let after = counts().await;
        // Four times in each tick time, less what a busy machine delays.
        assert!(after[0] >= before[0] + 8 && after[1] >= before[1] + 8, "{before:?} {after:?}");
        assert!(events.try_recv().is_err(), "the connection has stayed up");
        expect(&beam, &node, "lists:member(NODE, nodes())", "true").await;
        conformance::holds(otp, [21]);
    });
    futures::future::join_all(runs).await;
}

/// A BEAM drops a peer that sends nothing, and none that ticks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_peers() {
    let stage = Stage::new();
    let runs = matrix().into_iter().map(async |otp| {
        let beam = stage.erlang(otp).args(["-kernel", "net_ticktime", TICK_TIME]).start_async().await;
        let peer = crate::stage::name(&beam);
        let (_, port) = stage.epmd.names().into_iter().find(|(name, _)| name == peer.name()).unwrap();
        let watch = "register(watcher, spawn(fun() -> ok = net_kernel:monitor_nodes(true, [nodedown_reason, {node_type, hidden}]),
            receive {nodedown, Node, Info} -> Why = proplists:get_value(nodedown_reason, Info),
                receive {ask, From} -> From ! {Node, Why} end end end)), ok";
        assert_eq!(beam.eval_async(watch).await.as_deref(), Ok("ok"));
        let attack = move |peer: peerl_node::NodeName| {
            let intruder = |stem| Intruder::connect_to(&format!("{}@127.0.0.1", unique_name(stem)), &peer, port);
            let (mut silent, ticking) = (intruder("silent"), intruder("ticking"));
            let socket = ticking.socket.try_clone().unwrap();
            let ticks = std::thread::spawn(move || {
                let mut socket = socket;
                while socket.write_all(&[0; 4]).is_ok() {
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            silent.assert_closed("silence");
            (silent.name, ticking, ticks)
        };
        let (silent, ticking, ticks) = tokio::task::spawn_blocking(move || attack(peer)).await.unwrap();
        let told = beam.eval_async("watcher ! {ask, self()}, receive {Node, Why} -> {Node, Why} end").await;
        assert_eq!(told.unwrap(), format!("{{'{silent}',net_tick_timeout}}"));
        let connected = beam.eval_async("nodes(hidden)").await.unwrap();
        assert_eq!(connected, format!("['{}']", ticking.name));
        ticking.socket.shutdown(std::net::Shutdown::Both).unwrap();
        ticks.join().unwrap();
        conformance::holds(otp, [22]);
    });
    futures::future::join_all(runs).await;
}

/// Over a network, with other intervals.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_network() {
    let lan = Lan::start();
    let machine = lan.machine(lan.address(9));
    let _epmd = ProcessGuard::spawn(&mut machine.command(std::process::Command::new("epmd")));
    let beam_name = format!("{}@{}", unique_name("metrics"), machine.address());
    let beam =
        Beam::erlang(Otp::V25).name(&beam_name).on(&machine).args(["-kernel", "net_ticktime", "6"]).start_async().await;
    let node = peerl::node(format!("{}@{}", unique_name("store"), lan.gateway()))
        .cookie(peerl_test_support::COOKIE)
        .epmd(peerl_node::Epmd::Unregistered)
        .epmd_client(peerl_epmd::Client::new((machine.address(), 4369).into()))
        .start()
        .await
        .unwrap();
    let sink = node.process();
    sink.register(Atom::from_static("store")).unwrap();
    let mut events = node.events();
    let up = async { while node.connect(&crate::stage::name(&beam)).await.is_err() {} };
    tokio::time::timeout(LIMIT, up).await.unwrap();
    let sends = "[begin {store, NODE} ! {sample, N}, timer:sleep(900) end || N <- lists:seq(1, 12)], ok";
    assert_eq!(eval(&beam, &node, sends).await, "ok");
    assert!(matches!(events.try_recv(), Ok(NodeEvent::NodeUp { .. })));
    if let Ok(NodeEvent::NodeDown { reason, .. }) = events.try_recv() {
        panic!("{}", NodeDownReason::to_string(&reason));
    }
}
