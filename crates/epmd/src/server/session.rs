use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use peerl_proto::epmd::{
    Alive2Response, AliveName, DumpResponse, KillResponse, MAX_REQUEST, NamesResponse, NodeInfo, PortPlease2Response,
    Request, StopResponse,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;
use tracing::{debug, info};

use super::registry::LeaseId;
use super::{CommandCheck, End, Shared};
use crate::wire::end_of;

/// One connection: a request, its answer, and for a registration the lease after it.
pub(super) struct Session {
    shared: Arc<Shared>,
    stream: TcpStream,
    peer: SocketAddr,
    is_local: bool,
    slots: Slots,
}

/// The place of a connection among all, and among those from other hosts if it is one.
type Slots = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// What is left to do after the answer.
enum After {
    Close,
    /// The node is registered while the connection is open and silent.
    Hold(Registered),
    /// The node was refused; it is the one to close, as with OTP's EPMD.
    AwaitClose,
    /// EPMD has been killed.
    End,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, is_local: bool, slots: Slots) -> Self {
        Self { shared, stream, peer, is_local, slots }
    }

    pub(super) async fn serve(mut self) {
        let idle = self.shared.config.idle;
        match timeout(idle, self.exchange()).await {
            Ok(Ok(After::Close)) => {}
            Ok(Ok(After::Hold(registered))) => self.hold(registered).await,
            Ok(Ok(After::AwaitClose)) => {
                let _ = timeout(idle, self.silence()).await;
            }
            Ok(Ok(After::End)) => self.shared.stop(End::Killed),
            Ok(Err(error)) => debug!(peer = %self.peer, %error, "a connection to EPMD broke"),
            Err(_) => debug!(peer = %self.peer, "a request to EPMD took too long"),
        }
    }

    /// Reads the request and answers it.
    async fn exchange(&mut self) -> io::Result<After> {
        self.stream.set_nodelay(true)?;
        let request = tokio::select! {
            request = read_request(&mut self.stream) => request?,
            () = self.shared.stopped() => return Ok(After::Close),
        };
        let (answer, after) = match request {
            Some(Ok(request)) => self.perform(request),
            Some(Err(error)) => {
                debug!(peer = %self.peer, %error, "EPMD has got a request that it can't serve");
                match error.refusal().filter(|_| self.is_local) {
                    Some(refusal) => (refusal.encode(), After::AwaitClose),
                    None => (Vec::new(), After::Close),
                }
            }
            None => (Vec::new(), After::Close),
        };
        // One write: OTP's client takes the answer to ALIVE2 for garbage if it comes in two.
        self.stream.write_all(&answer).await?;
        if let After::Close | After::End = after {
            self.stream.shutdown().await?;
        }
        Ok(after)
    }

    fn perform(&self, request: Request) -> (Vec<u8>, After) {
        let shared = &self.shared;
        let strict = shared.config.command_check == CommandCheck::Strict;
        let ignored = (Vec::new(), After::Close);
        match request {
            Request::PortPlease2(request) => {
                let found = shared.registry().lookup(&request.name).cloned();
                let response = found.map_or(PortPlease2Response::Unknown, PortPlease2Response::Found);
                (response.encode(), After::Close)
            }
            Request::Names(_) => {
                let names = shared.registry().names();
                (NamesResponse::new(shared.port, names).encode(), After::Close)
            }
            _ if !self.is_local => {
                debug!(peer = %self.peer, "EPMD ignores what only its own host may ask");
                ignored
            }
            Request::Alive2(request) => self.register(request.node),
            Request::Dump(_) => {
                let entries = shared.registry().dump();
                (DumpResponse::new(shared.port, entries).encode(), After::Close)
            }
            Request::Kill(_) if strict && !shared.registry().is_empty() => {
                (KillResponse::Refused.encode(), After::Close)
            }
            Request::Kill(_) => (KillResponse::Ending.encode(), After::End),
            Request::Stop(_) if strict => ignored,
            Request::Stop(request) => {
                let response = match shared.registry().stop(&request.name) {
                    true => StopResponse::Stopped,
                    false => StopResponse::Unknown,
                };
                (response.encode(), After::Close)
            }
            _ => ignored,
        }
    }

    fn register(&self, node: NodeInfo) -> (Vec<u8>, After) {
        let (name, port, version) = (node.name.clone(), node.port, node.highest_version);
        let registered = self.shared.registry().register(node, now());
        match registered {
            Ok(granted) => {
                info!(%name, port, creation = granted.creation, "EPMD has registered a node");
                let registered = Registered {
                    shared: Arc::clone(&self.shared),
                    name,
                    lease: granted.lease,
                    stopped: granted.stopped,
                };
                let response = Alive2Response::registered(version, granted.creation);
                (response.encode(), After::Hold(registered))
            }
            Err(reason) => {
                info!(%name, port, %reason, "EPMD has refused a node");
                (Alive2Response::refused(version).encode(), After::AwaitClose)
            }
        }
    }

    /// Keeps a node registered until its connection ends or any byte comes on it.
    async fn hold(mut self, mut registered: Registered) {
        // From here on it counts among the names and no longer among the connections.
        drop(self.slots);
        tokio::select! {
            () = end_of(&mut self.stream) => {}
            _ = &mut registered.stopped => {}
            () = self.shared.stopped() => {}
        }
    }

    /// Waits until the connection ends or any byte comes on it, or the server is to end.
    async fn silence(&mut self) {
        tokio::select! {
            () = end_of(&mut self.stream) => {}
            () = self.shared.stopped() => {}
        }
    }
}

/// A name's registration, which ends when this is dropped, also when that is because the answer could not be
/// written or the task was cancelled.
struct Registered {
    shared: Arc<Shared>,
    name: AliveName,
    lease: LeaseId,
    stopped: oneshot::Receiver<()>,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.registry().unregister(&self.name, self.lease);
        info!(name = %self.name, "EPMD has unregistered a node");
    }
}

/// Reads one request; `None` when the client closes the connection before it is whole.
async fn read_request(stream: &mut TcpStream) -> io::Result<Option<Result<Request, peerl_proto::epmd::RequestError>>> {
    let mut input = BytesMut::with_capacity(256);
    loop {
        match Request::read(&mut input) {
            Ok(Some(request)) => return Ok(Some(Ok(request))),
            Ok(None) => {}
            Err(error) => return Ok(Some(Err(error))),
        }
        // A request that is not whole yet has stated its length, so the buffer never grows beyond that.
        debug_assert!(input.len() <= 2 + MAX_REQUEST);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(None);
        }
    }
}

/// The time in seconds, which is what the creations of new names start at.
fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::super::{Config, Server};
    use super::*;

    /// The answer to a request that comes from another host, which a test can't be on.
    async fn answer_to_a_stranger(server: &Server, request: &[u8]) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let shared = Arc::clone(&server.shared);
        let slot = Arc::clone(&shared.slots).try_acquire_owned().unwrap();
        let session = tokio::spawn(Session::new(shared, stream, peer, false, (slot, None)).serve());
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

    #[tokio::test]
    async fn strangers_leave_half_of_the_places() {
        let config = Config { connections: 4, ..Config::default() };
        let server = Server::bind(["127.0.0.1:0".parse().unwrap()], config).await.unwrap();
        let stranger = "192.0.2.1:4000".parse().unwrap();
        let neighbour = "127.0.0.1:4000".parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut admitted = Vec::new();
        for (peer, expected) in [(stranger, 2), (neighbour, 4)] {
            for _ in 0..5 {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                admitted.extend(server.shared.admit(stream, peer));
            }
            assert_eq!(admitted.len(), expected);
        }
        admitted.clear();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(server.shared.admit(stream, stranger).is_some(), "the places are free again");
    }
}
