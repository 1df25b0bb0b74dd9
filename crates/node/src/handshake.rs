//! Drives the handshake's states over a socket.

use std::io;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use peerl_proto::handshake::acceptor::{
    AfterReply, AliveAnswer, Caller, ExpectName, ExpectReply, Introduced, NamelessCaller,
};
use peerl_proto::handshake::initiator::{self, AfterStatus};
use peerl_proto::handshake::{Established, HandshakeError, HandshakeReader, LocalNode, SetupTimer};
use peerl_proto::node_name::NodeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::granted_names::GrantError;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("there is no name to give: {0}")]
    Grant(#[from] GrantError),
}

impl Error {
    /// The reason in a few words, without anything that the peer has chosen.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Io(_) => "broken connection",
            Self::Handshake(error) => error.kind(),
            Self::Grant(_) => "no name to give",
        }
    }
}

/// How an outgoing handshake ended.
pub(crate) enum Initiated {
    Established(Established),
    /// The peer's own attempt wins.
    Yielded,
    /// An older connection is well after all.
    KeptOld,
    /// The peer closed the connection without a word.
    Closed(HandshakeError),
}

/// Conducts the handshake on a connection that this node has opened.
pub(crate) async fn initiate(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    local: LocalNode,
    peer: NodeName,
    replaces: impl FnOnce() -> bool,
) -> Result<Initiated, Error> {
    let mut wire = Wire::new(stream, buffer, &local);
    let (state, out) = initiator::start(local, peer);
    wire.write(&out).await?;
    let message = match wire.read_status().await? {
        Some(message) => message,
        None => return Ok(Initiated::Closed(state.closed())),
    };
    let state = match state.receive(&message)? {
        AfterStatus::Proceed(state) => state,
        AfterStatus::Yield => return Ok(Initiated::Yielded),
        AfterStatus::Alive(state) if replaces() => {
            let (state, out) = state.replace();
            wire.write(&out).await?;
            state
        }
        AfterStatus::Alive(state) => {
            wire.write(&state.keep_old()).await?;
            return Ok(Initiated::KeptOld);
        }
    };
    let message = match wire.read("challenge").await? {
        Some(message) => message,
        None => return Ok(Initiated::Closed(state.closed())),
    };
    let (state, out) = state.receive(&message, challenge()?)?;
    wire.write(&out).await?;
    match wire.read("acknowledgement").await? {
        Some(message) => Ok(Initiated::Established(state.receive(&message)?)),
        None => Ok(Initiated::Closed(state.closed())),
    }
}

/// How an incoming handshake ended.
pub(crate) enum Accepted {
    /// The peer has proved itself. The bytes are to be sent as soon as the connection counts.
    Established(Established, Vec<u8>),
    /// The peer was turned away, or went away, in good order.
    Dismissed,
}

/// What is to become of a caller.
pub(crate) enum Decision {
    Accept,
    AcceptSimultaneous,
    Yield,
    AskAlive,
    Refuse,
    Close,
}

/// Conducts the handshake on a connection that a peer has opened. `decide` is asked what to do with a caller that
/// has a name, `name` gives a name and a creation to one that has none.
pub(crate) async fn accept(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    local: LocalNode,
    decide: impl FnOnce(&mut Caller) -> Decision,
    name: impl FnOnce(&NamelessCaller) -> Result<(String, u32), GrantError>,
) -> Result<Accepted, Error> {
    let mut wire = Wire::new(stream, buffer, &local);
    let state = ExpectName::new(local);
    let message = match wire.read("name").await? {
        Some(message) => message,
        None => return Err(state.closed().into()),
    };
    let (state, out): (ExpectReply, Vec<Vec<u8>>) = match state.receive(&message) {
        Err(refused) => {
            if let Some(farewell) = &refused.farewell {
                wire.write(farewell).await?;
            }
            return Err(refused.error.into());
        }
        Ok(Introduced::Named(mut caller)) => match decide(&mut caller) {
            Decision::Accept => in_writes(caller.accept(challenge()?)),
            Decision::AcceptSimultaneous => in_writes(caller.accept_simultaneous(challenge()?)),
            Decision::Yield => {
                wire.write(&caller.yield_to_ours()).await?;
                return Ok(Accepted::Dismissed);
            }
            Decision::Refuse => {
                wire.write(&caller.refuse()).await?;
                return Ok(Accepted::Dismissed);
            }
            Decision::Close => return Ok(Accepted::Dismissed),
            Decision::AskAlive => {
                let (state, out) = caller.ask_alive();
                wire.write(&out).await?;
                let message = match wire.read("answer to alive").await? {
                    Some(message) => message,
                    None => return Err(state.closed().into()),
                };
                match state.receive(&message, challenge()?)? {
                    AliveAnswer::Replace(state, out) => (state, vec![out]),
                    AliveAnswer::KeepOld => return Ok(Accepted::Dismissed),
                }
            }
        },
        Ok(Introduced::Dynamic(caller)) => {
            let (name, creation) = name(&caller)?;
            in_writes(caller.give_name(&name, creation, challenge()?).map_err(HandshakeError::PeerName)?)
        }
    };
    for message in &out {
        wire.write(message).await?;
    }
    let mut state = state;
    loop {
        let message = match wire.read("challenge reply").await? {
            Some(message) => message,
            None => return Err(state.closed().into()),
        };
        match state.receive(&message)? {
            AfterReply::Complemented(next) => state = next,
            AfterReply::Established(established, out) => return Ok(Accepted::Established(established, out)),
        }
    }
}

/// What is written, message by message.
fn in_writes((state, out): (ExpectReply, [Vec<u8>; 2])) -> (ExpectReply, Vec<Vec<u8>>) {
    (state, out.into())
}

/// 32 bits that nobody can foresee, of the operating system's generator.
fn challenge() -> io::Result<u32> {
    getrandom::u32().map_err(io::Error::other)
}

/// How long a silent peer has for an answer to the farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// The socket, read and written message by message, each within the set-up time.
struct Wire<'a> {
    stream: &'a mut TcpStream,
    buffer: &'a mut BytesMut,
    reader: HandshakeReader,
    timer: SetupTimer,
}

impl<'a> Wire<'a> {
    fn new(stream: &'a mut TcpStream, buffer: &'a mut BytesMut, local: &LocalNode) -> Self {
        let timer = SetupTimer::start(Instant::now(), SetupTimer::DEFAULT_STEP);
        Self { stream, buffer, reader: HandshakeReader::new(local.framing), timer }
    }

    /// Reads the next message; `None` if the peer has closed the connection.
    async fn read(&mut self, waiting_for: &'static str) -> Result<Option<Bytes>, Error> {
        self.timer.restart(Instant::now());
        let deadline = tokio::time::Instant::from_std(self.timer.deadline());
        loop {
            if let Some(message) = self.reader.next(self.buffer)? {
                return Ok(Some(message));
            }
            self.buffer.reserve(HandshakeReader::MAX_MESSAGE);
            match tokio::time::timeout_at(deadline, self.stream.read_buf(self.buffer)).await {
                Err(_) => return Err(HandshakeError::Timeout { waiting_for }.into()),
                Ok(Ok(0)) => return Ok(None),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Ok(read) => read?,
            };
        }
    }

    /// Reads the first message of a peer that was dialled. One that has said nothing for the whole time gets an empty line as
    /// a farewell: servers of text protocols wait for the end of a line before they say anything.
    async fn read_status(&mut self) -> Result<Option<Bytes>, Error> {
        let silent = match self.read("status").await {
            Err(silent @ Error::Handshake(HandshakeError::Timeout { .. })) if self.buffer.is_empty() => silent,
            read => return read,
        };
        let answer = async {
            self.write(b"\r\n\r\n").await?;
            self.read("status").await
        };
        match tokio::time::timeout(FAREWELL, answer).await {
            Ok(Err(foreign @ Error::Handshake(HandshakeError::Foreign { .. }))) => Err(foreign),
            _ => Err(silent),
        }
    }

    /// Writes a message. If the peer has closed the connection, the next [`read`](Self::read) says so.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            written => written,
        }
    }
}
