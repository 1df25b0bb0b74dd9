//! Tests whether a worker can do work: not that its process exists or its port is open, but that it answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::BytesMut;
use peerl_epmd::environment::loopback;
use peerl_node::{Atom, CallError, Mfa, Node, Term};
use peerl_otp::{SystemError, check_system};
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::{Handshake, HandshakeError, HandshakeReader, LocalNode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The failed test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A call to the node itself failed.
    #[error("a call of this node to itself failed")]
    Call(#[from] CallError),
    /// A call to the node itself returned a wrong value.
    #[error("a call of this node to itself returned a wrong value")]
    Value,
    /// A system process does not answer, so that pings or calls of some kind would get no answer.
    #[error(transparent)]
    System(#[from] SystemError),
    /// A connection to the distribution port was refused, or ended early.
    #[error("this node does not accept connections at {address}")]
    Connection {
        /// The address of the port.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// The answer in a handshake was invalid.
    #[error("this node gave an invalid answer in a handshake")]
    Handshake,
    /// The time-out elapsed.
    #[error("this node did not answer itself within {0:?}")]
    TimedOut(Duration),
}

/// Calls a function of the node itself, queries the processes that answer pings and calls, and begins a handshake at
/// its distribution port.
///
/// The handshake uses the node's own name, which the node refuses, so it leaves no trace, not even in the log. No
/// test needs EPMD, name services or peers, so a failure is one of this process.
///
/// # Errors
/// If a test fails or exceeds the limit.
pub async fn self_check(node: &Node, listen: Option<IpAddr>, limit: Duration) -> Result<(), CheckError> {
    let address = SocketAddr::new(reachable(listen), node.port());
    let check = async {
        call(node).await?;
        check_system(node).await?;
        // A draining node has closed the port.
        if node.is_draining() { Ok(()) } else { knock(node, address).await }
    };
    tokio::time::timeout(limit, check).await.unwrap_or(Err(CheckError::TimedOut(limit)))
}

async fn call(node: &Node) -> Result<(), CheckError> {
    let sent = fastrand::u64(..);
    let echo = (Atom::from_static("peerl"), Atom::from_static("echo"));
    let came_back: u64 = node.call(node.name(), Mfa::with_terms(echo.0, echo.1, vec![Term::from(sent)])).await?;
    if came_back == sent { Ok(()) } else { Err(CheckError::Value) }
}

async fn knock(node: &Node, address: SocketAddr) -> Result<(), CheckError> {
    let io = |source| CheckError::Connection { address, source };
    // The awaited answer precedes the check of the cookie.
    let cookie = Cookie::new("none").map_err(|_| CheckError::Handshake)?;
    let local = LocalNode::new(node.name().clone(), node.creation(), DistributionFlags::MANDATORY_26, cookie);
    let (handshake, name) = Handshake::initiate(local, node.name().clone());
    let mut stream = TcpStream::connect(address).await.map_err(io)?;
    stream.write_all(&name).await.map_err(io)?;
    let mut buffer = BytesMut::new();
    let status = loop {
        if let Some(message) = HandshakeReader::default().next(&mut buffer).map_err(|_| CheckError::Handshake)? {
            break message;
        }
        if stream.read_buf(&mut buffer).await.map_err(io)? == 0 {
            return Err(io(std::io::ErrorKind::UnexpectedEof.into()));
        }
    };
    match handshake.receive(&status, 0).map_err(HandshakeError::from) {
        Ok(_) | Err(HandshakeError::NotAllowed { .. }) => Ok(()),
        Err(_) => Err(CheckError::Handshake),
    }
}

/// The address at which this host reaches a listener.
fn reachable(listen: Option<IpAddr>) -> IpAddr {
    match listen {
        None => loopback(),
        Some(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        Some(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        Some(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::{Epmd, NodeBuilder};
    use peerl_otp::System;

    use super::*;
    use crate::function;
    use crate::page_client::PageClient;

    async fn node() -> Node {
        let builder = NodeBuilder::new("w@127.0.0.1").service(System::new()).cookie("secret").epmd(Epmd::Unregistered);
        builder.listen_address(Ipv4Addr::LOCALHOST.into()).start().await.unwrap()
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_worker_is_well_until_it_shuts_down() {
        let node = node().await;
        assert!(matches!(self_check(&node, None, LIMIT).await, Err(CheckError::Call(_))), "nothing is served yet");
        function::register(&node, &PageClient::new()).unwrap();
        self_check(&node, None, LIMIT).await.unwrap();
        self_check(&node, Some(Ipv4Addr::UNSPECIFIED.into()), LIMIT).await.unwrap();
        node.drain().await;
        self_check(&node, None, LIMIT).await.unwrap();

        node.shutdown().await;
        self_check(&node, None, LIMIT).await.unwrap_err();
    }

    #[tokio::test]
    async fn a_worker_that_answers_no_pings_or_calls_is_not_well() {
        let node = node().await;
        function::register(&node, &PageClient::new()).unwrap();
        self_check(&node, None, LIMIT).await.unwrap();
        let other = node.process();
        for name in ["rex", "net_kernel"] {
            assert!(other.unregister(name));
            let error = self_check(&node, None, LIMIT).await.unwrap_err();
            assert!(matches!(error, CheckError::System(SystemError::Missing(missing)) if missing == name), "{error}");
        }
        other.register(Atom::from_static("net_kernel")).unwrap();
        let error = self_check(&node, None, LIMIT).await.unwrap_err();
        assert!(matches!(error, CheckError::System(SystemError::Silent("net_kernel"))), "{error}");
    }

    #[tokio::test]
    async fn a_port_that_is_open_is_not_enough() {
        let node = node().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let silent = listener.local_addr().unwrap();
        let short = Duration::from_millis(100);
        assert!(tokio::time::timeout(short, knock(&node, silent)).await.is_err());
        let garbage = tokio::spawn(async move {
            let (_first, _) = listener.accept().await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            second.write_all(b"HTTP/1.1 400").await.unwrap();
            second
        });
        assert!(matches!(knock(&node, silent).await, Err(CheckError::Handshake)));
        drop(garbage.await.unwrap());
        assert!(matches!(knock(&node, silent).await, Err(CheckError::Connection { .. })));
    }
}
