//! Connections between nodes: pings, lists of nodes, events, and refused peers.

use std::time::Duration;

use crate::stage::{LIMIT, Stage, eval, event, eventually, expect, message, name};
use futures::future::join_all;
use peerl_epmd::{Client, Registration};
use peerl_node::{
    CallError, ConnectError, Cookie, Mfa, Node, NodeDownReason, NodeEvent, NodeName, Nodes, StartError, Term,
    Visibility,
};
use peerl_proto::handshake::HandshakeError;
use peerl_test_support::{Epmd, conformance, free_ports, matrix, unique_name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_know_each_other() {
    let stage = Stage::new();
    for otp in matrix() {
        let (visible, hidden) = (stage.node().await, stage.hidden().await);
        let beam = stage.beam(otp).await;
        let peer = name(&beam);

        // The BEAM dials one, the other dials the BEAM.
        expect(&beam, &visible, "net_adm:ping(NODE)", "pong").await;
        hidden.ping(&peer).await.unwrap();
        expect(&beam, &visible, "nodes() =:= [NODE]", "true").await;
        expect(&beam, &hidden, "nodes(hidden) =:= [NODE]", "true").await;
        expect(&beam, &hidden, "length(nodes(connected))", "2").await;
        expect(&beam, &hidden, "net_adm:ping(NODE)", "pong").await;
        for (node, shown) in [(&visible, Nodes::Visible), (&hidden, Nodes::Hidden)] {
            assert_eq!(node.nodes(shown), std::slice::from_ref(&peer));
            assert_eq!(node.nodes(Nodes::Connected), std::slice::from_ref(&peer));
            assert_eq!(node.nodes(Nodes::This), [node.name().clone()]);
        }
        assert!(visible.nodes(Nodes::Hidden).is_empty());

        // They find each other.
        visible.ping(hidden.name()).await.unwrap();
        assert_eq!(hidden.nodes(Nodes::Hidden).len(), 2);

        // Other requests to `net_kernel`.
        expect(&beam, &visible, "gen_server:call({net_kernel, NODE}, longnames)", "true").await;
        expect(&beam, &visible, "gen_server:call({net_kernel, NODE}, nodename) =:= NODE", "true").await;
        conformance::holds(otp, [7, 46]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_are_told() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        let mut events = node.events();
        let up = NodeEvent::NodeUp { node: peer.clone(), visibility: Visibility::Visible };
        let down = |reason| NodeEvent::NodeDown { node: peer.clone(), reason };

        let watched = eval(
            &beam,
            &node,
            "ok = net_kernel:monitor_nodes(true, [nodedown_reason]),
             pong = net_adm:ping(NODE), receive {nodeup, NODE, _} -> ok end,
             true = erlang:disconnect_node(NODE), receive {nodedown, NODE, Why} -> Why end",
        );
        assert_eq!(watched.await, "[{nodedown_reason,disconnect}]");
        assert_eq!(event(&mut events).await, up);
        assert_eq!(event(&mut events).await, down(NodeDownReason::ConnectionClosed));

        let watched = eval(
            &beam,
            &node,
            "ok = net_kernel:monitor_nodes(true, [nodedown_reason]), register(watcher, self()),
             receive {nodeup, NODE, _} -> ok end, receive {nodedown, NODE, Why} -> Why end",
        );
        let (why, ()) = tokio::join!(watched, async {
            beam.wait_for_async("is_pid(whereis(watcher))", "true", LIMIT).await;
            node.connect(&peer).await.unwrap();
            assert!(node.disconnect(&peer));
            assert!(!node.disconnect(&peer));
        });
        assert_eq!(why, "[{nodedown_reason,connection_closed}]");
        assert_eq!(event(&mut events).await, up);
        assert_eq!(event(&mut events).await, down(NodeDownReason::Disconnect));
        conformance::holds(otp, [46]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cookie_is_refused() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.node().await;
        let stranger = stage.erlang(otp).cookie("another").start_async().await;
        let friend = stage.beam(otp).await;

        let error = node.connect(&name(&stranger)).await.unwrap_err();
        let ConnectError::Handshake { source: HandshakeError::CookieMismatch { peer }, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(peer, name(&stranger));
        expect(&stranger, &node, "net_adm:ping(NODE)", "pang").await;
        assert!(node.nodes(Nodes::Connected).is_empty());
        let rejected = format!("Connection attempt from node '{}' rejected", node.name());
        eventually("a log event of the BEAM", || stranger.log().contains(&rejected)).await;

        // Other peers are not affected, and a cookie for this one peer helps.
        expect(&friend, &node, "net_adm:ping(NODE)", "pong").await;
        node.set_cookie(name(&stranger), Cookie::new("another").unwrap());
        node.ping(&name(&stranger)).await.unwrap();
        node.disconnect(&name(&stranger));
        // Until it has noticed, its messages go into the old connection.
        stranger.wait_for_async("nodes()", "[]", LIMIT).await;
        expect(&stranger, &node, "net_adm:ping(NODE)", "pong").await;
        conformance::holds(otp, [8]);
    }
}

/// EPMD leads to a node that has another name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_name_is_refused() {
    let stage = Stage::new();
    let client = Client::new(stage.epmd.address());
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        let beam_port = eval(
            &beam,
            &node,
            "{port, P, _} = erl_epmd:port_please(hd(string:split(atom_to_list(node()), \"@\")), {127,0,0,1}), P",
        );
        let aliases = [("alias_of_peerl", node.port()), ("alias_of_beam", beam_port.await.parse().unwrap())];
        let mut leases = Vec::new();
        for (alias, port) in aliases {
            leases.push(client.register(Registration::new(alias.parse().unwrap(), port)).await.unwrap());
        }
        let error = node.connect(&"alias_of_beam@127.0.0.1".parse().unwrap()).await.unwrap_err();
        let ConnectError::Handshake { source: HandshakeError::WrongName { answered, .. }, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(answered, beam.name());
        expect(&beam, &node, "net_adm:ping('alias_of_peerl@127.0.0.1')", "pang").await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        for lease in leases {
            lease.release().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_name_what_is_wrong() {
    let stage = Stage::new();
    let node = stage.node().await;
    let connect = async |name: &str| node.connect(&name.parse().unwrap()).await.unwrap_err();

    assert!(matches!(connect("nobody@127.0.0.1").await, ConnectError::UnknownNode(_)));
    assert!(matches!(connect(node.name().as_str()).await, ConnectError::Myself(_)));
    assert!(matches!(connect("short@localhost").await, ConnectError::NameKind { .. }));
    stage.epmd.kill();
    assert!(matches!(connect("nobody@127.0.0.1").await, ConnectError::Epmd { .. }));

    let taken = Stage::new();
    let first = taken.node().await;
    let error = taken.builder_of(first.name().as_str()).start().await.unwrap_err();
    let StartError::Epmd(error) = error else { panic!("{error:?}") };
    assert!(error.to_string().contains(first.name().name()), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn short_names() {
    let stage = Stage::new();
    for otp in matrix() {
        let node = stage.builder_of(&format!("{}@localhost", unique_name("short"))).start().await.unwrap();
        let beam = stage.erlang(otp).short_names().start_async().await;
        node.ping(&name(&beam)).await.unwrap();
        node.disconnect(&name(&beam));
        // Until it has noticed, its messages go into the old connection.
        beam.wait_for_async("nodes(connected)", "[]", LIMIT).await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
        expect(&beam, &node, "gen_server:call({net_kernel, NODE}, longnames)", "false").await;

        // The other kind of name is refused by the node that dials.
        let (long, long_beam) = (stage.node().await, stage.beam(otp).await);
        expect(&beam, &long, "net_adm:ping(NODE)", "pang").await;
        expect(&long_beam, &node, "net_adm:ping(NODE)", "pang").await;
        for (dialling, peer) in [(&node, &long_beam), (&long, &beam)] {
            let error = dialling.connect(&name(peer)).await.unwrap_err();
            assert!(matches!(error, ConnectError::NameKind { .. }), "{error:?}");
        }
        long.ping(&name(&long_beam)).await.unwrap();
        conformance::holds(otp, [13]);
    }
}

#[tokio::test]
async fn listen_range() {
    let stage = Stage::new();
    let first = free_ports(2);
    let nodes: Vec<Node> = {
        let (one, two) = (
            stage.builder().listen(first..=first + 1).start().await,
            stage.builder().listen(first..=first + 1).start().await,
        );
        vec![one.unwrap(), two.unwrap()]
    };
    assert_eq!(nodes.iter().map(Node::port).collect::<Vec<_>>(), [first, first + 1]);
    let error = stage.builder().listen(first..=first + 1).start().await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error:?}");
    assert!(error.to_string().contains(&first.to_string()), "{error}");
    nodes[0].ping(nodes[1].name()).await.unwrap();
}

/// A restarted node is another incarnation: references to the first are invalid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_under_the_same_name() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let old = stage.node().await;
        let own_name = old.name().clone();
        let old_process = old.process();
        let old_pid = old_process.pid().clone();
        let old_creation = old.creation();
        old.ping(&name(&beam)).await.unwrap();
        // Both are dropped: the name is unregistered.
        old.shutdown().await;
        drop((old_process, old));

        let new = stage.builder_of(own_name.as_str()).start().await.unwrap();
        assert_ne!(new.creation(), old_creation);
        // It notices the end of the former connection.
        beam.wait_for_async("nodes()", "[]", LIMIT).await;
        expect(&beam, &new, "net_adm:ping(NODE)", "pong").await;
        let mut process = new.process();
        assert_eq!((process.pid().id, process.pid().serial), (old_pid.id, old_pid.serial), "only the creation differs");
        let (old_pid, new_pid) = (crate::stage::external(old_pid), crate::stage::external(process.pid().clone()));
        let asker = beam.clone();
        let asked = tokio::task::spawn_blocking(move || {
            asker.eval_with(
                "R = monitor(process, Old), Old ! lost, exit(Old, kill), New ! found,
                 receive {'DOWN', R, process, Old, Why} -> Why end",
                &[("Old", &old_pid), ("New", &new_pid)],
                LIMIT,
            )
        });
        assert_eq!(asked.await.unwrap().unwrap(), "noproc");
        assert_eq!(message(&mut process).await, Term::atom("found"));
        conformance::holds(otp, [15]);
    }
}

/// A node whose last handle is dropped disappears for all others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_nodes_are_gone() {
    let stage = Stage::new();
    for otp in matrix() {
        let beam = stage.beam(otp).await;
        let node = stage.node().await;
        let process = node.process();
        let clone = node.clone();
        node.ping(&name(&beam)).await.unwrap();
        drop(node);
        expect(&beam, &clone, "net_adm:ping(NODE)", "pong").await;
        drop(clone);
        beam.wait_for_async("nodes()", "[]", LIMIT).await;
        // The process has ended, but its handle remains usable.
        let mut process = process;
        assert!(process.receive().await.is_err());
        let client = Client::new(stage.epmd.address());
        let end = std::time::Instant::now() + LIMIT;
        while client.names().await.unwrap().len() > 1 {
            assert!(std::time::Instant::now() < end, "the name stays");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        beam.stop();
    }
}

/// A BEAM restarts while this node still has the connection of the first: `alive` is asked and answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peer_restarts_unnoticed() {
    let stages = [Stage::new(), Stage::with_tls()];
    for (stage, otp) in stages.iter().flat_map(|stage| matrix().into_iter().map(move |otp| (stage, otp))) {
        let node = stage.node().await;
        let old = stage.beam(otp).await;
        node.ping(&name(&old)).await.unwrap();
        let mut events = node.events();
        let mut process = node.process();
        process.monitor(("kernel_sup", &name(&old))).await;
        old.sigstop();

        // The old node keeps its name at the EPMD; so the new one has another EPMD, where this node is registered,
        // too.
        let other_epmd = Epmd::start();
        let registration = Registration::new(node.name().name().parse().unwrap(), node.port());
        let lease = Client::new(other_epmd.address()).register(registration).await.unwrap();
        let new = stage.erlang_at(otp, &other_epmd).name(old.name()).start_async().await;
        expect(&new, &node, "net_adm:ping(NODE)", "pong").await;

        let peer = name(&old);
        assert_eq!(
            event(&mut events).await,
            NodeEvent::NodeDown { node: peer.clone(), reason: NodeDownReason::Replaced }
        );
        assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
        let Term::Tuple(down) = message(&mut process).await else { panic!() };
        assert_eq!(down[4], Term::atom("noconnection"));
        let pid: String = node.call(&peer, Mfa::new("os", "getpid", ()).unwrap()).await.map(charlist).unwrap();
        assert_ne!(pid, old.pid().to_string());
        old.kill();
        lease.release().await;
        conformance::holds(otp, [11]);
    }
}

fn charlist(term: Term) -> String {
    term.as_list().unwrap().iter().map(|c| char::from(u8::try_from(c.as_integer().unwrap()).unwrap())).collect()
}

/// Both sides connect at the same moment, repeatedly: exactly one connection remains.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_connect() {
    let stages = [(Stage::new(), 100), (Stage::with_tls(), 40)];
    for (stage, rounds, otp) in
        stages.iter().flat_map(|(stage, rounds)| matrix().into_iter().map(move |otp| (stage, *rounds, otp)))
    {
        let beam = stage.beam(otp).await;
        let peer = name(&beam);
        // One name is smaller than the BEAM's, one is greater.
        for stem in ["a", "z"] {
            let node = stage.builder_of(&format!("{}@127.0.0.1", unique_name(stem))).start().await.unwrap();
            assert_eq!(stem == "a", *node.name() < peer);
            for round in 0..rounds {
                let started = std::time::Instant::now();
                let pinged = eval(&beam, &node, "net_adm:ping(NODE)");
                let delay = Duration::from_micros((round as u64 * 37) % 1500);
                let connected = async {
                    tokio::time::sleep(delay).await;
                    node.ping(&peer).await
                };
                let (pinged, connected) = tokio::join!(pinged, connected);
                assert_eq!(pinged, "pong", "round {round}");
                connected.unwrap();
                assert_eq!(node.nodes(Nodes::Connected), std::slice::from_ref(&peer));
                expect(&beam, &node, "nodes() =:= [NODE]", "true").await;
                // The BEAM's automatic messages to a new node may come late, and connect again.
                while !node.nodes(Nodes::Connected).is_empty() || eval(&beam, &node, "nodes()").await != "[]" {
                    if round % 2 == 0 {
                        node.disconnect(&peer);
                    } else {
                        eval(&beam, &node, "erlang:disconnect_node(NODE)").await;
                    }
                    assert!(started.elapsed() < LIMIT, "the connection does not end in round {round}");
                }
            }
            // No attempt remains.
            eval(&beam, &node, "net_adm:ping(NODE)").await;
            node.shutdown().await;
        }
        conformance::holds(otp, [10]);
    }
}

/// A side that ends a connection, or sees it end, may reconnect at once, though the peer may not have noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connecting_again_at_once() {
    let stage = Stage::new();
    let other = stage.node().await;
    for otp in matrix() {
        let node = stage.node().await;
        let beam = stage.beam(otp).await;
        for peer in [name(&beam), other.name().clone()] {
            for _ in 0..50 {
                node.ping(&peer).await.unwrap();
                node.disconnect(&peer);
            }
            let mut events = node.events();
            node.ping(&peer).await.unwrap();
            while !matches!(event(&mut events).await, NodeEvent::NodeUp { .. }) {}
            if peer == name(&beam) {
                expect(&beam, &node, "erlang:disconnect_node(NODE)", "true").await;
            } else {
                other.disconnect(node.name());
            }
            while !matches!(event(&mut events).await, NodeEvent::NodeDown { .. }) {}
            node.ping(&peer).await.unwrap();
        }
    }
}

/// Many requests for the same connection make one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_for_all_who_wish() {
    let stage = Stage::new();
    let (one, two) = (stage.node().await, stage.node().await);
    let mut events = one.events();
    let wishes = (0..100).map(|i| {
        let (one, two) = (one.clone(), two.clone());
        tokio::spawn(async move { if i % 2 == 0 { one.ping(two.name()).await } else { two.ping(one.name()).await } })
    });
    for wish in join_all(wishes).await {
        wish.unwrap().unwrap();
    }
    assert!(matches!(event(&mut events).await, NodeEvent::NodeUp { .. }));
    assert!(events.try_recv().is_err(), "one event for one connection");
    let nobody: NodeName = "nobody@127.0.0.1".parse().unwrap();
    let failed = join_all((0..10).map(|_| one.ping(&nobody))).await;
    assert!(failed.iter().all(|error| matches!(error, Err(CallError::Connect(ConnectError::UnknownNode(_))))));
}
