/// `NAMES_REQ` (110): asks for the names and ports of all registered nodes.
///
/// ```text
/// u16 length | 110
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamesRequest;

impl NamesRequest {
    /// The first byte of the body, `n`.
    pub const TAG: u8 = 110;

    /// The request with its length, ready to be sent.
    pub fn encode(&self) -> Vec<u8> {
        vec![0, 1, Self::TAG]
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    #[test]
    fn as_epmd_names_sends_it() {
        assert_eq!(NamesRequest.encode(), b"\x00\x01n");
        assert_eq!(Request::decode(b"n"), Ok(Request::Names(NamesRequest)));
        assert_eq!(Request::decode(b"nn"), Ok(Request::Names(NamesRequest)));
    }
}
