//! Nodes on a simulated network, in simulated time.

use std::time::Duration;

use peerl_node::testing::Network;
use peerl_node::{
    CallError, ConnectError, Exception, Mfa, Node, NodeDownReason, NodeEvent, Nodes, NotSent, QueueError, SendError,
    Term,
};
use tokio::time::{Instant, sleep, timeout};

async fn start(network: &Network, name: &str) -> Node {
    let node = network.node(name).start().await.unwrap();
    let double = |(number,): (i64,)| async move { Ok::<_, Exception>(2 * number) };
    node.export("m", "double", double).unwrap();
    node.export("m", "sleep", |()| async {
        sleep(Duration::from_secs(600)).await;
        Ok::<_, Exception>("awake")
    })
    .unwrap();
    node
}

async fn two(network: &Network) -> (Node, Node) {
    let (one, two) = (start(network, "a@one").await, start(network, "b@two").await);
    one.connect(two.name()).await.unwrap();
    (one, two)
}

async fn double(node: &Node, peer: &Node) -> Result<i64, CallError> {
    node.call(peer.name(), Mfa::new("m", "double", (21,)).unwrap()).await
}

async fn down(node: &Node) -> NodeDownReason {
    let mut events = node.events();
    loop {
        if let NodeEvent::NodeDown { reason, .. } = events.recv().await.unwrap() {
            return reason;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_as_long_as_its_links() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    network.set_delay(Duration::from_millis(40)..=Duration::from_millis(40));
    let start = Instant::now();
    assert_eq!(double(&one, &two).await.unwrap(), 42);
    let took = start.elapsed().as_millis();
    assert!((80..100).contains(&took), "{took} ms");
}

#[tokio::test(start_paused = true)]
async fn ticks_keep_a_connection_and_find_out_about_a_partition() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(one.nodes(Nodes::Visible), [two.name().clone()]);
    let start = Instant::now();
    network.partition("one", "two");
    let sleeping = one.call::<String>(two.name(), Mfa::new("m", "sleep", ()).unwrap());
    let (lost, seen, result) = tokio::join!(down(&one), down(&two), sleeping);
    assert!(
        matches!((&lost, &seen), (NodeDownReason::NetTickTimeout, NodeDownReason::NetTickTimeout)),
        "{lost} {seen}"
    );
    assert!(matches!(result, Err(CallError::Disconnected(_))), "{result:?}");
    let took = start.elapsed().as_secs();
    assert!((45..=75).contains(&took), "{took} s");

    let start = Instant::now();
    assert!(matches!(one.connect(two.name()).await, Err(ConnectError::Io { .. })));
    assert_eq!(start.elapsed().as_secs(), 7);
    network.heal("one", "two");
    assert_eq!(double(&two, &one).await.unwrap(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_ends_with_its_node() {
    let network = Network::new();
    let (one, two) = (start(&network, "a@one").await, start(&network, "b@two").await);
    network.partition("one", "two");
    let stops = async {
        sleep(Duration::from_secs(1)).await;
        one.shutdown().await;
    };
    let (result, ()) = tokio::join!(timeout(Duration::from_secs(60), double(&one, &two)), stops);
    assert!(matches!(result, Ok(Err(CallError::Connect(ConnectError::Disconnected)))), "{result:?}");
}

/// The sender that waits learns that there is never enough memory. Who sends at once may not look, so the connection ends.
#[tokio::test(start_paused = true)]
async fn a_message_without_memory_is_refused_or_ends_the_connection() {
    let network = Network::new();
    let (one, two) = (network.node("a@one").memory(16 << 20).start().await.unwrap(), start(&network, "b@two").await);
    one.connect(two.name()).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let (process, mut receiver) = (one.process(), two.process());
    let to = receiver.pid().clone();
    let (most, more) = (Term::binary(vec![7; 10 << 20]), Term::binary(vec![7; 14 << 20]));
    for _ in 0..3 {
        // Each waits until the one before has been written.
        process.send_term(to.clone(), &most).await.unwrap();
    }
    for _ in 0..3 {
        receiver.receive().await.unwrap();
    }
    let refused = process.send_term(to.clone(), &more).await;
    assert!(matches!(refused, Err(SendError::Connection { source: QueueError::NoMemory, .. })), "{refused:?}");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(one.nodes(Nodes::Visible), [two.name().clone()]);
    let (reason, sent) = tokio::join!(down(&one), async { process.send_connected(to, &more) });
    assert_eq!((reason, sent), (NodeDownReason::Congested, Err(NotSent::Full)));
}

#[tokio::test(start_paused = true)]
async fn a_short_partition_only_delays() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    network.partition("one", "two");
    let heals = async {
        sleep(Duration::from_secs(20)).await;
        network.heal("one", "two");
    };
    let start = Instant::now();
    let (result, ()) = tokio::join!(double(&one, &two), heals);
    assert_eq!((result.unwrap(), start.elapsed().as_secs()), (42, 20));
}

#[tokio::test(start_paused = true)]
async fn streams_are_reset_or_forgotten() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    network.reset("one", "two");
    let (lost, seen) = tokio::join!(down(&one), down(&two));
    assert!(matches!((lost, seen), (NodeDownReason::ConnectionClosed, NodeDownReason::ConnectionClosed)));
    assert_eq!(double(&one, &two).await.unwrap(), 42);
    network.forget("one", "two");
    assert!(timeout(Duration::from_secs(30), double(&one, &two)).await.is_err());
    assert!(matches!(down(&one).await, NodeDownReason::NetTickTimeout));
    assert_eq!(double(&one, &two).await.unwrap(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_host_crashes_and_starts_again() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    let creation = two.creation();
    network.crash("two");
    drop(two);
    assert!(matches!(down(&one).await, NodeDownReason::NetTickTimeout));
    let two = start(&network, "b@two").await;
    assert_ne!(two.creation(), creation);
    assert_eq!(double(&one, &two).await.unwrap(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_there_refuses() {
    let network = Network::new();
    let one = start(&network, "a@one").await;
    network.host("two");
    for (peer, kind) in [("b@two", std::io::ErrorKind::ConnectionRefused), ("c@three", std::io::ErrorKind::NotFound)] {
        match one.connect(&peer.parse().unwrap()).await {
            Err(ConnectError::Io { source, .. }) => assert_eq!(source.kind(), kind),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn time_may_be_real_too() {
    let network = Network::new();
    let (one, two) = two(&network).await;
    assert_eq!(double(&one, &two).await.unwrap(), 42);
    two.shutdown().await;
    assert!(one.ping(two.name()).await.is_err());
}
