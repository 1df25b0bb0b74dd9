use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

use crate::Error;
use crate::environment::has_family;

/// The listening sockets of a server, at least one.
#[derive(Debug)]
pub(super) struct Listeners {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    /// The socket to poll first next time, so that a flood at one address does not starve the others.
    turn: usize,
}

impl Listeners {
    pub(super) fn bind(addresses: impl IntoIterator<Item = SocketAddr>) -> Result<Self, Error> {
        let mut bound = Self { listeners: Vec::new(), addresses: Vec::new(), turn: 0 };
        let mut skipped = None;
        for mut address in addresses {
            if let Some(first) = bound.addresses.first() {
                address.set_port(first.port());
            }
            if bound.addresses.contains(&address) {
                continue;
            }
            match bound.add(address) {
                Ok(()) => {}
                Err(error @ Error::Bind { .. }) if !has_family(address.ip()) => skipped = Some((address, error)),
                Err(error) => return Err(error),
            }
        }
        match (bound.addresses.is_empty(), skipped) {
            (true, skipped) => Err(skipped.map_or(Error::NoAddress, |(_, error)| error)),
            (false, Some((address, error))) if !address.ip().is_unspecified() => {
                warn!(%error, "EPMD listens at its other addresses only");
                Ok(bound)
            }
            (false, _) => Ok(bound),
        }
    }

    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(super) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        self.turn = (self.turn + 1) % self.listeners.len();
        let (later, first) = self.listeners.split_at(self.turn);
        poll_fn(|cx| {
            first
                .iter()
                .chain(later)
                .map(|listener| listener.poll_accept(cx))
                .find(Poll::is_ready)
                .unwrap_or(Poll::Pending)
        })
        .await
    }

    fn add(&mut self, address: SocketAddr) -> Result<(), Error> {
        let listening = listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
        match listening {
            Ok((address, listener)) => {
                self.addresses.push(address);
                self.listeners.push(listener);
                Ok(())
            }
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => Err(Error::AddressInUse { address }),
            Err(source) => Err(Error::Bind { address, source }),
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // Allows listening at both `0.0.0.0` and `::`.
        socket.set_only_v6(true)?;
    }
    // A restarted EPMD must get its port back at once. On Windows the option has another meaning.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}
