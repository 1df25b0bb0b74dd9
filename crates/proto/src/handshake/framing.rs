//! Length prefixes of handshake messages.

use bytes::{Buf, Bytes, BytesMut};

use super::HandshakeError;
use super::foreign_protocol::{FirstBytes, ForeignProtocol};

/// The width of the length prefix.
///
/// Plain TCP has 16 bits until the end of the handshake; TLS has 32 bits from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// `u16` length: plain TCP.
    #[default]
    Short,
    /// `u32` length: TLS.
    Long,
}

impl Framing {
    /// Appends a message to `out`, with its length.
    pub(super) fn message(self, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.resize(start + self.prefix(), 0);
        write(out);
        let length = out.len() - start - self.prefix();
        // Outgoing messages hold at most a node name, far below 64 KiB.
        match self {
            Framing::Short => out[start..start + 2].copy_from_slice(&(length as u16).to_be_bytes()),
            Framing::Long => out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes()),
        }
    }

    fn prefix(self) -> usize {
        match self {
            Framing::Short => 2,
            Framing::Long => 4,
        }
    }
}

/// Cuts a byte stream into handshake messages.
///
/// Bytes after the last message of the handshake stay in the buffer: they are the first frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandshakeReader {
    framing: Framing,
}

impl HandshakeReader {
    /// The longest accepted message. A name of 255 characters needs about 1,040 bytes. The limit keeps peers that are
    /// not authenticated yet from using memory.
    pub const MAX_MESSAGE: usize = 2048;

    /// A reader for the given framing.
    pub fn new(framing: Framing) -> Self {
        HandshakeReader { framing }
    }

    /// The protocol of a peer that fell silent after the bytes in `buffer`, if they do not begin a handshake message.
    pub fn incomplete(&self, buffer: &[u8]) -> Option<HandshakeError> {
        let protocol = ForeignProtocol::of(buffer)?;
        Some(HandshakeError::Foreign { protocol })
    }

    /// Takes the next complete message, without its length, off the front of `buffer`; `None` while bytes are
    /// missing.
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Bytes>, HandshakeError> {
        let prefix = self.framing.prefix();
        if buffer.len() < prefix {
            return Ok(None);
        }
        let length = buffer[..prefix].iter().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
        if length > Self::MAX_MESSAGE {
            return match ForeignProtocol::look(buffer) {
                FirstBytes::Foreign(protocol) => Err(HandshakeError::Foreign { protocol }),
                FirstBytes::Line(_) | FirstBytes::TooFew => Ok(None),
                FirstBytes::Unknown => Err(HandshakeError::MessageTooLong { length }),
            };
        }
        if buffer.len() < prefix + length {
            return Ok(None);
        }
        buffer.advance(prefix);
        Ok(Some(buffer.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_widths() {
        for (framing, wire) in [(Framing::Short, &b"\0\x03sok\0"[..]), (Framing::Long, &b"\0\0\0\x03sok\0"[..])] {
            let mut out = Vec::new();
            framing.message(&mut out, |out| out.extend_from_slice(b"sok"));
            assert_eq!(out, wire[..wire.len() - 1]);
            let reader = HandshakeReader::new(framing);
            let mut buffer = BytesMut::new();
            for &byte in &wire[..wire.len() - 2] {
                buffer.extend_from_slice(&[byte]);
                assert_eq!(reader.next(&mut buffer).unwrap(), None);
            }
            buffer.extend_from_slice(&wire[wire.len() - 2..]);
            assert_eq!(reader.next(&mut buffer).unwrap().unwrap(), "sok");
            assert_eq!(&buffer[..], b"\0", "what follows stays");
        }
    }

    #[test]
    fn another_protocol_is_named_as_soon_as_its_bytes_tell() {
        for framing in [Framing::Short, Framing::Long] {
            let (reader, mut buffer) = (HandshakeReader::new(framing), BytesMut::new());
            for &byte in b"SSH" {
                buffer.extend_from_slice(&[byte]);
                assert_eq!(reader.next(&mut buffer), Ok(None));
            }
            buffer.extend_from_slice(b"-2.0-x");
            assert_eq!(
                reader.next(&mut buffer),
                Err(HandshakeError::Foreign { protocol: ForeignProtocol::Ssh }),
                "{framing:?}"
            );
        }
    }

    #[test]
    fn a_line_of_text_is_quoted_when_it_has_ended() {
        let (reader, mut buffer) = (HandshakeReader::new(Framing::Short), BytesMut::new());
        let text = |begins: &str| HandshakeError::Foreign { protocol: ForeignProtocol::Text { begins: begins.into() } };
        for &byte in b"220 post.example" {
            buffer.extend_from_slice(&[byte]);
            assert_eq!(reader.next(&mut buffer), Ok(None));
        }
        assert_eq!(reader.incomplete(&buffer), Some(text("220 post.example")));
        buffer.extend_from_slice(b"\r\n");
        assert_eq!(reader.next(&mut buffer), Err(text("220 post.example")));
        assert_eq!(reader.incomplete(b"\0\x0aN"), None);
    }

    #[test]
    fn a_long_message_is_refused_before_it_is_there() {
        let mut buffer = BytesMut::from(&[0xff, 0xff][..]);
        assert_eq!(
            HandshakeReader::new(Framing::Short).next(&mut buffer),
            Err(HandshakeError::MessageTooLong { length: 0xffff })
        );
    }
}
