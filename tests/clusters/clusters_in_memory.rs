//! Clusters in memory, as the tests of other programs use them.

use std::time::Duration;

use futures::StreamExt;
use peerl::testing::cluster;
use peerl::{Exception, Message, Mfa, NodeName, Nodes, Term};
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

/// In a runtime without I/O a socket cannot be opened.
#[test]
fn all_nodes_are_connected_without_sockets() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let cluster = cluster(5).await;
        for (index, node) in cluster.iter().enumerate() {
            let names = cluster.iter().map(|node| node.name().clone());
            let others: Vec<NodeName> = names.filter(|name| name != node.name()).collect();
            assert_eq!(node.nodes(Nodes::Visible), others);
            assert_eq!(node.name().as_str(), format!("node{0}@host{0}", index + 1));
            assert!(node.ping(&others[0]).await.is_ok());
        }
    });
}

#[tokio::test(start_paused = true)]
async fn work_goes_on_without_a_node_that_cannot_be_reached() {
    let cluster = cluster(4).await;
    for node in &cluster[1..] {
        node.export("rust", "square", |(n,): (u64,)| async move {
            sleep(Duration::from_millis(10)).await;
            Ok::<_, Exception>(n * n)
        })
        .unwrap();
    }
    let workers: Vec<NodeName> = cluster[1..].iter().map(|node| node.name().clone()).collect();
    let call = |n: &u64| Mfa::new("rust", "square", (*n,)).unwrap();
    let mut results = Box::pin(cluster[0].pmap(workers, call, 0..500_u64).run::<u64>());
    let mut squares = Vec::new();
    while let Some(mapped) = results.next().await {
        squares.push(mapped.result.unwrap());
        if squares.len() == 100 {
            cluster.partition(0, 2);
        }
    }
    squares.sort_unstable();
    assert_eq!(squares, (0..500).map(|n| n * n).collect::<Vec<u64>>());
    assert!(!cluster[0].nodes(Nodes::Visible).contains(cluster[2].name()));
    cluster.heal(0, 2);
    cluster[2].ping(cluster[0].name()).await.unwrap();
    assert!(cluster[0].nodes(Nodes::Visible).contains(cluster[2].name()));
}

#[tokio::test(start_paused = true)]
async fn links_and_monitors_end_with_a_host() {
    let cluster = cluster(2).await;
    let (mut here, there) = (cluster[0].process(), cluster[1].process());
    here.trap_exit(true);
    here.link(there.pid()).await;
    let monitor = here.monitor(there.pid().clone()).await;
    here.send(there.pid().clone(), &"hello").await.unwrap();
    let start = Instant::now();
    cluster.network().crash("host2");
    let noconnection = Term::atom("noconnection");
    for _ in 0..2 {
        match here.receive().await.unwrap() {
            Message::Exit(exit) => {
                assert_eq!((exit.from, exit.reason.decode().unwrap()), (there.pid().clone(), noconnection.clone()))
            }
            Message::Down(down) => {
                assert_eq!((down.reference, down.reason.decode().unwrap()), (monitor.clone(), noconnection.clone()))
            }
            other => panic!("{other:?}"),
        }
    }
    assert!((45..=75).contains(&start.elapsed().as_secs()));
}
