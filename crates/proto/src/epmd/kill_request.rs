/// `KILL_REQ` (107): asks EPMD to end. Local clients only.
///
/// ```text
/// u16 length | 107
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KillRequest;

impl KillRequest {
    /// The first byte of the body, `k`.
    pub const TAG: u8 = 107;

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
    fn as_epmd_kill_sends_it() {
        assert_eq!(KillRequest.encode(), b"\x00\x01k");
        assert_eq!(Request::decode(b"k"), Ok(Request::Kill(KillRequest)));
        assert_eq!(Request::decode(b"kk"), Ok(Request::Kill(KillRequest)));
    }
}
