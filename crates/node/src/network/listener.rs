//! The socket at which peers arrive.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::start_error::StartError;

/// A socket at which peers arrive.
pub(crate) type Listener = TcpListener;

/// Listens on the first free port of a range, at this address or at all of the host, and gives the port.
pub(crate) async fn bind(
    address: Option<IpAddr>,
    ports: RangeInclusive<u16>,
) -> Result<(TcpListener, u16), StartError> {
    let mut last = io::Error::new(io::ErrorKind::InvalidInput, "the range is empty");
    for port in ports.clone() {
        let bound = match address {
            Some(address) => TcpListener::bind(SocketAddr::new(address, port)).await,
            None => bind_to_all(port).await,
        };
        match bound.and_then(|listener| Ok((listener.local_addr()?.port(), listener))) {
            Ok((port, listener)) => return Ok((listener, port)),
            Err(error) => last = error,
        }
    }
    Err(StartError::Listen { address: address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), ports, source: last })
}

/// Listens on all addresses of both families, or of IPv4 on a host without IPv6.
async fn bind_to_all(port: u16) -> io::Result<TcpListener> {
    match bind_dual_stack(port) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            // The error of the last attempt is the one to tell: a port that must not be used fails in both.
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

fn bind_dual_stack(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    // The default is another one on each operating system.
    socket.set_only_v6(false)?;
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
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn all_addresses_are_of_both_families_and_one_is_alone() {
        let (listener, port) = bind(None, 0..=0).await.unwrap();
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let stream = TcpStream::connect((address, port)).await.unwrap();
            let (_, peer) = listener.accept().await.unwrap();
            assert_eq!(peer.ip().to_canonical(), stream.local_addr().unwrap().ip());
        }
        let taken = bind(None, port..=port).await.unwrap_err();
        assert!(matches!(&taken, StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse));

        let (_listener, port) = bind(Some(Ipv6Addr::LOCALHOST.into()), 0..=0).await.unwrap();
        TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_err());
    }
}
