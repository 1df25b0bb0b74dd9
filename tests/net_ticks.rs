//! Ticks for peers whose tick time is shorter than this node's; they do not announce it.

mod stage;

use std::time::Duration;

use peerl_node::{Atom, Node, NodeDownReason, NodeEvent};
use peerl_test_support::{Beam, Lan, Otp, ProcessGuard, matrix, unique_name};
use stage::{LIMIT, Stage, eval, expect};

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
    let peer = stage::name(beam);
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
    let up = async { while node.connect(&stage::name(&beam)).await.is_err() {} };
    tokio::time::timeout(LIMIT, up).await.unwrap();
    let sends = "[begin {store, NODE} ! {sample, N}, timer:sleep(900) end || N <- lists:seq(1, 12)], ok";
    assert_eq!(eval(&beam, &node, sends).await, "ok");
    assert!(matches!(events.try_recv(), Ok(NodeEvent::NodeUp { .. })));
    if let Ok(NodeEvent::NodeDown { reason, .. }) = events.try_recv() {
        panic!("{}", NodeDownReason::to_string(&reason));
    }
}
