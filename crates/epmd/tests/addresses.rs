//! Hosts with more than one address.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use peerl_epmd::{Client, Config, Server};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An unresponsive address leaves time for the others.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_answers_is_found_behind_a_silent_one() {
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    silent.listen(0).unwrap();
    let address = silent.local_addr().unwrap().as_socket().unwrap();
    // Once its queue is full, Linux drops connection requests.
    let mut queued = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        queued.push(stream.unwrap());
        assert!(queued.len() < 64, "the queue does not get full");
    }
    let answers = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
    let server = Server::bind([answers], Config::default()).await.unwrap().spawn();
    let client = Client::new(address).or_at([answers.ip()]).with_timeout(Duration::from_secs(6));
    assert!(client.names().await.unwrap().is_empty());
    server.shutdown().await;
}
