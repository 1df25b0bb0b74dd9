//! How nodes find each other: through the EPMD that a node of ours runs itself, or without any.

mod stage;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use peerl_epmd::{Client, Error};
use peerl_node::{Epmd as Mapper, Node, NodeBuilder, Nodes, StartError};
use peerl_test_support::{Beam, COOKIE, Epmd, free_port, matrix, unique_name};
use stage::{LIMIT, eventually, expect, name};

fn builder(epmd: Mapper, port: u16) -> NodeBuilder {
    let client = Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Node::builder(format!("{}@127.0.0.1", unique_name("peerl"))).cookie(COOKIE).epmd(epmd).epmd_client(client)
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
        let end = tokio::time::Instant::now() + stage::LIMIT;
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
    // One that runs is used.
    let epmd = Epmd::start();
    let node = builder(Mapper::Auto, epmd.port()).start().await.unwrap();
    assert_eq!(node.embedded_epmd(), None);
    assert_eq!(epmd.names(), [(node.name().name().to_owned(), node.port())]);
    node.shutdown().await;
    eventually("the end of the name", || epmd.names().is_empty()).await;
}

/// The node that runs EPMD for all ends: another one goes on with it, and everyone is found as before.
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

#[tokio::test]
async fn errors_say_what_to_do() {
    let error = builder(Mapper::External, free_port()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Epmd(Error::NoEpmd { .. })), "{error:?}");
    let epmd = Epmd::start();
    let error = builder(Mapper::Embedded, epmd.port()).start().await.unwrap_err();
    assert!(matches!(error, StartError::Epmd(Error::AddressInUse { .. })), "{error:?}");
    // A port where something else listens, which never answers.
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
        let node = Node::builder(format!("{}@{host}", unique_name("peerl")))
            .cookie(COOKIE)
            .listen(port..=port)
            .listen_address(IpAddr::V4(host))
            .epmd(Mapper::None { port })
            .start()
            .await
            .unwrap();
        node.ping(&name(&beam)).await.unwrap();
        node.disconnect(&name(&beam));
        // Until it has noticed, what it sends goes into the old connection.
        beam.wait_for_async("nodes(connected)", "[]", LIMIT).await;
        expect(&beam, &node, "net_adm:ping(NODE)", "pong").await;
    }
}
