/// `DUMP_REQ` (100): asks for all names, unused ones included. Local clients only.
///
/// ```text
/// u16 length | 100
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpRequest;

impl DumpRequest {
    /// The first byte of the body, `d`.
    pub const TAG: u8 = 100;

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
    fn as_epmd_dump_sends_it() {
        assert_eq!(DumpRequest.encode(), b"\x00\x01d");
        assert_eq!(Request::decode(b"d"), Ok(Request::Dump(DumpRequest)));
        assert_eq!(Request::decode(b"dd"), Ok(Request::Dump(DumpRequest)));
    }
}
