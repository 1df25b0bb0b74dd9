use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use peerl_proto::epmd::{
    Alive2Response, AliveName, DumpResponse, KillResponse, MAX_REQUEST, NamesResponse, NodeInfo, PortPlease2Response,
    Request, RequestError, StopResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{debug, info};

use super::registry::LeaseId;
use super::{CommandCheck, End, Shared};
use crate::wire::end_of;

/// One connection: a request and its answer.
pub(super) struct Session {
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    is_local: bool,
}

/// The result of a session.
pub(super) enum Outcome {
    /// The client has its answer, or has disconnected.
    Served,
    /// A node is registered.
    Leased(HeldLease),
    /// The client was rejected.
    Rejected(Rejection),
}

/// Why a client was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejection {
    #[error("its request is malformed: {0}")]
    Malformed(RequestError),
    #[error("it asks what only clients of the same host may ask")]
    OtherHost,
    #[error("its request took too long")]
    TooLong,
}

impl Rejection {
    /// The reason, without text that the client chose.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed request",
            Self::OtherHost => "not of this host",
            Self::TooLong => "request too slow",
        }
    }
}

/// What follows the answer.
enum Next {
    Close,
    Reject(Rejection),
    /// Keep the node registered while the connection is open and silent.
    Hold(NameRegistration),
    /// The node was refused; like OTP's EPMD, wait for it to close.
    AwaitClose(Option<Rejection>),
    /// End EPMD, which was killed.
    End,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, is_local: bool) -> Self {
        Self { shared, stream, peer, is_local }
    }

    pub(super) async fn serve(mut self) -> Outcome {
        let idle = self.shared.config.idle;
        let rejection = match timeout(idle, self.exchange()).await {
            Ok(Ok(Next::Hold(registered))) => {
                return Outcome::Leased(HeldLease { stream: self.stream, shared: self.shared, registered });
            }
            Ok(Ok(Next::Close)) => None,
            Ok(Ok(Next::Reject(rejection))) => Some(rejection),
            Ok(Ok(Next::AwaitClose(rejection))) => {
                let _ = timeout(idle, self.silence()).await;
                rejection
            }
            Ok(Ok(Next::End)) => {
                self.shared.stop(End::Killed);
                None
            }
            Ok(Err(error)) => {
                debug!(peer = %self.peer, %error, "a connection to EPMD broke");
                None
            }
            Err(_) => Some(Rejection::TooLong),
        };
        rejection.map_or(Outcome::Served, Outcome::Rejected)
    }

    /// Reads the request and answers it.
    async fn exchange(&mut self) -> io::Result<Next> {
        self.stream.set_nodelay(true)?;
        let request = tokio::select! {
            request = read_request(&mut self.stream) => request?,
            () = self.shared.stopped() => return Ok(Next::Close),
        };
        let (answer, after) = match request {
            Some(Ok(request)) => self.perform(request),
            Some(Err(error)) => match error.refusal().filter(|_| self.is_local) {
                Some(refusal) => (refusal.encode(), Next::AwaitClose(Some(Rejection::Malformed(error)))),
                None => (Vec::new(), Next::Reject(Rejection::Malformed(error))),
            },
            None => (Vec::new(), Next::Close),
        };
        // In one write: OTP's client misreads an answer to ALIVE2 in two.
        self.stream.write_all(&answer).await?;
        if let Next::Close | Next::Reject(_) | Next::End = after {
            self.stream.shutdown().await?;
        }
        Ok(after)
    }

    fn perform(&self, request: Request) -> (Vec<u8>, Next) {
        let shared = &self.shared;
        let strict = shared.config.command_check == CommandCheck::Strict;
        let ignored = (Vec::new(), Next::Close);
        match request {
            Request::PortPlease2(request) => {
                let found = shared.registry().lookup(&request.name).cloned();
                let response = found.map_or(PortPlease2Response::Unknown, PortPlease2Response::Found);
                (response.encode(), Next::Close)
            }
            Request::Names(_) => {
                let names = shared.registry().names();
                (NamesResponse::new(shared.port, names).encode(), Next::Close)
            }
            _ if !self.is_local => (Vec::new(), Next::Reject(Rejection::OtherHost)),
            Request::Alive2(request) => self.register(request.node),
            Request::Dump(_) => {
                let entries = shared.registry().dump();
                (DumpResponse::new(shared.port, entries).encode(), Next::Close)
            }
            Request::Kill(_) if strict && !shared.registry().is_empty() => {
                (KillResponse::Refused.encode(), Next::Close)
            }
            Request::Kill(_) => (KillResponse::Ending.encode(), Next::End),
            Request::Stop(_) if strict => ignored,
            Request::Stop(request) => {
                let response = match shared.registry().stop(&request.name) {
                    true => StopResponse::Stopped,
                    false => StopResponse::Unknown,
                };
                (response.encode(), Next::Close)
            }
            _ => ignored,
        }
    }

    fn register(&self, node: NodeInfo) -> (Vec<u8>, Next) {
        let (name, port, version) = (node.name.clone(), node.port, node.highest_version);
        let registered = self.shared.registry().register(node, now());
        match registered {
            Ok(granted) => {
                info!(%name, port, creation = granted.creation, "EPMD has registered a node");
                let registered = NameRegistration {
                    shared: Arc::clone(&self.shared),
                    name,
                    lease: granted.lease,
                    stopped: granted.stopped,
                };
                let response = Alive2Response::registered(version, granted.creation);
                (response.encode(), Next::Hold(registered))
            }
            Err(reason) => {
                info!(%name, port, %reason, "EPMD has refused a node");
                (Alive2Response::refused(version).encode(), Next::AwaitClose(None))
            }
        }
    }

    /// Waits for the end of the connection, for any byte, or for the end of the server.
    async fn silence(&mut self) {
        tokio::select! {
            () = end_of(&mut self.stream) => {}
            () = self.shared.stopped() => {}
        }
    }
}

/// A registered node, and its connection.
pub(super) struct HeldLease {
    stream: TcpStream,
    shared: Arc<Shared>,
    registered: NameRegistration,
}

impl HeldLease {
    /// Keeps the node registered until its connection ends or any byte arrives.
    pub(super) async fn hold(mut self) {
        tokio::select! {
            () = end_of(&mut self.stream) => {}
            _ = &mut self.registered.stopped => {}
            () = self.shared.stopped() => {}
        }
    }
}

/// The registration of a name; dropping it unregisters the name, also if writing the answer fails or the task is
/// cancelled.
struct NameRegistration {
    shared: Arc<Shared>,
    name: AliveName,
    lease: LeaseId,
    stopped: oneshot::Receiver<()>,
}

impl Drop for NameRegistration {
    fn drop(&mut self) {
        self.shared.registry().unregister(&self.name, self.lease);
        info!(name = %self.name, "EPMD has unregistered a node");
    }
}

/// Reads one request; `None` if the client closes the connection before it is complete.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Result<Request, RequestError>>> {
    let mut input = BytesMut::with_capacity(256);
    loop {
        match Request::read(&mut input) {
            Ok(Some(request)) => return Ok(Some(Ok(request))),
            Ok(None) => {}
            Err(error) => return Ok(Some(Err(error))),
        }
        // An incomplete request has stated its length, so the buffer never exceeds that.
        debug_assert!(input.len() <= 2 + MAX_REQUEST);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(None);
        }
    }
}

/// The time in seconds, at which the creations of new names start.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::{Config, Server};
    use super::*;

    /// The answer to a request from another host, which a test cannot be on.
    async fn answer_to_a_stranger(server: &Server, request: &[u8]) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let shared = Arc::clone(&server.shared);
        let session = tokio::spawn(Session::new(shared, stream, peer, false).serve());
        client.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        session.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn strangers_may_only_ask() {
        let config = Config { command_check: CommandCheck::Relaxed, ..Config::default() };
        let server = Server::bind(["127.0.0.1:0".parse().unwrap()], config).await.unwrap();
        let node = NodeInfo::new(AliveName::new("alfa").unwrap(), 9101);
        let _held = server.shared.registry().register(node, 5).unwrap();
        let forbidden: [&[u8]; 5] = [
            b"\x00\x11x\x82\xe1M\x00\x00\x06\x00\x05\x00\x04beta\x00\x00",
            b"\x00\x0ex\x82\xe1M\x00\x00\x06\x00\x05\x00\x01\xff\x00\x00",
            b"\x00\x01d",
            b"\x00\x01k",
            b"\x00\x05salfa",
        ];
        for request in forbidden {
            assert_eq!(answer_to_a_stranger(&server, request).await, b"", "{request:?}");
        }
        assert_eq!(server.shared.registry().names().len(), 1);
        assert_eq!(*server.shared.stopping.borrow(), None);
        let names = answer_to_a_stranger(&server, b"\x00\x01n").await;
        assert_eq!(names[4..], *b"name alfa at port 9101\n");
        let place = answer_to_a_stranger(&server, b"\x00\x05zalfa").await;
        assert_eq!(place[..4], *b"w\x00\x23\x8d");
    }
}
