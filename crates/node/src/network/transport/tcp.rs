//! Streams of TCP, as `inet_tcp_dist` has them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::handshake::SetupTimer;
use peerl_proto::node_name::NodeName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{Incoming, Listener, ReadHalf, Stream, Transport};

/// TCP. Peers are found by the resolver of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tcp {
    family: Family,
}

/// The family of addresses at which nodes are reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Family {
    /// Any that the host has.
    #[default]
    Any,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

impl Family {
    fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

impl Tcp {
    /// TCP for nodes with addresses of one family only.
    pub fn of_family(family: Family) -> Self {
        Self { family }
    }
}

impl Transport for Tcp {
    fn listen(
        &self,
        address: Option<IpAddr>,
        ports: RangeInclusive<u16>,
    ) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>> {
        async move {
            let (listener, port) = bind(self.family, address, ports).await?;
            Ok((Box::new(listener) as Box<dyn Listener>, port))
        }
        .boxed()
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        async move { halves(open(self.family, peer.host(), port).await?) }.boxed()
    }
}

impl Listener for TcpListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let (stream, address) = self::accept(self).await?;
            Ok(Incoming { address, stream: async { halves(stream) }.boxed() })
        }
        .boxed()
    }
}

impl ReadHalf for OwnedReadHalf {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // The next read returns the error.
        self.as_ref().poll_read_ready(context).map(drop)
    }
}

fn halves(stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    let (read, write) = stream.into_split();
    Ok(Stream { read: Box::new(read), write: Box::new(write) })
}

/// Waits for a peer.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept().await?;
    // A socket of both families gives IPv4 addresses as `::ffff:10.0.0.7`.
    Ok((stream, SocketAddr::new(address.ip().to_canonical(), address.port())))
}

/// Tries the addresses of a host one after another.
async fn open(family: Family, host: &str, port: u16) -> io::Result<TcpStream> {
    let mut addresses = peerl_epmd::addresses_of(host, port).await?;
    addresses.retain(|address| family.has(address.ip()));
    let each = Duration::from_secs(3).max(SetupTimer::DEFAULT_STEP / addresses.len().max(1) as u32);
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            // That nothing listens says more than that this host has no way to the other family.
            Ok(Err(_)) if last.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Listens on the first free port of a range.
async fn bind(family: Family, address: Option<IpAddr>, ports: RangeInclusive<u16>) -> io::Result<(TcpListener, u16)> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the range is empty");
    for port in ports {
        let bound = match address {
            Some(address) => TcpListener::bind(SocketAddr::new(address, port)).await,
            None => bind_to_all(family, port).await,
        };
        match bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
            Ok((port, listener)) => return Ok((listener, port)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Listens on all addresses of the families, or of IPv4 on a host without IPv6.
async fn bind_to_all(family: Family, port: u16) -> io::Result<TcpListener> {
    let bound = match family {
        Family::Ipv4 => return TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        Family::Ipv6 => return bind_ipv6(port, true),
        Family::Any => bind_ipv6(port, false),
    };
    match bound {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            // The error of the last attempt is the one to tell: a port that must not be used fails in both.
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

fn bind_ipv6(port: u16, only: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    // The default is another one on each operating system.
    socket.set_only_v6(only)?;
    // As tokio does: a node that is started again gets its port back. On Windows the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_are_of_both_families_and_one_is_alone() {
        let (listener, port) = bind(Family::Any, None, 0..=0).await.unwrap();
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let stream = TcpStream::connect((address, port)).await.unwrap();
            let (_, peer) = TcpListener::accept(&listener).await.unwrap();
            assert_eq!(peer.ip().to_canonical(), stream.local_addr().unwrap().ip());
        }
        let taken = bind(Family::Any, None, port..=port).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);

        let (_listener, port) = bind(Family::Any, Some(Ipv6Addr::LOCALHOST.into()), 0..=0).await.unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    }
}
