//! Peers that die, hang or lose their EPMD, and what each side notices.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerl_epmd::{Client, Registration};
use peerl_node::{
    Atom, CallError, ConnectError, Epmd as Mapper, Exception, Limits, Mfa, NodeDownReason, NodeEvent, Nodes, Process,
    Term,
};
use peerl_test_support::{COOKIE, Epmd, Identity, Otp, ProcessGuard, conformance, matrix, unique_name};
use tokio::sync::Semaphore;

use crate::stage::{LIMIT, Stage, eval_with, event, eventually, expect, export, message, mutual_tls, name};

fn sleep() -> Mfa {
    Mfa::new("timer", "sleep", (600_000,)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let mut events = node.events();

        let mut watcher = node.process();
        let monitor = watcher.monitor(("init", &peer)).await;
        let mut linked = node.process();
        linked.trap_exit(true);
        eval_with(
            &beam,
            &node,
            "P ! spawn(fun() -> receive never -> ok end end), ok",
            [("P", linked.pid().clone().into())],
        )
        .await;
        let other = message(&mut linked).await.as_pid().unwrap().clone();
        linked.link(&other).await;
        let calls: Vec<_> = (0..100).map(|_| tokio::spawn(node.call::<Term>(&peer, sleep()).into_future())).collect();
        let gen_call = tokio::spawn(node.gen_call::<Term>(("init", &peer), &"no reply").into_future());
        beam.wait_for_async(
            "length([P || P <- processes(), {_, {timer, sleep, 1}} <- [process_info(P, current_function)]]) >= 100",
            "true",
            LIMIT,
        )
        .await;

        let killed = Instant::now();
        beam.kill();
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
        assert_eq!(
            event(&mut events).await,
            NodeEvent::NodeDown { node: peer.clone(), reason: NodeDownReason::ConnectionClosed }
        );
        for call in calls {
            assert!(matches!(call.await.unwrap(), Err(CallError::NodeDown)));
        }
        assert!(matches!(gen_call.await.unwrap(), Err(CallError::NodeDown)));
        let Term::Tuple(down) = message(&mut watcher).await else { panic!() };
        assert_eq!((&down[1], &down[4]), (&Term::from(monitor), &Term::atom("noconnection")));
        let Term::Tuple(exit) = message(&mut linked).await else { panic!() };
        assert_eq!((&exit[1], &exit[2]), (&Term::from(other), &Term::atom("noconnection")));
        assert!(killed.elapsed() < Duration::from_secs(10));
        assert!(node.nodes(Nodes::Connected).is_empty());
        // EPMD has noticed it by now, or the port is closed.
        let again = node.call::<Term>(&peer, sleep()).await;
        assert!(
            matches!(again, Err(CallError::Connect(ConnectError::UnknownNode(_) | ConnectError::Io { .. }))),
            "{again:?}"
        );
        conformance::holds(otp, [32, 51]);
    }
}

/// A program with a peerl node is killed: the BEAM notices it as it does with a BEAM node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_death() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let own_name = format!("{}@127.0.0.1", unique_name("mortal"));
        let program = mortal_program(&own_name, &stage).await;
        let watch = "
            ok = net_kernel:monitor_nodes(true, [nodedown_reason]), pong = net_adm:ping(NODE),
            receive {nodeup, NODE, _} -> ok end,
            register(watcher, self()), process_flag(trap_exit, true),
            {server, NODE} ! {self(), hello}, receive P when is_pid(P) -> link(P) end, R = monitor(process, P),
            K = rpc:async_call(NODE, rust, sleep, [600000]),
            Down = receive {'DOWN', R, process, P, A} -> A end, Exit = receive {'EXIT', P, B} -> B end,
            Node = receive {nodedown, NODE, C} -> C end,
            {Down, Exit, Node, rpc:yield(K)}";
        let watched = beam.eval_within_async(watch.replace("NODE", &format!("'{own_name}'")), LIMIT);
        let (watched, ()) = tokio::join!(watched, async {
            beam.wait_for_async(
                "is_pid(whereis(watcher)) andalso element(2, process_info(whereis(watcher), monitors)) =/= []",
                "true",
                LIMIT,
            )
            .await;
            program.kill();
        });
        assert_eq!(
            watched.unwrap(),
            "{noconnection,noconnection,[{nodedown_reason,connection_closed}],{badrpc,nodedown}}"
        );
        conformance::holds(otp, [33]);
    }
}

/// A peerl node restarts while the BEAM still has the connection of the first, which hangs: the BEAM answers `alive`,
/// and the new node replaces the old one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_restart_unnoticed() {
    let stages = [Stage::new(), Stage::with_tls()];
    for (stage, otp) in stages.iter().flat_map(|stage| matrix().into_iter().map(move |otp| (stage, otp))) {
        let beam = stage.beam(otp).await;
        let own_name = format!("{}@127.0.0.1", unique_name("mortal"));
        let old = mortal_program(&own_name, stage).await;
        let ping = format!("net_adm:ping('{own_name}')");
        assert_eq!(beam.eval_async(ping).await.unwrap(), "pong");
        old.sigstop();

        // The old node keeps its name at the EPMD; the new one finds the BEAM through another.
        let other_epmd = Epmd::start();
        let beam_port = beam.eval_async(
            "{port, P, _} = erl_epmd:port_please(hd(string:split(atom_to_list(node()), \"@\")), {127,0,0,1}), P",
        );
        let registration =
            Registration::new(name(&beam).name().parse().unwrap(), beam_port.await.unwrap().parse().unwrap());
        let client = Client::new(other_epmd.address());
        let _lease = client.register(registration).await.unwrap();
        let new = stage.builder_of(&own_name).epmd_client(client);
        let new = new.start().await.unwrap();
        export(&new);
        let watch = format!(
            "ok = net_kernel:monitor_nodes(true), register(watcher, self()), receive {{nodedown, '{own_name}'}} -> ok end,
             receive {{nodeup, '{own_name}'}} -> rpc:call('{own_name}', rust, add, [1, 2]) end"
        );
        let watched = tokio::spawn(beam.eval_within_async(watch, LIMIT));
        beam.wait_for_async("is_pid(whereis(watcher))", "true", LIMIT).await;
        new.ping(&name(&beam)).await.unwrap();
        assert_eq!(watched.await.unwrap().unwrap(), "3");
        old.kill();
        conformance::holds(otp, [11]);
    }
}

async fn mortal_program(own_name: &str, stage: &Stage) -> ProcessGuard {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--exact", "failures::mortal", "--ignored", "--nocapture"]);
    program.env("MORTAL_NAME", own_name).env("MORTAL_EPMD", stage.epmd.address().to_string());
    if let Some(Identity { certificate, key, authority }) = stage.identity() {
        program.env("MORTAL_CERTIFICATE", certificate).env("MORTAL_KEY", key).env("MORTAL_AUTHORITY", authority);
    }
    let program = ProcessGuard::spawn(&mut program);
    let up = tokio::task::spawn_blocking(move || {
        program.wait_for_line("mortal is up", LIMIT);
        program
    });
    up.await.unwrap()
}

/// Not a test: the program with a node that other tests kill or stop.
#[ignore = "run by another test"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mortal() {
    let Ok(own_name) = std::env::var("MORTAL_NAME") else { return };
    let epmd = std::env::var("MORTAL_EPMD").unwrap().parse().unwrap();
    let node = peerl::node(own_name).cookie(COOKIE).epmd(Mapper::External).epmd_client(Client::new(epmd));
    let file = |variable| std::env::var(variable).ok().map(PathBuf::from);
    let node = match (file("MORTAL_CERTIFICATE"), file("MORTAL_KEY"), file("MORTAL_AUTHORITY")) {
        (Some(certificate), Some(key), Some(authority)) => {
            node.transport(mutual_tls(&Identity { certificate, key, authority }))
        }
        _ => node,
    };
    let node = node.start().await.unwrap();
    export(&node);
    let mut process = node.process();
    process.register(Atom::from_static("server")).unwrap();
    println!("mortal is up");
    loop {
        let message = message_without_limit(&mut process).await;
        let from = message.as_tuple().unwrap()[0].as_pid().unwrap().clone();
        process.send_term(&from, &process.pid().clone().into()).await.unwrap();
    }
}

async fn message_without_limit(process: &mut Process) -> Term {
    process.receive().await.unwrap().into_term().unwrap()
}

/// A stopped peer keeps its connections open, and is silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_peer() {
    let stage = Stage::new();
    let stopped = matrix().into_iter().map(|otp| stop_a_peer(&stage, otp));
    futures::future::join_all(stopped).await;
}

async fn stop_a_peer(stage: &Stage, otp: Otp) {
    let node = stage.builder().net_ticktime(Duration::from_secs(6)).start().await.unwrap();
    let beam = stage.erlang(otp).args(["-kernel", "net_ticktime", "6"]).start_async().await;
    let peer = name(&beam);
    let mut events = node.events();
    node.connect(&peer).await.unwrap();
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    let call = tokio::spawn(node.call::<Term>(&peer, sleep()).into_future());
    // While it ticks it counts as alive, though it sends nothing else.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(node.nodes(Nodes::Connected), std::slice::from_ref(&peer));

    beam.sigstop();
    let stopped = Instant::now();
    // A write is pending when it stops.
    let process = node.process();
    let to = peer.clone();
    let flooding = tokio::spawn(async move {
        let data = Term::binary(vec![0; 60 << 10]);
        while process.send_term(("sink", &to), &data).await.is_ok() {}
    });
    assert_eq!(
        event(&mut events).await,
        NodeEvent::NodeDown { node: peer.clone(), reason: NodeDownReason::NetTickTimeout }
    );
    assert!(matches!(call.await.unwrap(), Err(CallError::Disconnected(NodeDownReason::NetTickTimeout))));
    let elapsed = stopped.elapsed();
    flooding.abort();
    assert!(elapsed > Duration::from_millis(900) && elapsed < LIMIT, "{elapsed:?}");

    // It continues, notices the end of its connection, and can be reached again.
    beam.sigcont();
    node.ping(&peer).await.unwrap();
    expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
}

/// A BEAM with a short tick time keeps a ticking node, and drops a stopped one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_a_short_tick_time() {
    let stage = Stage::new();
    let nodes = matrix().into_iter().map(|otp| {
        let stage = &stage;
        async move {
            let node = stage.hidden().await;
            let beam = stage.erlang(otp).args(["-kernel", "net_ticktime", "6"]).start_async().await;
            let mut events = node.events();
            expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
            assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
            tokio::time::sleep(Duration::from_secs(15)).await;
            assert!(events.try_recv().is_err());
            expect(&beam, &node, "nodes(hidden) =:= [NODE]", "true").await;
        }
    });
    futures::future::join_all(nodes).await;
}

/// EPMD dies and restarts: the node is registered again within two seconds, with the same creation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epmd_restarts() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let (old, new) = (stage.beam(otp).await, stage.erlang(otp));
        expect(&old, &node, "net_adm:ping(NODE)", "pong").await;
        let creation = node.creation();
        stage.epmd.kill();
        // Connections stay.
        expect(&old, &node, "net_adm:ping(NODE)", "pong").await;
        stage.epmd.restart();
        let restarted = Instant::now();
        let registered = || stage.epmd.names().contains(&(node.name().name().to_owned(), node.port()));
        eventually("the registration", registered).await;
        assert!(restarted.elapsed() < Duration::from_secs(15), "{:?}", restarted.elapsed());
        assert_eq!(node.creation(), creation);
        let new = new.start_async().await;
        expect(&new, &node, "net_adm:ping(NODE)", "pong").await;
        let mut process = node.process();
        eval_with(&new, &node, "P ! found, ok", [("P", process.pid().clone().into())]).await;
        assert_eq!(message(&mut process).await, Term::atom("found"));
        conformance::holds(otp, [5]);
    }
}

/// A peer that sends requests and never reads the answers neither fills this node's memory nor delays others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read() {
    let stage = Stage::new();
    let otp = matrix()[0];
    let node = stage.node().await;
    export(&node);
    let (stopped, other) = (stage.beam(otp).await, stage.beam(otp).await);
    let peer = name(&stopped);
    node.ping(&peer).await.unwrap();
    stopped.sigstop();
    // One process sends without end, and waits while the connection is busy.
    let process = node.process();
    let data = Term::binary(vec![0; 60 << 10]);
    let flooding = async {
        for _ in 0..1000 {
            process.send_term(("sink", &peer), &data).await.unwrap();
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), flooding).await.is_err(), "backpressure");
    expect(&other, &node, "erpc:call(NODE, rust, add, [1, 2])", "3").await;
    stopped.sigcont();
    node.ping(&peer).await.unwrap();
}

/// A peer that requests more than it reads is disconnected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_and_does_not_read() {
    let stage = Stage::new();
    for otp in matrix() {
        let limits = Limits { queued: 8 << 20, ..Limits::default() };
        let node = stage.builder().limits(limits).start().await.unwrap();
        let (asked, stopped) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (count, wait) = (asked.clone(), stopped.clone());
        node.export("rust", "big", move |()| {
            let (count, wait) = (count.clone(), wait.clone());
            async move {
                count.add_permits(1);
                let _ = wait.acquire().await.unwrap();
                Ok::<_, Exception>(Term::binary(vec![7; 1 << 20]))
            }
        })
        .unwrap();
        let beam = stage.beam(otp).await;
        let mut events = node.events();
        // The requesting process stays alive: if it ended, its requests would be cancelled.
        let ask = "spawn(fun() -> [erpc:send_request(NODE, rust, big, []) || _ <- lists:seq(1, 50)], \
                   receive never -> ok end end), ok";
        expect(&beam, &node, ask, "ok").await;
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
        let _ = asked.acquire_many(50).await.unwrap();
        beam.sigstop();
        stopped.add_permits(50);
        let down = NodeEvent::NodeDown { node: name(&beam), reason: NodeDownReason::Congested };
        assert_eq!(event(&mut events).await, down);
        beam.sigcont();
        node.ping(&name(&beam)).await.unwrap();
    }
}
