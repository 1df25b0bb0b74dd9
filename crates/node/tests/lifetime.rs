//! How long a node runs.

use std::time::Duration;

use peerl_node::{Epmd, Exception, Node, NodeBuilder};
use tokio::net::TcpStream;

async fn start() -> Node {
    // No other node is to be reached, so the port of all of them does not matter.
    NodeBuilder::new("alone@127.0.0.1").cookie("c").epmd(Epmd::None { port: 1 }).start().await.unwrap()
}

async fn wait_until_closed(port: u16) {
    let closed = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the node still listens");
}

#[tokio::test]
async fn a_node_stops_when_its_last_handle_is_dropped() {
    let node = start().await;
    let (port, weak) = (node.port(), node.downgrade());
    let this = weak.clone();
    node.export("m", "name", move |()| {
        let name = this.upgrade().map(|node| node.name().to_string());
        async move { name.ok_or_else(Exception::badarg) }
    })
    .unwrap();
    let again = weak.upgrade().unwrap();
    drop(node);
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_ok());
    drop(again);
    assert!(weak.upgrade().is_none());
    wait_until_closed(port).await;
}

#[tokio::test]
async fn a_node_stops_when_it_is_shut_down() {
    let node = start().await;
    node.shutdown().await;
    wait_until_closed(node.port()).await;
}
