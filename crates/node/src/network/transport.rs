//! How a node listens, dials, and exchanges bytes with its peers.

mod peeked;
mod tcp;
mod tls;

pub use tcp::{Family, Tcp};
pub use tls::{Pem, Tls, TlsConfig, TlsError, TlsFault, TlsRole};

pub use crate::kernel::connection::ShortWait;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use peeked::Peeked;
use peerl_proto::handshake::Framing;
use peerl_proto::node_name::NodeName;
use tokio::io::{AsyncRead, AsyncWrite};

/// A way to reach peers, and to be reached by them. [`Tcp`] is the usual one.
pub trait Transport: Send + Sync + 'static {
    /// Listens on the first free port of a range, at this address or at all of the host. Returns the port.
    fn listen(
        &self,
        address: Option<IpAddr>,
        ports: RangeInclusive<u16>,
    ) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>>;

    /// Opens a stream to a peer, which listens on this port of its host. The node stops waiting after 7 seconds.
    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>>;

    /// How the messages of a handshake are framed. OTP frames them with two bytes on TCP, and with four on TLS.
    fn framing(&self) -> Framing {
        Framing::Short
    }

    /// How the tasks of a connection wait for a moment, so that more is written or read at a time.
    fn short_wait(&self) -> ShortWait {
        ShortWait::Yield
    }
}

/// A place where peers arrive.
pub trait Listener: Send {
    /// Waits for the next peer. If the future is dropped, no peer is lost.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>>;
}

/// A peer that has arrived.
pub struct Incoming {
    /// Its address.
    pub address: SocketAddr,
    /// Gives the stream as soon as the transport has negotiated it. The node waits for it beside other peers, and for at most
    /// 7 seconds.
    pub stream: BoxFuture<'static, io::Result<Stream>>,
}

/// Two directions of bytes, each driven by a task of its own.
pub struct Stream {
    /// What the peer sends.
    pub read: Box<dyn ReadHalf>,
    /// What is sent to the peer.
    pub write: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Stream {
    /// Splits what both reads and writes.
    pub fn split(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self { read: Box::new(Peeked::new(read)), write: Box::new(write) }
    }
}

/// The receiving direction of a stream.
pub trait ReadHalf: AsyncRead + Send + Unpin {
    /// Waits until a read returns bytes, the end of the stream or an error. An idle connection waits here, and so needs no
    /// buffer to read into.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Whether another stream should soon take the place of this one, whose keys have protected nearly as much as they may. The
    /// node renews the connection when nothing is under way.
    fn is_worn(&self) -> bool {
        false
    }
}

impl dyn ReadHalf + '_ {
    /// Waits until there is something to read.
    pub(crate) async fn readable(&mut self) {
        std::future::poll_fn(|context| self.poll_readable(context)).await;
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("address", &self.address).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
