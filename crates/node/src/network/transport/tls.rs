//! Streams of TLS over TCP, as `inet_tls_dist` has them.

mod certificate;
mod config;
mod credentials;
mod error;
mod optfile;
mod roles;
mod session;
mod verifier;

pub use config::TlsConfig;
pub use error::{TlsError, TlsFault, TlsRole};

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_proto::handshake::{ForeignProtocol, Framing};
use peerl_proto::node_name::NodeName;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tcp::{self, Family};
use super::{Incoming, Listener, Stream, Transport};
use config::ServerName as NameToVerify;
use roles::Role;

/// TLS over TCP. Both nodes of a connection must use it: with OTP, they are started with `-proto_dist inet_tls`.
///
/// No session is resumed, since a resumed one would not be verified.
#[derive(Debug)]
pub struct Tls {
    server: Option<Arc<Role<ServerConfig>>>,
    client: Option<Role<ClientConfig>>,
    family: Family,
}

impl Tls {
    /// Reads the files of the settings.
    ///
    /// # Errors
    /// If a file cannot be read or used, or a setting is missing.
    pub fn new(config: TlsConfig) -> Result<Self, TlsError> {
        Self::of_family(config, Family::default())
    }

    /// Like [`new`](Self::new), for nodes with addresses of one family only.
    ///
    /// # Errors
    /// If a file cannot be read or used, or a setting is missing.
    pub fn of_family(config: TlsConfig, family: Family) -> Result<Self, TlsError> {
        let server = config.server.map(Role::server).transpose()?.map(Arc::new);
        Ok(Self { server, client: config.client.map(Role::client).transpose()?, family })
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
            let (listener, port) = tcp::bind(self.family, address, ports).await?;
            Ok((Box::new(TlsListener { listener, role }) as Box<dyn Listener>, port))
        }
        .boxed()
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        async move {
            let role = self.client.as_ref().ok_or_else(|| missing(TlsRole::Client))?;
            let name = server_name(&role.options().server_name, peer.host())?;
            let socket = tcp::open(self.family, peer.host(), port).await?;
            socket.set_nodelay(true)?;
            let stream = TlsConnector::from(role.config()).connect(name, socket).await.map_err(failed)?;
            let (socket, session) = stream.into_inner();
            Ok(session::halves(socket, session.into()))
        }
        .boxed()
    }

    fn framing(&self) -> Framing {
        Framing::Long
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
    listener: TcpListener,
    role: Arc<Role<ServerConfig>>,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        async {
            let (socket, address) = tcp::accept(&self.listener).await?;
            let role = self.role.clone();
            Ok(Incoming { address, stream: negotiate(socket, role).boxed() })
        }
        .boxed()
    }
}

async fn negotiate(mut socket: TcpStream, role: Arc<Role<ServerConfig>>) -> io::Result<Stream> {
    /// RFC 8446 section 6: a fatal alert, "unexpected message".
    const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 10];
    socket.set_nodelay(true)?;
    if let Some(fault) = without_tls(&socket).await? {
        // A peer that recognises it can say what is wrong. Closing a socket with unread bytes could discard it.
        let _ = socket.write_all(&ALERT).await;
        let _ = socket.try_read(&mut [0; 2048]);
        return Err(fault.into_io());
    }
    let stream = TlsAcceptor::from(role.config()).accept(socket).await.map_err(failed)?;
    let (socket, session) = stream.into_inner();
    Ok(session::halves(socket, session.into()))
}

/// What a peer speaks whose first bytes are not of TLS.
async fn without_tls(socket: &TcpStream) -> io::Result<Option<TlsFault>> {
    let mut first = [0; 40];
    let count = socket.peek(&mut first).await?;
    let first = &first[..count];
    Ok(match ForeignProtocol::of(first) {
        Some(ForeignProtocol::Tls) => None,
        Some(other) => Some(TlsFault::Foreign(other)),
        // The name message of a handshake: its length, and its kind.
        None if matches!(first, [0..=7, _, b'n' | b'N', ..]) => Some(TlsFault::Plain),
        // Too few to tell.
        None => None,
    })
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
