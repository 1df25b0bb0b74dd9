use bytes::{Buf, BytesMut};

use super::{
    Alive2Request, Alive2Response, DumpRequest, KillRequest, MAX_REQUEST, NameError, NamesRequest, NodeInfoError,
    PortPlease2Request, StopRequest,
};

/// Any request, as a server reads it from a fresh connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// A node wants to register.
    Alive2(Alive2Request),
    /// Somebody asks where a node is.
    PortPlease2(PortPlease2Request),
    /// Somebody asks for all names.
    Names(NamesRequest),
    /// Somebody asks for all names, those no longer in use too.
    Dump(DumpRequest),
    /// EPMD is to end.
    Kill(KillRequest),
    /// A name is to be unregistered by force.
    Stop(StopRequest),
}

impl Request {
    /// Takes one whole request off the front of `input`, or leaves it alone and returns `None` when more bytes
    /// are needed. `input` never needs to hold more than [`MAX_REQUEST`] + 2 bytes.
    ///
    /// # Errors
    /// [`RequestError`]; the connection is to be closed then, after [`RequestError::refusal`] if there is one.
    /// A connection carries one request, so bytes after it are an error too.
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
            // What follows the tag of these three is ignored, as by OTP's.
            NamesRequest::TAG => Ok(Self::Names(NamesRequest)),
            DumpRequest::TAG => Ok(Self::Dump(DumpRequest)),
            KillRequest::TAG => Ok(Self::Kill(KillRequest)),
            StopRequest::TAG => StopRequest::decode(fields).map(Self::Stop),
            tag => Err(RequestError::UnknownRequest { tag }),
        }
    }
}

/// Why a request cannot be served. It is the client's fault every time.
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
    /// More bytes came than the stated length.
    #[error("{count} bytes follow the request")]
    TrailingBytes {
        /// How many more.
        count: usize,
    },
    /// The body is too short for its own fields.
    #[error("the {request} request is shorter than its fields")]
    Truncated {
        /// The request's name in Erlang's documentation.
        request: &'static str,
    },
    /// The first byte of the body is no tag.
    #[error("{tag} is no EPMD request")]
    UnknownRequest {
        /// That byte.
        tag: u8,
    },
    /// The name asked for can't be a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The node that wants to register says something about itself that can't be taken.
    #[error("the registration is refused: {reason}")]
    Refused {
        /// The highest version the node speaks; it decides the answer's form.
        highest_version: u16,
        /// What can't be taken.
        reason: NodeInfoError,
    },
}

impl RequestError {
    /// The answer that the client gets before the connection is closed; most faults get none.
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
