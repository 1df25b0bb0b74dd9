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
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    #[test]
    fn as_epmd_kill_sends_it() {
        assert_eq!(Request::decode(b"k"), Ok(Request::Kill(KillRequest)));
        assert_eq!(Request::decode(b"kk"), Ok(Request::Kill(KillRequest)));
    }
}
