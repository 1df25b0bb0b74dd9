//! How nodes find each other: through an EPMD that a peerl node runs itself, or without an EPMD.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::stage::{LIMIT, eventually, expect, name};
use peerl_epmd::{Client, Error};
use peerl_node::{Epmd as Mapper, Node, NodeBuilder, Nodes, StartError};
use peerl_test_support::{
    Beam, COOKIE, Epmd, Lan, Machine, ProcessGuard, free_port, matrix, peerl_command, unique_name,
};

fn builder(epmd: Mapper, port: u16) -> NodeBuilder {
    let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    peerl::node(format!("{}@127.0.0.1", unique_name("peerl"))).cookie(COOKIE).epmd(epmd).epmd_client(client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_epmd_serves_beam_nodes() {
    for otp in matrix() {
        let port = free_port();
        let node = builder(Mapper::Embedded, port).start().await.unwrap();
        assert_eq!(node.embedded_epmd().map(|address| address.port()), Some(port));
        let start = || Beam::erlang(otp).epmd_port(port).start_async();
        let (one, two) = tokio::join!(start(), start());
        expect(&one, &node, "net_adm:ping(NODE)", "pong").await;
        let names = "{ok, Names} = net_adm:names({127,0,0,1}), length(Names)";
        expect(&one, &node, names, "3").await;
        let ping = format!("net_adm:ping('{}')", two.name());
        assert_eq!(one.eval_async(ping).await.unwrap(), "pong");
        node.ping(&name(&two)).await.unwrap();
        drop(two);
        let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let end = tokio::time::Instant::now() + crate::stage::LIMIT;
        while client.names().await.unwrap().len() > 2 {
            assert!(tokio::time::Instant::now() < end, "the name of a dead node stays");
        }
    }
}

/// Several nodes start at once and find no EPMD: one of them runs it for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_starts_epmd_for_all() {
    for _ in 0..10 {
        let port = free_port();
        let starts = (0..5).map(|_| tokio::spawn(builder(Mapper::Auto, port).start()));
        let nodes: Vec<Node> =
            futures::future::join_all(starts).await.into_iter().map(|node| node.unwrap().unwrap()).collect();
        assert_eq!(nodes.iter().filter(|node| node.embedded_epmd().is_some()).count(), 1);
        for node in &nodes[1..] {
            nodes[0].ping(node.name()).await.unwrap();
        }
        assert_eq!(nodes[0].nodes(Nodes::Visible).len(), 4);
    }
    // A running EPMD is used.
    let epmd = Epmd::start();
    let node = builder(Mapper::Auto, epmd.port()).start().await.unwrap();
    assert_eq!(node.embedded_epmd(), None);
    assert_eq!(epmd.names(), [(node.name().name().to_owned(), node.port())]);
    node.shutdown().await;
    eventually("the end of the name", || epmd.names().is_empty()).await;
}

/// The node that runs EPMD for all ends: another one takes over, and all are found as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_node_takes_epmd_over() {
    for otp in matrix() {
        let port = free_port();
        let first = builder(Mapper::Auto, port).start().await.unwrap();
        let nodes =
            [builder(Mapper::Auto, port).start().await.unwrap(), builder(Mapper::Auto, port).start().await.unwrap()];
        let beam = Beam::erlang(otp).epmd_port(port).start_async().await;
        assert!(first.embedded_epmd().is_some());
        let creations = nodes.each_ref().map(Node::creation);
        first.shutdown().await;

        let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let end = tokio::time::Instant::now() + LIMIT;
        while client.names().await.map_or(0, |names| names.len()) < 3 {
            assert!(tokio::time::Instant::now() < end, "not all are registered again");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert_eq!(nodes.iter().filter(|node| node.embedded_epmd().is_some()).count(), 1);
        assert_eq!(nodes.each_ref().map(Node::creation), creations);
        let late = Beam::erlang(otp).epmd_port(port).start_async().await;
        for node in &nodes {
            expect(&late, node, "net_adm:ping(NODE)", "pong").await;
        }
        nodes[0].ping(&name(&beam)).await.unwrap();
    }
}

/// Node after node runs EPMD for all and ends: within three seconds the next one has taken over, and all names are
/// registered again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_after_another_takes_epmd_over() {
    for otp in matrix() {
        let port = free_port();
        let mut nodes = Vec::new();
        for _ in 0..5 {
            nodes.push(builder(Mapper::Auto, port).start().await.unwrap());
        }
        let beam = Beam::erlang(otp).epmd_port(port).start_async().await;
        let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut times = Vec::new();
        while nodes.len() > 1 {
            let holds = nodes.iter().position(|node| node.embedded_epmd().is_some()).expect("one of them runs EPMD");
            nodes.remove(holds).shutdown().await;
            let ended = tokio::time::Instant::now();
            while client.names().await.map_or(0, |names| names.len()) <= nodes.len() {
                assert!(ended.elapsed() < LIMIT, "not all are registered again");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            times.push(ended.elapsed());
            assert_eq!(nodes.iter().filter(|node| node.embedded_epmd().is_some()).count(), 1);
            for node in &nodes {
                assert_eq!(client.lookup(node.name().name()).await.unwrap().unwrap().port, node.port());
            }
        }
        expect(&beam, &nodes[0], "net_adm:ping(NODE)", "pong").await;
        times.sort_unstable();
        // Some may be late on a busy machine.
        assert!(times[0] < Duration::from_secs(3), "{times:?}");
    }
}

/// The same with killed processes, on two machines at once, each seen from the other.
#[test]
fn epmd_is_taken_over_on_each_machine() {
    let lan = Lan::start();
    let machines = [2, 3].map(|number| lan.machine(lan.address(number)));
    let worker = |machine: &Machine| {
        let name = format!("{}@{}", unique_name("w"), machine.address());
        let mut command = peerl_command();
        command.args(["worker", "--name", &name, "-v"]).env("PEERL_COOKIE", COOKIE);
        let process = ProcessGuard::spawn(&mut machine.command(command));
        process.wait_for_line("ready", LIMIT);
        process
    };
    let mut workers = machines.each_ref().map(|machine| (0..4).map(|_| worker(machine)).collect::<Vec<_>>());
    let runs_epmd = |worker: &ProcessGuard| worker.stderr().contains("no EPMD runs here: started one");
    let registered = |at: usize| {
        let mut names = peerl_command();
        names.args(["names", &machines[at].address().to_string(), "--format", "json"]);
        let listed = machines[1 - at].command(names).output().unwrap();
        serde_json::from_slice::<Vec<serde_json::Value>>(&listed.stdout).map_or(0, |names| names.len())
    };
    let mut times = Vec::new();
    for left in [3, 2, 1] {
        for workers in &mut workers {
            let end = Instant::now() + LIMIT;
            let holder = loop {
                let holders: Vec<usize> = (0..workers.len()).filter(|&index| runs_epmd(&workers[index])).collect();
                match holders[..] {
                    [holder] => break holder,
                    // What it says may come later than what it does.
                    [] if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                    _ => panic!("{holders:?} run EPMD"),
                }
            };
            workers.remove(holder).kill();
        }
        let killed = Instant::now();
        for at in [0, 1] {
            while registered(at) != left {
                assert!(killed.elapsed() < LIMIT, "not all are registered again");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        times.push(killed.elapsed());
    }
    times.sort_unstable();
    assert!(times[0] < Duration::from_secs(3), "{times:?}");
}

#[tokio::test]
async fn errors_say_what_to_do() {
    let error = builder(Mapper::External, free_port()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Epmd(Error::NoEpmd { .. })), "{error:?}");
    let epmd = Epmd::start();
    let error = builder(Mapper::Embedded, epmd.port()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Epmd(Error::AddressInUse { .. })), "{error:?}");
    // A port with a silent listener.
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let client = Client::new(silent.local_addr().unwrap()).with_timeout(std::time::Duration::from_millis(200));
    let error = builder(Mapper::Auto, port).epmd_client(client).start().await.unwrap_err();
    assert!(matches!(error, StartError::Epmd(Error::TimedOut { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_epmd() {
    for otp in matrix() {
        let port = free_port();
        let beam = Beam::erlang(otp).without_epmd(port).start_async().await;
        let host = Ipv4Addr::new(127, 0, 0, 2);
        let node = peerl::node(format!("{}@{host}", unique_name("peerl")))
            .cookie(COOKIE)
            .listen(port..=port)
            .listen_address(IpAddr::V4(host))
            .epmd(Mapper::None { port })
            .start()
            .await
            .unwrap();
        node.ping(&name(&beam)).await.unwrap();
        node.disconnect(&name(&beam));
        // Until it has noticed, its messages go into the old connection.
        beam.wait_for_async("nodes(connected)", "[]", LIMIT).await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
    }
}
