//! The time-outs of a server, in simulated time.

use std::time::Duration;

use peerl::otp::{Server, ServerRef};
use peerl::{Node, Term};
use peerl_node::testing::Network;
use tokio::time::sleep;

use crate::Counter;

const SECOND: Duration = Duration::from_secs(1);

/// A server that has 10 seconds to be idle.
async fn idle(node: &Node) -> ServerRef {
    let counter = Counter(4).start(node).await.unwrap();
    let counter = ServerRef::new(node, counter.pid());
    counter.call::<Term>(&Term::tuple([Term::atom("idle"), Term::from(10_000)])).await.unwrap();
    counter
}

#[tokio::test(start_paused = true)]
async fn system_messages_do_not_end_them() {
    let node = Network::new().node("a@one").start().await.unwrap();
    let counter = idle(&node).await;
    sleep(8 * SECOND).await;
    assert_eq!(counter.state().await.unwrap(), Term::from(4));
    sleep(8 * SECOND).await;
    // The time has begun anew.
    assert_eq!(counter.state().await.unwrap(), Term::from(4));
    sleep(11 * SECOND).await;
    assert_eq!(counter.state().await.unwrap(), Term::from(104));

    // While it is suspended, there is none.
    let counter = idle(&node).await;
    counter.suspend().await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(counter.state().await.unwrap(), Term::from(4));
    counter.resume().await.unwrap();
    sleep(11 * SECOND).await;
    assert_eq!(counter.state().await.unwrap(), Term::from(104));
}

#[tokio::test(start_paused = true)]
async fn messages_end_them() {
    let node = Network::new().node("a@one").start().await.unwrap();
    let counter = idle(&node).await;
    counter.cast(&Term::tuple([Term::atom("set"), Term::from(5)])).await.unwrap();
    sleep(60 * SECOND).await;
    assert_eq!(counter.state().await.unwrap(), Term::from(5));
}
