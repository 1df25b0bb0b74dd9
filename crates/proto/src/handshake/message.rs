//! The messages of the handshake, without their length.
//!
//! Erlang docs: *Distribution Protocol*, section "Distribution Handshake".

use super::{HandshakeError, MessageError};
use crate::{flags::DistributionFlags, node_name::NodeName};

/// The first message: the initiator's name. Tag `N` since OTP 23, `n` before.
pub(super) struct SendName<'a> {
    pub(super) flags: DistributionFlags,
    pub(super) creation: u32,
    /// The node's name, or only the host if the initiator asks for a name.
    pub(super) name: &'a str,
    /// The old form, `n`: the flags' high half and the creation follow in a [`Complement`].
    pub(super) old: bool,
}

impl<'a> SendName<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "name");
        match fields.u8()? {
            b'N' => {
                let flags = fields.flags()?;
                let creation = fields.u32()?;
                let name = fields.counted_text()?;
                // Bytes after the name are reserved.
                Ok(SendName { flags, creation, name, old: false })
            }
            b'n' => {
                // OTP 26 and later ignore the version; it was 5 in the releases that sent this form.
                fields.take(2)?;
                let flags = DistributionFlags::from_bits_retain(u64::from(fields.u32()?));
                let name = text(fields.rest(), "name")?;
                Ok(SendName { flags, creation: 0, name, old: true })
            }
            tag => Err(HandshakeError::Unexpected { expected: "name", tag: Some(tag) }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'N');
        out.extend_from_slice(&self.flags.bits().to_be_bytes());
        out.extend_from_slice(&self.creation.to_be_bytes());
        put_counted_text(out, self.name);
    }
}

/// The acceptor's answer to a name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Status<'a> {
    Ok,
    OkSimultaneous,
    Nok,
    NotAllowed,
    Alive,
    Named { name: &'a str, creation: u32 },
}

impl<'a> Status<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "status");
        fields.tag(b's')?;
        let status = fields.rest();
        Ok(match status {
            b"ok" => Status::Ok,
            b"ok_simultaneous" => Status::OkSimultaneous,
            b"nok" => Status::Nok,
            b"not_allowed" => Status::NotAllowed,
            b"alive" => Status::Alive,
            _ => {
                let Some(named) = status.strip_prefix(b"named:") else {
                    let status = String::from_utf8_lossy(&status[..status.len().min(40)]).into_owned();
                    return Err(HandshakeError::UnknownStatus { status });
                };
                let mut fields = Fields::of(named, "status");
                Status::Named { name: fields.counted_text()?, creation: fields.u32()? }
            }
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b's');
        match self {
            Status::Ok => out.extend_from_slice(b"ok"),
            Status::OkSimultaneous => out.extend_from_slice(b"ok_simultaneous"),
            Status::Nok => out.extend_from_slice(b"nok"),
            Status::NotAllowed => out.extend_from_slice(b"not_allowed"),
            Status::Alive => out.extend_from_slice(b"alive"),
            Status::Named { name, creation } => {
                out.extend_from_slice(b"named:");
                put_counted_text(out, name);
                out.extend_from_slice(&creation.to_be_bytes());
            }
        }
    }
}

/// The initiator's answer to `alive`: whether the new connection replaces the old one.
pub(super) struct StatusReply {
    pub(super) replace: bool,
}

impl StatusReply {
    pub(super) fn parse(message: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "answer to alive");
        fields.tag(b's')?;
        match fields.rest() {
            b"true" => Ok(StatusReply { replace: true }),
            b"false" => Ok(StatusReply { replace: false }),
            _ => Err(HandshakeError::Malformed { message: "answer to alive", what: MessageError::NoBoolean }),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.replace { b"strue" } else { b"sfalse" });
    }
}

/// The acceptor's challenge.
pub(super) struct Challenge<'a> {
    pub(super) flags: DistributionFlags,
    pub(super) challenge: u32,
    pub(super) creation: u32,
    pub(super) name: &'a str,
}

impl<'a> Challenge<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "challenge");
        fields.tag(b'N')?;
        Ok(Challenge {
            flags: fields.flags()?,
            challenge: fields.u32()?,
            creation: fields.u32()?,
            name: fields.counted_text()?,
        })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'N');
        out.extend_from_slice(&self.flags.bits().to_be_bytes());
        out.extend_from_slice(&self.challenge.to_be_bytes());
        out.extend_from_slice(&self.creation.to_be_bytes());
        put_counted_text(out, self.name);
    }
}

/// The second message of an initiator that opened with `n`, before its reply.
pub(super) struct Complement {
    pub(super) flags_high: u32,
    pub(super) creation: u32,
}

impl Complement {
    pub(super) fn parse(message: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "complement");
        fields.tag(b'c')?;
        Ok(Complement { flags_high: fields.u32()?, creation: fields.u32()? })
    }
}

/// The initiator's own challenge, and its proof for the acceptor's.
pub(super) struct ChallengeReply {
    pub(super) challenge: u32,
    pub(super) digest: [u8; 16],
}

impl ChallengeReply {
    pub(super) fn parse(message: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "challenge reply");
        fields.tag(b'r')?;
        let reply = ChallengeReply { challenge: fields.u32()?, digest: fields.digest()? };
        fields.end()?;
        Ok(reply)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'r');
        out.extend_from_slice(&self.challenge.to_be_bytes());
        out.extend_from_slice(&self.digest);
    }
}

/// The acceptor's proof for the initiator's challenge.
pub(super) struct ChallengeAck {
    pub(super) digest: [u8; 16],
}

impl ChallengeAck {
    pub(super) fn parse(message: &[u8]) -> Result<Self, HandshakeError> {
        let mut fields = Fields::of(message, "challenge acknowledgement");
        fields.tag(b'a')?;
        let ack = ChallengeAck { digest: fields.digest()? };
        fields.end()?;
        Ok(ack)
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'a');
        out.extend_from_slice(&self.digest);
    }
}

/// Validates a name from the peer.
pub(super) fn node_name(name: &str) -> Result<NodeName, HandshakeError> {
    NodeName::new(name).map_err(HandshakeError::PeerName)
}

fn put_counted_text(out: &mut Vec<u8>, text: &str) {
    // At most 255 characters of at most 4 bytes (`NodeName`), so the length fits.
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn text<'a>(bytes: &'a [u8], message: &'static str) -> Result<&'a str, HandshakeError> {
    std::str::from_utf8(bytes).map_err(|_| HandshakeError::Malformed { message, what: MessageError::NameText })
}

/// A cursor over one message.
struct Fields<'a> {
    message: &'static str,
    bytes: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8], message: &'static str) -> Self {
        Fields { message, bytes }
    }

    fn tag(&mut self, expected: u8) -> Result<(), HandshakeError> {
        match self.bytes.split_first() {
            Some((&tag, rest)) if tag == expected => {
                self.bytes = rest;
                Ok(())
            }
            other => Err(HandshakeError::Unexpected { expected: self.message, tag: other.map(|(&tag, _)| tag) }),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], HandshakeError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(count)
            .ok_or(HandshakeError::Malformed { message: self.message, what: MessageError::Truncated })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HandshakeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, HandshakeError> {
        Ok(self.array::<1>()?[0])
    }

    fn u32(&mut self) -> Result<u32, HandshakeError> {
        self.array().map(u32::from_be_bytes)
    }

    fn flags(&mut self) -> Result<DistributionFlags, HandshakeError> {
        self.array().map(|bits| DistributionFlags::from_bits_retain(u64::from_be_bytes(bits)))
    }

    fn digest(&mut self) -> Result<[u8; 16], HandshakeError> {
        self.array()
    }

    fn counted_text(&mut self) -> Result<&'a str, HandshakeError> {
        let length = u16::from_be_bytes(self.array()?);
        text(self.take(length.into())?, self.message)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    fn end(&self) -> Result<(), HandshakeError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(HandshakeError::Malformed { message: self.message, what: MessageError::TrailingBytes })
    }
}
