//! The side that opened the TCP connection.

use super::{
    AssignedNameError, Established, HandshakeError, LocalNode,
    message::{Challenge, ChallengeAck, ChallengeReply, SendName, Status, StatusReply, node_name},
};
use crate::{cookie::Cookie, flags::DistributionFlags, node_name::NodeName};

/// Begins a handshake with `peer`: returns the state that waits for the status, and the first bytes to send.
pub fn start(local: LocalNode, peer: NodeName) -> (ExpectStatus, Vec<u8>) {
    let mut out = Vec::new();
    local.framing.message(&mut out, |out| {
        let name = SendName { flags: local.flags, creation: local.creation, name: local.name.as_str(), old: false };
        name.write(out)
    });
    (ExpectStatus { local, peer, dynamic: false }, out)
}

/// Begins a handshake in which the peer assigns this node's name ("dynamic node name", flag
/// [`NAME_ME`](DistributionFlags::NAME_ME)).
///
/// Only the host of `local.name` is sent. [`ExpectChallenge::local_name`] and [`ExpectChallenge::local_creation`]
/// return the assigned name and creation. Such a connection is always hidden.
pub fn start_dynamic(mut local: LocalNode, peer: NodeName) -> (ExpectStatus, Vec<u8>) {
    local.flags = local.flags.difference(DistributionFlags::PUBLISHED);
    let mut out = Vec::new();
    local.framing.message(&mut out, |out| {
        let flags = local.flags | DistributionFlags::NAME_ME;
        SendName { flags, creation: 0, name: local.name.host(), old: false }.write(out)
    });
    (ExpectStatus { local, peer, dynamic: true }, out)
}

/// Waits for the acceptor's status.
#[derive(Debug)]
pub struct ExpectStatus {
    local: LocalNode,
    peer: NodeName,
    dynamic: bool,
}

/// What the acceptor's status requires.
#[derive(Debug)]
#[must_use]
pub enum AfterStatus {
    /// `ok`, `ok_simultaneous` or `named:`: the challenge comes next.
    Proceed(ExpectChallenge),
    /// `alive`: the peer considers a connection to this node up and asks which one stays.
    Alive(AnswerAlive),
    /// `nok`: the peer is connecting at the same time, and its attempt wins. Drop this connection and use the peer's.
    Yield,
}

impl ExpectStatus {
    /// Takes the status message.
    pub fn receive(mut self, message: &[u8]) -> Result<AfterStatus, HandshakeError> {
        match Status::parse(message)? {
            Status::NotAllowed => Err(HandshakeError::NotAllowed { peer: self.peer }),
            Status::Named { name, creation } => {
                let name = node_name(name)?;
                if !self.dynamic {
                    return Err(HandshakeError::Naming { peer: self.peer, what: AssignedNameError::Unrequested });
                }
                if name.host() != self.local.name.host() {
                    return Err(HandshakeError::Naming { peer: self.peer, what: AssignedNameError::OtherHost });
                }
                self.local.name = name;
                self.local.creation = creation;
                Ok(AfterStatus::Proceed(self.proceed()))
            }
            _ if self.dynamic => Err(HandshakeError::Naming { peer: self.peer, what: AssignedNameError::Missing }),
            Status::Ok | Status::OkSimultaneous => Ok(AfterStatus::Proceed(self.proceed())),
            Status::Nok => Ok(AfterStatus::Yield),
            Status::Alive => Ok(AfterStatus::Alive(AnswerAlive { next: self.proceed() })),
        }
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { probably: "it is not an Erlang node, or it is shutting down" }
    }

    fn proceed(self) -> ExpectChallenge {
        ExpectChallenge { local: self.local, peer: self.peer }
    }
}

/// The peer considers an older connection up; this node decides which one stays.
#[derive(Debug)]
pub struct AnswerAlive {
    next: ExpectChallenge,
}

impl AnswerAlive {
    /// `true`: the older connection is dead, the new one replaces it.
    pub fn replace(self) -> (ExpectChallenge, Vec<u8>) {
        let out = self.answer(true);
        (self.next, out)
    }

    /// `false`: the older connection stays. Drop the new one after sending the bytes.
    pub fn keep_old(self) -> Vec<u8> {
        self.answer(false)
    }

    fn answer(&self, replace: bool) -> Vec<u8> {
        let mut out = Vec::new();
        self.next.local.framing.message(&mut out, |out| StatusReply { replace }.write(out));
        out
    }
}

/// Waits for the acceptor's challenge.
#[derive(Debug)]
pub struct ExpectChallenge {
    local: LocalNode,
    peer: NodeName,
}

impl ExpectChallenge {
    /// Takes the challenge message and answers it. `challenge` is this node's own: 32 unpredictable bits.
    pub fn receive(self, message: &[u8], challenge: u32) -> Result<(ExpectAck, Vec<u8>), HandshakeError> {
        let theirs = Challenge::parse(message)?;
        if theirs.name != self.peer.as_str() {
            let answered = theirs.name.chars().take(NodeName::MAX_CHARACTERS).collect();
            return Err(HandshakeError::WrongName { dialled: self.peer, answered });
        }
        let missing = theirs.flags.missing_mandatory(self.local.required);
        if !missing.is_empty() {
            return Err(HandshakeError::MissingFlags { peer: self.peer.to_string(), missing });
        }
        let mut out = Vec::new();
        let digest = self.local.cookie.digest(theirs.challenge);
        self.local.framing.message(&mut out, |out| ChallengeReply { challenge, digest }.write(out));
        let established = Established {
            peer: self.peer,
            creation: theirs.creation,
            flags: self.local.flags.negotiate(theirs.flags),
            peer_flags: theirs.flags,
        };
        Ok((ExpectAck { cookie: self.local.cookie, challenge, established }, out))
    }

    /// This node's name, as assigned by the peer if it was asked to.
    pub fn local_name(&self) -> &NodeName {
        &self.local.name
    }

    /// This node's creation, as assigned by the peer if it was asked to.
    pub fn local_creation(&self) -> u32 {
        self.local.creation
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { probably: "another connection with this node got ahead, or it is shutting down" }
    }
}

/// Waits for the acceptor's proof that it knows the cookie.
#[derive(Debug)]
pub struct ExpectAck {
    cookie: Cookie,
    challenge: u32,
    established: Established,
}

impl ExpectAck {
    /// Takes the acknowledgement. The connection is up; frames follow.
    pub fn receive(self, message: &[u8]) -> Result<Established, HandshakeError> {
        let ack = ChallengeAck::parse(message)?;
        if !self.cookie.proves(self.challenge, &ack.digest) {
            return Err(HandshakeError::CookieMismatch { peer: self.established.peer });
        }
        Ok(self.established)
    }

    /// The error for a connection that the peer closed in this state, which is its only answer to a wrong cookie.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::CookieMismatch { peer: self.established.peer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fault::Fault,
        handshake::Framing,
        test_support::{hex, local, name, unframed},
    };

    /// Two OTP 25 nodes, hidden, cookie `c`; captured between them.
    mod captured {
        pub(super) const NAME: &str = "001a 4e 0000000d07df7fbc 000003ea 000b 61403132372e302e302e31";
        pub(super) const STATUS: &str = "0003 736f6b";
        pub(super) const CHALLENGE: &str = "001e 4e 0000000d07df7fbc d8c7e10b 000003e9 000b 62403132372e302e302e31";
        pub(super) const REPLY: &str = "0015 72 425c7596 439640b97d61e0a68f9eaa1589065d1d";
        pub(super) const ACK: &str = "0011 61 25bfd194b9667f01d25d6cb518cc27f2";
    }

    fn otp25(text: &str, creation: u32) -> LocalNode {
        let mut local = local(text);
        local.creation = creation;
        local.flags = DistributionFlags::from_bits_retain(0xD_07DF_7FBC);
        local
    }

    fn challenged() -> ExpectChallenge {
        let (state, out) = start(otp25("a@127.0.0.1", 0x3ea), name("b@127.0.0.1"));
        assert_eq!(out, hex(captured::NAME));
        match state.receive(&unframed(captured::STATUS)).unwrap() {
            AfterStatus::Proceed(state) => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bytes_of_two_otp_25_nodes() {
        let (state, out) = challenged().receive(&unframed(captured::CHALLENGE), 0x425c_7596).unwrap();
        assert_eq!(out, hex(captured::REPLY));
        let established = state.receive(&unframed(captured::ACK)).unwrap();
        assert_eq!(established.peer, "b@127.0.0.1");
        assert_eq!(established.creation, 0x3e9);
        assert_eq!(established.flags.bits(), 0xD_07DF_7FBC);
        assert!(!established.flags.contains(DistributionFlags::PUBLISHED));
    }

    #[test]
    fn a_wrong_proof() {
        let (state, _) = challenged().receive(&unframed(captured::CHALLENGE), 0x425c_7597).unwrap();
        let error = state.receive(&unframed(captured::ACK)).unwrap_err();
        assert_eq!(error, HandshakeError::CookieMismatch { peer: name("b@127.0.0.1") });
        assert_eq!(error.fault(), Fault::Misconfigured);
    }

    #[test]
    fn another_node_answers() {
        let message = unframed("001e 4e 0000000d07df7fbc d8c7e10b 000003e9 000b 63403132372e302e302e31");
        let error = challenged().receive(&message, 1).unwrap_err();
        assert_eq!(error.to_string(), "b@127.0.0.1 answered as c@127.0.0.1; the address belongs to another node");
    }

    #[test]
    fn missing_flags() {
        let message = unframed("001e 4e 0000000d03df7bbc d8c7e10b 000003e9 000b 62403132372e302e302e31");
        let error = challenged().receive(&message, 1).unwrap_err();
        assert_eq!(error.to_string(), "b@127.0.0.1 lacks what this node requires: BIT_BINARIES");
        assert_eq!(error.fault(), Fault::PeerIncompatible);
    }

    #[test]
    fn every_status() {
        let receive = |status: &[u8]| start(local("a@h"), name("b@h")).0.receive(status);
        assert!(matches!(receive(b"sok"), Ok(AfterStatus::Proceed(_))));
        assert!(matches!(receive(b"sok_simultaneous"), Ok(AfterStatus::Proceed(_))));
        assert!(matches!(receive(b"snok"), Ok(AfterStatus::Yield)));
        assert_eq!(receive(b"snot_allowed").unwrap_err(), HandshakeError::NotAllowed { peer: name("b@h") });
        assert_eq!(receive(b"sgaga").unwrap_err(), HandshakeError::UnknownStatus { status: "gaga".into() });
        assert!(matches!(receive(b"snamed:\0\x03x@h\0\0\0\x05"), Err(HandshakeError::Naming { .. })));
        assert!(matches!(receive(b""), Err(HandshakeError::Unexpected { tag: None, .. })));

        let Ok(AfterStatus::Alive(state)) = receive(b"salive") else { panic!() };
        assert_eq!(state.keep_old(), b"\0\x06sfalse");
        let Ok(AfterStatus::Alive(state)) = receive(b"salive") else { panic!() };
        assert_eq!(state.replace().1, b"\0\x05strue");
    }

    #[test]
    fn dynamic_name() {
        let begin = || start_dynamic(local("undefined@h"), name("b@h"));
        let (state, out) = begin();
        assert_eq!(out, hex("0010 4e 0000006f07df7fbc 00000000 0001 68"));
        let Ok(AfterStatus::Proceed(state)) = state.receive(b"snamed:\0\x033@h\0\0\0\x07") else { panic!() };
        assert_eq!((state.local_name().as_str(), state.local_creation()), ("3@h", 7));

        assert!(matches!(begin().0.receive(b"sok"), Err(HandshakeError::Naming { .. })));
        assert!(matches!(begin().0.receive(b"snamed:\0\x033@i\0\0\0\x07"), Err(HandshakeError::Naming { .. })));
        assert!(matches!(begin().0.receive(b"snamed:\0\x093@i\0\0\0\x07"), Err(HandshakeError::Malformed { .. })));
    }

    #[test]
    fn long_framing() {
        let mut local = local("a@h");
        local.framing = Framing::Long;
        let (_, out) = start(local, name("b@h"));
        assert_eq!(out[..5], [0, 0, 0, 18, b'N']);
    }
}
