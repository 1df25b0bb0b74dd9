//! Drives a handshake over a stream.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peerl_proto::handshake::acceptor::{NamedInitiator, NamelessInitiator};
use peerl_proto::handshake::arbitration::CallVerdict;
use peerl_proto::handshake::{Established, Handshake, HandshakeError, HandshakeReader, LocalNode, SetupTimer, Step};
use peerl_proto::node_name::NodeName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::granted_names::GrantError;
use super::transport::Stream;
use crate::kernel::clock;
use crate::kernel::random::Random;

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
            Self::Io(error) if error.kind() == io::ErrorKind::InvalidData => "no agreement on the transport",
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
    stream: &mut Stream,
    buffer: &mut BytesMut,
    local: LocalNode,
    peer: NodeName,
    random: &Random,
    replaces: impl FnOnce() -> bool,
) -> Result<Initiated, Error> {
    let mut wire = Wire::new(stream, buffer, &local);
    let (mut handshake, out) = Handshake::initiate(local, peer);
    wire.write(&out).await?;
    let mut replaces = Some(replaces);
    loop {
        let message = match wire.read(&handshake).await? {
            Some(message) => message,
            None => return Ok(Initiated::Closed(handshake.closed())),
        };
        let out;
        (handshake, out) = match handshake.receive(&message, challenge(random)?).map_err(HandshakeError::from)? {
            Step::Next(next, out) => (next, out),
            Step::AnswerAlive(state) if replaces.take().is_some_and(|replaces| replaces()) => {
                let (state, out) = state.replace();
                (Handshake::ExpectChallenge(state), vec![out])
            }
            Step::AnswerAlive(state) => {
                wire.write(&state.keep_old()).await?;
                return Ok(Initiated::KeptOld);
            }
            Step::Established(established, _) => return Ok(Initiated::Established(established)),
            // The other steps are those of an acceptor.
            Step::Yielded | Step::Named(_) | Step::Nameless(_) | Step::Dismissed(_) => return Ok(Initiated::Yielded),
        };
        wire.write_all(&out).await?;
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
    /// What the attempts with the peer ask for.
    Answer(CallVerdict),
    Refuse,
}

/// Conducts the handshake on a connection that a peer has opened. `decide` is asked what to do with a caller that
/// has a name, `name` gives a name and a creation to one that has none.
pub(crate) async fn accept(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    local: LocalNode,
    random: &Random,
    decide: impl FnOnce(&mut NamedInitiator) -> Decision,
    name: impl FnOnce(&NamelessInitiator) -> Result<(String, u32), GrantError>,
) -> Result<Accepted, Error> {
    let mut wire = Wire::new(stream, buffer, &local);
    let mut handshake = Handshake::accept(local);
    let mut decides = Some((decide, name));
    loop {
        let message = match wire.read(&handshake).await? {
            Some(message) => message,
            None => return Err(handshake.closed().into()),
        };
        let step = match (handshake.receive(&message, challenge(random)?), decides.take()) {
            (Ok(Step::Named(mut caller)), Some((decide, _))) => match decide(&mut caller) {
                Decision::Answer(verdict) => caller.answer(verdict, challenge(random)?),
                Decision::Refuse => Step::Dismissed(Some(caller.refuse())),
            },
            (Ok(Step::Nameless(caller)), Some((_, name))) => {
                let (name, creation) = name(&caller)?;
                caller.answer(&name, creation, challenge(random)?).map_err(HandshakeError::PeerName)?
            }
            (Ok(step), _) => step,
            (Err(refused), _) => {
                if let Some(reply) = &refused.reply {
                    wire.write(reply).await?;
                }
                return Err(refused.error.into());
            }
        };
        match step {
            Step::Next(next, out) => {
                handshake = next;
                wire.write_all(&out).await?;
            }
            Step::Established(established, out) => return Ok(Accepted::Established(established, out)),
            Step::Dismissed(reply) => {
                if let Some(reply) = &reply {
                    wire.write(reply).await?;
                }
                return Ok(Accepted::Dismissed);
            }
            // The other steps are those of an initiator, or have been answered.
            Step::AnswerAlive(_) | Step::Yielded | Step::Named(_) | Step::Nameless(_) => {
                return Ok(Accepted::Dismissed);
            }
        }
    }
}

fn challenge(random: &Random) -> io::Result<u32> {
    random.u32().map_err(io::Error::other)
}

/// How long a silent peer has for an answer to the farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// The stream, read and written message by message, each within the set-up time.
struct Wire<'a> {
    stream: &'a mut Stream,
    buffer: &'a mut BytesMut,
    reader: HandshakeReader,
    timer: SetupTimer,
}

impl<'a> Wire<'a> {
    fn new(stream: &'a mut Stream, buffer: &'a mut BytesMut, local: &LocalNode) -> Self {
        let timer = SetupTimer::start(clock::now(), SetupTimer::DEFAULT_STEP);
        Self { stream, buffer, reader: HandshakeReader::new(local.framing), timer }
    }

    /// Reads the message that the handshake waits for; `None` if the peer has closed the connection.
    ///
    /// A peer that was dialled and has said nothing for the whole time gets an empty line as a farewell: servers of text
    /// protocols wait for the end of a line before they say anything.
    async fn read(&mut self, handshake: &Handshake) -> Result<Option<Bytes>, Error> {
        let waiting_for = handshake.waiting_for();
        let silent = match self.next(waiting_for).await {
            Err(silent @ Error::Handshake(HandshakeError::Timeout { .. })) => silent,
            read => return read,
        };
        if !matches!(handshake, Handshake::ExpectStatus(_)) || !self.buffer.is_empty() {
            return Err(silent);
        }
        let answer = async {
            self.write(b"\r\n\r\n").await?;
            self.next(waiting_for).await
        };
        match tokio::time::timeout(FAREWELL, answer).await {
            Ok(Err(foreign @ Error::Handshake(HandshakeError::Foreign { .. }))) => Err(foreign),
            _ => Err(silent),
        }
    }

    async fn next(&mut self, waiting_for: &'static str) -> Result<Option<Bytes>, Error> {
        self.timer.restart(clock::now());
        let deadline = tokio::time::Instant::from_std(self.timer.deadline());
        loop {
            if let Some(message) = self.reader.next(self.buffer)? {
                return Ok(Some(message));
            }
            self.buffer.reserve(HandshakeReader::MAX_MESSAGE);
            match tokio::time::timeout_at(deadline, self.stream.read.read_buf(self.buffer)).await {
                Err(_) => {
                    let timeout = HandshakeError::Timeout { waiting_for };
                    return Err(self.reader.incomplete(self.buffer).unwrap_or(timeout).into());
                }
                Ok(Ok(0)) => return self.closed(),
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => return self.closed(),
                Ok(read) => read?,
            };
        }
    }

    fn closed(&self) -> Result<Option<Bytes>, Error> {
        self.reader.incomplete(self.buffer).map_or(Ok(None), |foreign| Err(foreign.into()))
    }

    /// Writes messages one after the other.
    async fn write_all(&mut self, messages: &[Vec<u8>]) -> io::Result<()> {
        for message in messages {
            self.write(message).await?;
        }
        Ok(())
    }

    /// Writes a message. If the peer has closed the connection, the next [`read`](Self::read) says so.
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write.write_all(bytes).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => Ok(()),
            written => written,
        }
    }
}
