//! Streams of TLS over TCP, as `inet_tls_dist` has them.

mod certificate;
mod config;
mod credentials;
mod error;
mod optfile;
mod pem;
mod roles;
mod session;
mod suites;
mod verifier;
mod wear;

pub use config::TlsConfig;
pub use error::{TlsError, TlsFault, TlsRole};
pub use pem::Pem;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::handshake::{ForeignProtocol, Framing};
use peerl_proto::node_name::NodeName;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::peeked::Peeked;
use super::tcp::Tcp;
use super::{Incoming, Listener, ReadHalf, ShortWait, Stream, Transport};
use config::ServerName as NameToVerify;
use roles::Role;
use session::{Session, Socket};

/// TLS over another transport. Both nodes of a connection must use it: with OTP, they are started with `-proto_dist inet_tls`.
///
/// No session is resumed, since a resumed one would not be verified.
pub struct Tls {
    inner: Arc<dyn Transport>,
    server: Option<Arc<Role<ServerConfig>>>,
    client: Option<Role<ClientConfig>>,
    /// Whether it has been said that connections by TLS 1.2 wear.
    has_warned: Arc<AtomicBool>,
}

impl Tls {
    /// TLS over TCP. Reads the files of the settings.
    ///
    /// # Errors
    /// If a file cannot be read or used, or a setting is missing.
    pub fn new(config: TlsConfig) -> Result<Self, TlsError> {
        Self::over(Tcp::default(), config)
    }

    /// TLS over another transport than TCP in its usual form.
    ///
    /// # Errors
    /// If a file cannot be read or used, or a setting is missing.
    pub fn over(transport: impl Transport, config: TlsConfig) -> Result<Self, TlsError> {
        let server = config.server.map(Role::server).transpose()?.map(Arc::new);
        let client = config.client.map(Role::client).transpose()?;
        // A node that does not listen is a guest: its connections do not last so long that they wear.
        Ok(Self { inner: Arc::new(transport), server, client, has_warned: Arc::new(AtomicBool::new(true)) })
    }
}

impl Transport for Tls {
    fn listen(
        &self,
        address: Option<IpAddr>,
        ports: RangeInclusive<u16>,
    ) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>> {
        async move {
            let role = self.server.clone().ok_or_else(|| missing(TlsRole::Server))?;
            let (listener, port) = self.inner.listen(address, ports).await?;
            self.has_warned.store(false, Ordering::Relaxed);
            Ok((
                Box::new(TlsListener { listener, role, has_warned: self.has_warned.clone() }) as Box<dyn Listener>,
                port,
            ))
        }
        .boxed()
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        async move {
            let role = self.client.as_ref().ok_or_else(|| missing(TlsRole::Client))?;
            let name = server_name(&role.options().server_name, peer.host())?;
            let Stream { read, write } = self.inner.dial(peer, port).await?;
            let stream = tokio::io::join(Peeked::new(read), write);
            let stream = TlsConnector::from(role.config()).connect(name, stream).await.map_err(failed)?;
            let (socket, session) = stream.into_inner();
            let session = Session::new(session.into(), role.options());
            Ok(session.started(peer, &self.has_warned).halves(socket))
        }
        .boxed()
    }

    fn framing(&self) -> Framing {
        Framing::Long
    }

    fn short_wait(&self) -> ShortWait {
        self.inner.short_wait()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("server", &self.server).field("client", &self.client).finish_non_exhaustive()
    }
}

fn missing(role: TlsRole) -> io::Error {
    TlsFault::Settings(format!("there are none for the role of the {role}")).into_io()
}

fn server_name(name: &NameToVerify, host: &str) -> io::Result<ServerName<'static>> {
    let name = match name {
        NameToVerify::OfPeer | NameToVerify::Any => host,
        NameToVerify::Given(name) => name,
    };
    ServerName::try_from(name.to_owned()).map_err(|_| TlsFault::Host(name.to_owned()).into_io())
}

struct TlsListener {
    listener: Box<dyn Listener>,
    role: Arc<Role<ServerConfig>>,
    has_warned: Arc<AtomicBool>,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let Incoming { address, stream } = self.listener.accept().await?;
            let (role, has_warned) = (self.role.clone(), self.has_warned.clone());
            let stream = async move {
                let (socket, session) = negotiate(stream.await?, &role).await?;
                Ok(session.started(&address, &has_warned).halves(socket))
            };
            Ok(Incoming { address, stream: stream.boxed() })
        }
        .boxed()
    }
}

async fn negotiate(stream: Stream, role: &Role<ServerConfig>) -> io::Result<(Socket, Session)> {
    /// RFC 8446 section 6: a fatal alert, "unexpected message".
    const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 10];
    let (mut read, mut write) = (Peeked::new(stream.read), stream.write);
    let half: &mut dyn ReadHalf = &mut read;
    half.readable().await;
    if let Some(fault) = without_tls(read.first()) {
        // A peer that recognises it can say what is wrong. Closing a socket with unread bytes could discard it.
        let _ = write.write_all(&ALERT).await;
        let _ = read.read(&mut [0; 2048]).await;
        let _ = read.read(&mut [0; 2048]).now_or_never();
        return Err(fault.into_io());
    }
    let accepted = TlsAcceptor::from(role.config()).accept(tokio::io::join(read, write)).await.map_err(failed)?;
    let (socket, session) = accepted.into_inner();
    Ok((socket, Session::new(session.into(), role.options())))
}

/// What a peer speaks whose first bytes are not of TLS.
fn without_tls(first: &[u8]) -> Option<TlsFault> {
    match ForeignProtocol::of(first) {
        Some(ForeignProtocol::Tls) => None,
        Some(other) => Some(TlsFault::Foreign(other)),
        // The name message of a handshake: its length, and its kind.
        None if matches!(first, [0..=7, _, b'n' | b'N', ..]) => Some(TlsFault::Plain),
        // Too few to tell.
        None => None,
    }
}

/// The reason for which a negotiation failed.
fn failed(error: io::Error) -> io::Error {
    match TlsFault::of(&error) {
        Some(fault) => fault.into_io(),
        None if matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ) =>
        {
            TlsFault::Closed.into_io()
        }
        None => error,
    }
}
