//! The side that accepted the TCP connection.

use super::{
    Established, HandshakeError, LocalNode,
    message::{Challenge, ChallengeAck, ChallengeReply, Complement, SendName, Status, StatusReply, node_name},
};
use crate::{cookie::Cookie, flags::DistributionFlags, node_name::NodeName};

/// Waits for the initiator's name.
#[derive(Debug)]
pub struct ExpectName {
    local: LocalNode,
}

/// The initiator, which waits for this node's decision.
#[derive(Debug)]
#[must_use]
pub enum Introduced {
    /// It has a name.
    Named(NamedInitiator),
    /// It asks for a name.
    Dynamic(NamelessInitiator),
}

/// An initiator that was refused because it lacks a mandatory flag.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason.
    pub error: HandshakeError,
    /// The `not_allowed` status to send before closing, where the protocol has one.
    pub reply: Option<Vec<u8>>,
}

impl From<Refused> for HandshakeError {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

impl From<HandshakeError> for Refused {
    fn from(error: HandshakeError) -> Self {
        Refused { error, reply: None }
    }
}

impl ExpectName {
    /// Begins a handshake on an accepted connection.
    pub fn new(local: LocalNode) -> Self {
        ExpectName { local }
    }

    /// Takes the name message.
    pub fn receive(self, message: &[u8]) -> Result<Introduced, Refused> {
        let SendName { flags, creation, name, old } = SendName::parse(message)?;
        // An initiator with the old handshake sends the high half of its flags later.
        let required = if old { low_half(self.local.required) } else { self.local.required };
        let missing = flags.missing_mandatory(required);
        if !missing.is_empty() {
            let peer = name.chars().take(NodeName::MAX_CHARACTERS).collect();
            let reply = status(&self.local, &Status::NotAllowed);
            return Err(Refused { error: HandshakeError::MissingFlags { peer, missing }, reply: Some(reply) });
        }
        if flags.contains(DistributionFlags::NAME_ME) && !old {
            // The host becomes part of the name that this node assigns, so it must be valid.
            node_name(&format!("x@{name}"))?;
            return Ok(Introduced::Dynamic(NamelessInitiator { local: self.local, host: name.to_owned(), flags }));
        }
        let name = node_name(name)?;
        Ok(Introduced::Named(NamedInitiator { local: self.local, name, flags, creation, old }))
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { probably: "it only looked whether the port is open" }
    }
}

/// An initiator with a name.
#[derive(Debug)]
pub struct NamedInitiator {
    local: LocalNode,
    name: NodeName,
    flags: DistributionFlags,
    creation: u32,
    old: bool,
}

impl NamedInitiator {
    /// Sets the cookie for this peer, instead of the node's, as `erlang:set_cookie/2` does.
    pub fn use_cookie(&mut self, cookie: Cookie) {
        self.local.cookie = cookie;
    }

    /// The initiator's name, not yet authenticated.
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The initiator's flags.
    pub fn flags(&self) -> DistributionFlags {
        self.flags
    }

    /// `ok`: continues. `challenge` is 32 unpredictable bits.
    ///
    /// The two messages are to be written one after the other, as OTP does: packet analysers expect one message per
    /// segment.
    pub fn accept(self, challenge: u32) -> (ExpectReply, [Vec<u8>; 2]) {
        let status = status(&self.local, &Status::Ok);
        let (state, challenge) = self.challenge(challenge);
        (state, [status, challenge])
    }

    /// `ok_simultaneous`: continues, and this node drops its own attempt to connect to the initiator.
    pub fn accept_simultaneous(self, challenge: u32) -> (ExpectReply, [Vec<u8>; 2]) {
        let status = status(&self.local, &Status::OkSimultaneous);
        let (state, challenge) = self.challenge(challenge);
        (state, [status, challenge])
    }

    /// `alive`: asks whether this connection replaces the existing one.
    pub fn ask_alive(self) -> (ExpectAliveAnswer, Vec<u8>) {
        let out = status(&self.local, &Status::Alive);
        (ExpectAliveAnswer { caller: self }, out)
    }

    /// `nok`: this node's own attempt to connect to the initiator wins. Close after sending the bytes.
    pub fn yield_to_ours(self) -> Vec<u8> {
        status(&self.local, &Status::Nok)
    }

    /// `not_allowed`: refuses the initiator. Close after sending the bytes.
    pub fn refuse(self) -> Vec<u8> {
        status(&self.local, &Status::NotAllowed)
    }

    fn challenge(self, challenge: u32) -> (ExpectReply, Vec<u8>) {
        let out = challenge_message(&self.local, self.local.flags, challenge);
        let state = ExpectReply {
            local: self.local,
            name: self.name,
            flags: self.flags,
            creation: self.creation,
            complement_due: self.old,
            challenge,
        };
        (state, out)
    }
}

/// An initiator that asks for a name.
#[derive(Debug)]
pub struct NamelessInitiator {
    local: LocalNode,
    host: String,
    flags: DistributionFlags,
}

impl NamelessInitiator {
    /// The host of the name to assign.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The initiator's flags.
    pub fn flags(&self) -> DistributionFlags {
        self.flags
    }

    /// `named:`: assigns the name `name@host` and a creation to the initiator, and continues. OTP uses a base-36
    /// number, never the same twice, as the name. The connection will be hidden.
    pub fn give_name(
        self,
        name: &str,
        creation: u32,
        challenge: u32,
    ) -> Result<(ExpectReply, [Vec<u8>; 2]), crate::node_name::NodeNameError> {
        let name = NodeName::new(&format!("{name}@{}", self.host))?;
        let status = status(&self.local, &Status::Named { name: name.as_str(), creation });
        let flags = self.local.flags.difference(DistributionFlags::PUBLISHED) | DistributionFlags::NAME_ME;
        let message = challenge_message(&self.local, flags, challenge);
        let flags = self.flags.difference(DistributionFlags::PUBLISHED);
        let state = ExpectReply { local: self.local, name, flags, creation, complement_due: false, challenge };
        Ok((state, [status, message]))
    }

    /// `not_allowed`: refuses the initiator. Close after sending the bytes.
    pub fn refuse(self) -> Vec<u8> {
        status(&self.local, &Status::NotAllowed)
    }
}

/// Waits for the initiator to say whether the existing connection is dead.
#[derive(Debug)]
pub struct ExpectAliveAnswer {
    caller: NamedInitiator,
}

/// Which connection stays.
#[derive(Debug)]
#[must_use]
pub enum AliveAnswer {
    /// The new one. Close the old one after the handshake, *before* sending the acknowledgement: until then the
    /// initiator has not proved that it knows the cookie.
    Replace(ExpectReply, Vec<u8>),
    /// The old one: close the new one.
    KeepOld,
}

impl ExpectAliveAnswer {
    /// Takes the answer. `challenge` is 32 unpredictable bits.
    pub fn receive(self, message: &[u8], challenge: u32) -> Result<AliveAnswer, HandshakeError> {
        if !StatusReply::parse(message)?.replace {
            return Ok(AliveAnswer::KeepOld);
        }
        let (state, out) = self.caller.challenge(challenge);
        Ok(AliveAnswer::Replace(state, out))
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { probably: "its older connection to this node is well" }
    }
}

/// Waits for the initiator's proof that it knows the cookie.
#[derive(Debug)]
pub struct ExpectReply {
    local: LocalNode,
    name: NodeName,
    flags: DistributionFlags,
    creation: u32,
    complement_due: bool,
    challenge: u32,
}

/// The state of the initiator's proof.
#[derive(Debug)]
#[must_use]
pub enum AfterReply {
    /// An initiator with the old handshake has sent the rest of its name message; the proof is still missing.
    Complemented(ExpectReply),
    /// The initiator knows the cookie. The connection is up once the bytes are sent; frames follow.
    Established(Established, Vec<u8>),
}

impl ExpectReply {
    /// Takes the reply, or the complement that precedes it in the old handshake.
    pub fn receive(mut self, message: &[u8]) -> Result<AfterReply, HandshakeError> {
        if self.complement_due {
            let Complement { flags_high, creation } = Complement::parse(message)?;
            self.flags |= DistributionFlags::from_bits_retain(u64::from(flags_high) << 32);
            self.creation = creation;
            self.complement_due = false;
            let missing = self.flags.missing_mandatory(self.local.required);
            if !missing.is_empty() {
                return Err(HandshakeError::MissingFlags { peer: self.name.to_string(), missing });
            }
            return Ok(AfterReply::Complemented(self));
        }
        let reply = ChallengeReply::parse(message)?;
        if !self.local.cookie.proves(self.challenge, &reply.digest) {
            return Err(HandshakeError::CookieMismatch { peer: self.name });
        }
        let mut out = Vec::new();
        let digest = self.local.cookie.digest(reply.challenge);
        self.local.framing.message(&mut out, |out| ChallengeAck { digest }.write(out));
        let established = Established {
            peer: self.name,
            creation: self.creation,
            flags: self.local.flags.negotiate(self.flags),
            peer_flags: self.flags,
        };
        Ok(AfterReply::Established(established, out))
    }

    /// The error for a connection that the peer closed in this state.
    pub fn closed(self) -> HandshakeError {
        HandshakeError::Closed { probably: "it wanted another node's name or more capabilities than this node has" }
    }
}

fn low_half(flags: DistributionFlags) -> DistributionFlags {
    DistributionFlags::from_bits_retain(flags.bits() & u64::from(u32::MAX))
}

fn status(local: &LocalNode, status: &Status<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    local.framing.message(&mut out, |out| status.write(out));
    out
}

fn challenge_message(local: &LocalNode, flags: DistributionFlags, challenge: u32) -> Vec<u8> {
    let mut out = Vec::new();
    local.framing.message(&mut out, |out| {
        Challenge { flags, challenge, creation: local.creation, name: local.name.as_str() }.write(out)
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{hex, local, name, unframed};

    /// Two OTP 29 nodes, cookie `c`; captured between them.
    const NAME: &str = "001a 4e 0000006d07df7fbd 6b01cd65 000b 61403132372e302e302e31";
    const STATUS_AND_CHALLENGE: &str =
        "0003 736f6b 001e 4e 0000006d07df7fbd e2972c8a 6b01cd64 000b 62403132372e302e302e31";
    const REPLY: &str = "0015 72 9d0c86c4 56be76b7e4978c777edf131afbf84655";
    const ACK: &str = "0011 61 153c26b94bdf409082ea88a5a8522929";

    fn b() -> LocalNode {
        LocalNode { creation: 0x6b01_cd64, ..local("b@127.0.0.1") }
    }

    fn caller() -> NamedInitiator {
        match ExpectName::new(b()).receive(&unframed(NAME)).unwrap() {
            Introduced::Named(caller) => caller,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bytes_of_two_otp_29_nodes() {
        let (state, out) = caller().accept(0xe297_2c8a);
        assert_eq!(out.concat(), hex(STATUS_AND_CHALLENGE));
        let Ok(AfterReply::Established(established, out)) = state.receive(&unframed(REPLY)) else { panic!() };
        assert_eq!(out, hex(ACK));
        assert_eq!(established.peer, "a@127.0.0.1");
        assert_eq!(established.creation, 0x6b01_cd65);
        assert_eq!(established.flags, DistributionFlags::FULL_MEMBER);
        assert!(established.flags.contains(DistributionFlags::PUBLISHED));
    }

    #[test]
    fn a_wrong_proof() {
        let (state, _) = caller().accept(1);
        assert_eq!(
            state.receive(&unframed(REPLY)).unwrap_err(),
            HandshakeError::CookieMismatch { peer: name("a@127.0.0.1") }
        );
        let mut caller = caller();
        caller.use_cookie(Cookie::new("other").unwrap());
        assert!(caller.accept(0xe297_2c8a).0.receive(&unframed(REPLY)).is_err());
    }

    #[test]
    fn every_status() {
        let [status, challenge] = caller().accept_simultaneous(1).1;
        assert_eq!(status, b"\0\x10sok_simultaneous");
        assert!(challenge.starts_with(b"\0\x1eN"));
        assert_eq!(caller().yield_to_ours(), b"\0\x04snok");
        assert_eq!(caller().refuse(), b"\0\x0csnot_allowed");
        let alive = || {
            let (state, out) = caller().ask_alive();
            assert_eq!(out, b"\0\x06salive");
            state
        };
        assert!(matches!(alive().receive(b"sfalse", 1), Ok(AliveAnswer::KeepOld)));
        let Ok(AliveAnswer::Replace(_, out)) = alive().receive(b"strue", 0xe297_2c8a) else { panic!() };
        assert_eq!(out, hex(&STATUS_AND_CHALLENGE[12..]));
        assert!(alive().receive(b"sperhaps", 1).is_err());
    }

    /// `BIT_BINARIES`, and the two flags that OTP 26 requires in addition.
    #[test]
    fn missing_flags_are_answered() {
        for (flags, lacks) in [
            ("0000006d03df7bbd", DistributionFlags::BIT_BINARIES),
            ("0000006907df7fbd", DistributionFlags::V4_NC),
            ("0000006d05df7fbd", DistributionFlags::UNLINK_ID),
        ] {
            let message = hex(&format!("4e {flags} 6b01cd65 0003 614068"));
            let refused = ExpectName::new(b()).receive(&message).unwrap_err();
            assert_eq!(refused.reply.as_deref(), Some(&b"\0\x0csnot_allowed"[..]));
            assert_eq!(refused.error, HandshakeError::MissingFlags { peer: "a@h".into(), missing: lacks });
        }
    }

    #[test]
    fn an_old_style_name_has_any_version() {
        for version in ["0000", "0006", "ffff"] {
            let message = hex(&format!("6e {version} 07df7fbd 614068"));
            assert!(matches!(ExpectName::new(b()).receive(&message), Ok(Introduced::Named(_))), "{version}");
        }
    }

    #[test]
    fn old_style_name_and_complement() {
        let message = hex("6e 0005 07df7fbd 614068");
        let Introduced::Named(caller) = ExpectName::new(b()).receive(&message).unwrap() else { panic!() };
        let (state, _) = caller.accept(0xe297_2c8a);
        let Ok(AfterReply::Complemented(state)) = state.receive(&hex("63 0000000d 6b01cd65")) else { panic!() };
        let Ok(AfterReply::Established(established, _)) = state.receive(&unframed(REPLY)) else { panic!() };
        assert_eq!(established.flags.bits(), 0xd_07df_7fbd);
        assert_eq!(established.creation, 0x6b01_cd65);
    }

    #[test]
    fn dynamic_name() {
        let message = hex("4e 0000006f07df7fbc 00000000 0001 68");
        let Introduced::Dynamic(caller) = ExpectName::new(b()).receive(&message).unwrap() else { panic!() };
        assert_eq!(caller.host(), "h");
        let (state, out) = caller.give_name("3J", 7, 0xe297_2c8a).unwrap();
        assert_eq!(out[0], b"\0\x11snamed:\0\x043J@h\0\0\0\x07");
        assert_eq!(out[1][2..][..9], hex("4e 0000006f07df7fbc")[..]);
        let Ok(AfterReply::Established(established, _)) = state.receive(&unframed(REPLY)) else { panic!() };
        assert_eq!(established.peer, "3J@h");
        assert_eq!(established.creation, 7);
        assert!(!established.flags.contains(DistributionFlags::PUBLISHED));
    }

    #[test]
    fn bad_names() {
        for name in ["0001 61", "0003 406868", "0003 614000", "0005 6140624063", "0009 614068", "0002 ffff"] {
            let message = hex(&format!("4e 0000006d07df7fbd 6b01cd65 {name}"));
            assert!(ExpectName::new(b()).receive(&message).is_err(), "{name}");
        }
    }
}
