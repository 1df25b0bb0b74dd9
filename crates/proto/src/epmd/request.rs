use bytes::{Buf, BytesMut};

use super::{
    Alive2Request, Alive2Response, DumpRequest, KillRequest, MAX_REQUEST, NameError, NamesRequest, NodeInfoError,
    PortPlease2Request, StopRequest,
};

/// Any request, as a server reads it from a new connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Registers a node.
    Alive2(Alive2Request),
    /// Asks for the address of a node.
    PortPlease2(PortPlease2Request),
    /// Asks for all names.
    Names(NamesRequest),
    /// Asks for all names, unused ones included.
    Dump(DumpRequest),
    /// Ends EPMD.
    Kill(KillRequest),
    /// Unregisters a name by force.
    Stop(StopRequest),
}

impl Request {
    /// Takes one complete request off the front of `input`; returns `None` and leaves `input` unchanged while bytes
    /// are missing. `input` never needs more than [`MAX_REQUEST`] + 2 bytes.
    ///
    /// # Errors
    /// [`RequestError`]; the connection is then to be closed, after sending [`RequestError::refusal`] if there is
    /// one. A connection carries one request, so further bytes are an error too.
    pub fn read(input: &mut BytesMut) -> Result<Option<Self>, RequestError> {
        let Some(length) = input.first_chunk::<2>().copied() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            return Err(RequestError::Empty);
        }
        if length > MAX_REQUEST {
            return Err(RequestError::TooLarge { length });
        }
        let have = input.len() - 2;
        if have < length {
            return Ok(None);
        }
        if have > length {
            return Err(RequestError::TrailingBytes { count: have - length });
        }
        input.advance(2);
        Self::decode(&input.split_to(length)).map(Some)
    }

    /// Decodes a request's body, which starts with the tag.
    ///
    /// # Errors
    /// See [`Request::read`].
    pub fn decode(body: &[u8]) -> Result<Self, RequestError> {
        let (tag, fields) = body.split_first().ok_or(RequestError::Empty)?;
        match *tag {
            Alive2Request::TAG => Alive2Request::decode(fields).map(Self::Alive2),
            PortPlease2Request::TAG => PortPlease2Request::decode(fields).map(Self::PortPlease2),
            // Like OTP's EPMD, ignore what follows the tag of these three.
            NamesRequest::TAG => Ok(Self::Names(NamesRequest)),
            DumpRequest::TAG => Ok(Self::Dump(DumpRequest)),
            KillRequest::TAG => Ok(Self::Kill(KillRequest)),
            StopRequest::TAG => StopRequest::decode(fields).map(Self::Stop),
            tag => Err(RequestError::UnknownRequest { tag }),
        }
    }
}

/// Why a request cannot be served. The fault is always the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The stated length is zero.
    #[error("the request is empty")]
    Empty,
    /// The stated length is more than [`MAX_REQUEST`].
    #[error("the request states {length} bytes, at most {MAX_REQUEST} are taken")]
    TooLarge {
        /// The stated length.
        length: usize,
    },
    /// More bytes arrived than the stated length.
    #[error("{count} bytes follow the request")]
    TrailingBytes {
        /// How many more.
        count: usize,
    },
    /// The body is shorter than its fields need.
    #[error("the {request} request is shorter than its fields")]
    Truncated {
        /// The request's name in Erlang's documentation.
        request: &'static str,
    },
    /// The first byte of the body is not a known tag.
    #[error("{tag} is not an EPMD request")]
    UnknownRequest {
        /// The byte.
        tag: u8,
    },
    /// The requested name is invalid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The description of the registering node is invalid.
    #[error("the registration is refused: {reason}")]
    Refused {
        /// The node's highest version; it decides the form of the answer.
        highest_version: u16,
        /// What is invalid.
        reason: NodeInfoError,
    },
}

impl RequestError {
    /// The answer to send before closing the connection; most errors get none.
    pub fn refusal(&self) -> Option<Alive2Response> {
        match self {
            Self::Refused { highest_version, .. } => Some(Alive2Response::refused(*highest_version)),
            _ => None,
        }
    }
}

/// Writes the length before `body`, which must be a request's own encoding: no longer than [`MAX_REQUEST`].
pub(super) fn with_length(body: Vec<u8>) -> Vec<u8> {
    debug_assert!(body.len() <= MAX_REQUEST);
    let mut out = Vec::with_capacity(2 + body.len());
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(&body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIVE2: &[u8] = b"\x00\x11x\x82\xe1M\x00\x00\x06\x00\x05\x00\x04alfa\x00\x00";

    #[test]
    fn any_split_gives_the_same_request() {
        let mut whole = BytesMut::from(ALIVE2);
        let expected = Request::read(&mut whole).unwrap();
        assert!(expected.is_some() && whole.is_empty());
        for split in 0..ALIVE2.len() {
            let mut input = BytesMut::from(&ALIVE2[..split]);
            assert_eq!(Request::read(&mut input), Ok(None), "after {split} bytes");
            assert_eq!(input.len(), split);
            input.extend_from_slice(&ALIVE2[split..]);
            assert_eq!(Request::read(&mut input).unwrap(), expected);
        }
    }

    #[test]
    fn lengths_are_judged_before_the_body_is_there() {
        let read = |bytes: &[u8]| Request::read(&mut BytesMut::from(bytes));
        assert_eq!(read(&[0, 0]), Err(RequestError::Empty));
        assert_eq!(read(&[0xff, 0xff]), Err(RequestError::TooLarge { length: 65535 }));
        assert_eq!(read(&[0x0b, 0xf2]), Err(RequestError::TooLarge { length: 3058 }));
        assert_eq!(read(&[0x0b, 0xf1]), Ok(None));
        assert_eq!(read(b"\x00\x01nn"), Err(RequestError::TrailingBytes { count: 1 }));
        assert_eq!(read(b"\x00\x01\x01"), Err(RequestError::UnknownRequest { tag: 1 }));
    }

    #[test]
    fn garbage_never_panics() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        for tag in [100, 107, 110, 115, 120, 122, 0] {
            for length in 0..400 {
                let mut body = vec![tag];
                body.extend((0..length % 40).map(|_| byte()));
                let _ = Request::decode(&body);
            }
        }
    }
}
