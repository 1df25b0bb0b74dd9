//! Recognises peers that speak another protocol, or use another transport.

use std::fmt;

/// A protocol that is not the Erlang distribution, recognised by its first bytes.
///
/// No handshake message begins with these bytes: as a length they exceed
/// [`HandshakeReader::MAX_MESSAGE`](super::HandshakeReader::MAX_MESSAGE).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForeignProtocol {
    /// A TLS record: the handshake of a node with `-proto_dist inet_tls`, or its alert because it got none.
    Tls,
    /// An HTTP request or response.
    Http,
    /// An SSH banner.
    Ssh,
    /// Another text protocol.
    Text {
        /// The first printable characters, at most 40.
        begins: String,
    },
}

/// What the first bytes of a stream show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FirstBytes {
    Foreign(ForeignProtocol),
    /// They begin a line of text; its end is worth waiting for.
    Line(ForeignProtocol),
    /// There are too few bytes.
    TooFew,
    Unknown,
}

impl ForeignProtocol {
    /// This many bytes identify every protocol.
    const TELLING: usize = 4;

    /// The length of a quotation.
    const QUOTED: usize = 40;

    /// RFC 9110 section 9, RFC 9113 section 3.4; a server that assumes HTTP/0.9 answers with a page only.
    const HTTP: [&[u8; Self::TELLING]; 15] = [
        b"HTTP", b"GET ", b"PUT ", b"POST", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI ", b"<!DO",
        b"<!do", b"<htm", b"<HTM",
    ];

    /// The protocol of a stream that begins with these bytes, if it is recognised.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match Self::look(bytes) {
            FirstBytes::Foreign(protocol) | FirstBytes::Line(protocol) => Some(protocol),
            FirstBytes::TooFew | FirstBytes::Unknown => None,
        }
    }

    pub(super) fn look(bytes: &[u8]) -> FirstBytes {
        // A content type, and the major version that all TLS versions use (RFC 8446 section 5.1).
        let may_be_tls = bytes.first().is_none_or(|kind| (20..=23).contains(kind))
            && bytes.get(1).is_none_or(|major| *major == 3)
            && bytes.get(2).is_none_or(|minor| *minor <= 4);
        let is_text = bytes.iter().take(Self::TELLING).all(|byte| is_printable(*byte));
        match bytes.first_chunk() {
            None if may_be_tls || is_text => FirstBytes::TooFew,
            None => FirstBytes::Unknown,
            Some(_) if may_be_tls => FirstBytes::Foreign(Self::Tls),
            Some(start) if Self::HTTP.contains(&start) => FirstBytes::Foreign(Self::Http),
            Some(b"SSH-") => FirstBytes::Foreign(Self::Ssh),
            Some(_) if is_text => {
                let begins = bytes.iter().take(Self::QUOTED).take_while(|byte| is_printable(**byte));
                let begins: String = begins.map(|byte| char::from(*byte)).collect();
                let is_whole = begins.len() == Self::QUOTED || begins.len() < bytes.len();
                let protocol = Self::Text { begins };
                if is_whole { FirstBytes::Foreign(protocol) } else { FirstBytes::Line(protocol) }
            }
            Some(_) => FirstBytes::Unknown,
        }
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Continues "the peer speaks".
impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls => f.write_str("TLS (-proto_dist inet_tls), and this node does not"),
            Self::Http => f.write_str("HTTP, not the Erlang distribution protocol"),
            Self::Ssh => f.write_str("SSH, not the Erlang distribution protocol"),
            Self::Text { begins } => {
                write!(f, "another protocol than that of the Erlang distribution; it begins with {begins:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_first_bytes() {
        use ForeignProtocol::{Http, Ssh, Tls};
        for (bytes, protocol) in [
            // The alert of OTP 25, 27 and 29 for the name message, of OpenSSL, and client hellos of both.
            (&b"\x15\x03\x03\x00\x02\x02\x0a"[..], Tls),
            (b"\x15\x03\x01\x00\x02\x02\x46", Tls),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Tls),
            (b"\x16\x03\x03\x00\xc5\x01\x00\x00\xc1\x03\x03", Tls),
            (b"HTTP/1.1 400 Bad Request\r\n", Http),
            (b"GET /metrics HTTP/1.1\r\n", Http),
            (b"OPTIONS * HTTP/1.1\r\n", Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http),
            (b"<!DOCTYPE HTML>\n", Http),
            (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", Ssh),
        ] {
            assert_eq!(ForeignProtocol::of(bytes), Some(protocol), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn other_text_is_quoted_without_its_control_characters() {
        let begins = |bytes: &[u8]| match ForeignProtocol::of(bytes) {
            Some(ForeignProtocol::Text { begins }) => begins,
            other => panic!("{other:?}"),
        };
        assert_eq!(begins(b"220 mail ESMTP\r\n"), "220 mail ESMTP");
        assert_eq!(begins(b"-ERR unknown\x1b[2J"), "-ERR unknown");
        assert_eq!(begins(&[b'x'; 100]), "x".repeat(40));
        assert!(matches!(ForeignProtocol::look(b"220 mail"), FirstBytes::Line(_)));
        assert!(matches!(ForeignProtocol::look(b"220 mail\r"), FirstBytes::Foreign(_)));
    }

    #[test]
    fn an_erlang_node_and_noise_are_not_foreign() {
        for bytes in [&b"\0\x03sok"[..], b"\0\x29N\0\0\0\x0d", b"\xff\xff\xff\xff", b"\x15\x04\x03\0", b"GE\0\0"] {
            assert_eq!(ForeignProtocol::look(bytes), FirstBytes::Unknown, "{}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"G", b"SSH", b"\x15", b"\x16\x03"] {
            assert_eq!(ForeignProtocol::look(bytes), FirstBytes::TooFew, "{}", bytes.escape_ascii());
        }
    }
}
