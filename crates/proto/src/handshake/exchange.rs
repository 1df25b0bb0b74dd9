//! A complete handshake, on either side.

use super::{
    Established, HandshakeError, LocalNode,
    acceptor::{
        AfterReply, AliveAnswer, ExpectAliveAnswer, ExpectName, ExpectReply, Introduced, NamedInitiator,
        NamelessInitiator, Refused,
    },
    arbitration::CallVerdict,
    initiator::{self, AfterStatus, AnswerAlive, ExpectAck, ExpectChallenge, ExpectStatus},
};
use crate::node_name::{NodeName, NodeNameError};

/// A handshake that waits for the peer's next message.
///
/// The states are those of [`initiator`] and [`acceptor`](super::acceptor); a [`Step`] tells what the node must
/// decide.
#[derive(Debug)]
pub enum Handshake {
    /// This node has sent its name.
    ExpectStatus(ExpectStatus),
    /// The peer has accepted this node's name.
    ExpectChallenge(ExpectChallenge),
    /// This node has sent its proof.
    ExpectAck(ExpectAck),
    /// The peer has connected.
    ExpectName(ExpectName),
    /// The peer was asked whether its connection replaces an existing one.
    ExpectAliveAnswer(ExpectAliveAnswer),
    /// The peer was challenged.
    ExpectReply(ExpectReply),
}

/// The consequence of a message.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Write these bytes, one after the other, and wait for the next message.
    Next(Handshake, Vec<Vec<u8>>),
    /// The peer considers an older connection up: this node decides which one stays.
    AnswerAlive(AnswerAlive),
    /// The initiator has sent its name: [answer](NamedInitiator::answer) it.
    Named(NamedInitiator),
    /// The initiator asks for a name.
    Nameless(NamelessInitiator),
    /// The peer's own attempt wins: close, and wait for it.
    Yielded,
    /// Write these bytes, if there are any, and close.
    Dismissed(Option<Vec<u8>>),
    /// The peer is authenticated. Write the bytes, if there are any, once the connection is registered.
    Established(Established, Vec<u8>),
}

impl Handshake {
    /// Begins a handshake with a dialled peer: returns the first bytes to write.
    pub fn initiate(local: LocalNode, peer: NodeName) -> (Self, Vec<u8>) {
        let (state, out) = initiator::start(local, peer);
        (Handshake::ExpectStatus(state), out)
    }

    /// Begins a handshake on an accepted connection.
    pub fn accept(local: LocalNode) -> Self {
        Handshake::ExpectName(ExpectName::new(local))
    }

    /// Takes the next message. `challenge` is 32 unpredictable bits.
    ///
    /// # Errors
    /// If the handshake fails: send the [reply](Refused::reply), if there is one, and close the connection.
    pub fn receive(self, message: &[u8], challenge: u32) -> Result<Step, Refused> {
        Ok(match self {
            Handshake::ExpectStatus(state) => match state.receive(message)? {
                AfterStatus::Proceed(state) => Step::Next(Handshake::ExpectChallenge(state), Vec::new()),
                AfterStatus::Alive(state) => Step::AnswerAlive(state),
                AfterStatus::Yield => Step::Yielded,
            },
            Handshake::ExpectChallenge(state) => {
                let (state, out) = state.receive(message, challenge)?;
                Step::Next(Handshake::ExpectAck(state), vec![out])
            }
            Handshake::ExpectAck(state) => Step::Established(state.receive(message)?, Vec::new()),
            Handshake::ExpectName(state) => match state.receive(message)? {
                Introduced::Named(caller) => Step::Named(caller),
                Introduced::Dynamic(caller) => Step::Nameless(caller),
            },
            Handshake::ExpectAliveAnswer(state) => match state.receive(message, challenge)? {
                AliveAnswer::Replace(state, out) => Step::Next(Handshake::ExpectReply(state), vec![out]),
                AliveAnswer::KeepOld => Step::Dismissed(None),
            },
            Handshake::ExpectReply(state) => match state.receive(message)? {
                AfterReply::Complemented(state) => Step::Next(Handshake::ExpectReply(state), Vec::new()),
                AfterReply::Established(established, out) => Step::Established(established, out),
            },
        })
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        match self {
            Handshake::ExpectStatus(state) => state.closed(),
            Handshake::ExpectChallenge(state) => state.closed(),
            Handshake::ExpectAck(state) => state.closed(),
            Handshake::ExpectName(state) => state.closed(),
            Handshake::ExpectAliveAnswer(state) => state.closed(),
            Handshake::ExpectReply(state) => state.closed(),
        }
    }

    /// The message that the handshake waits for.
    pub fn waiting_for(&self) -> &'static str {
        match self {
            Handshake::ExpectStatus(_) => "status",
            Handshake::ExpectChallenge(_) => "challenge",
            Handshake::ExpectAck(_) => "acknowledgement",
            Handshake::ExpectName(_) => "name",
            Handshake::ExpectAliveAnswer(_) => "answer to alive",
            Handshake::ExpectReply(_) => "challenge reply",
        }
    }
}

impl NamedInitiator {
    /// Answers as the [`PeerSlot`](super::arbitration::PeerSlot) decided. `challenge` is 32 unpredictable bits.
    pub fn answer(self, verdict: CallVerdict, challenge: u32) -> Step {
        match verdict {
            CallVerdict::Accept { .. } => next(self.accept(challenge)),
            CallVerdict::AcceptSimultaneous { .. } => next(self.accept_simultaneous(challenge)),
            CallVerdict::AskAlive => {
                let (state, out) = self.ask_alive();
                Step::Next(Handshake::ExpectAliveAnswer(state), vec![out])
            }
            CallVerdict::Yield => Step::Dismissed(Some(self.yield_to_ours())),
            CallVerdict::Close => Step::Dismissed(None),
        }
    }
}

impl NamelessInitiator {
    /// Assigns the name `name@host` and a creation; see [`give_name`](Self::give_name).
    ///
    /// # Errors
    /// If the name is invalid.
    pub fn answer(self, name: &str, creation: u32, challenge: u32) -> Result<Step, NodeNameError> {
        self.give_name(name, creation, challenge).map(next)
    }
}

fn next((state, out): (ExpectReply, [Vec<u8>; 2])) -> Step {
    Step::Next(Handshake::ExpectReply(state), out.into())
}
