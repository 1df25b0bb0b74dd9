use super::node_info::RawNodeInfo;
use super::{NameError, NodeInfo, NodeInfoError, RequestError};

/// `ALIVE2_REQ` (120): registers a node for as long as the connection stays open and silent.
///
/// ```text
/// u16 length | 120 | u16 port | u8 type | u8 protocol | u16 highest | u16 lowest | u16 n | name | u16 m | extra
/// ```
///
/// Any byte that the node sends after the answer unregisters it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alive2Request {
    /// What the node says about itself.
    pub node: NodeInfo,
}

impl Alive2Request {
    /// The first byte of the body, `x`.
    pub const TAG: u8 = 120;

    /// Decodes what follows the tag; bytes after the extra field are ignored, as by OTP's EPMD.
    pub(super) fn decode(mut fields: &[u8]) -> Result<Self, RequestError> {
        let raw = RawNodeInfo::split(&mut fields).ok_or(RequestError::Truncated { request: "ALIVE2_REQ" })?;
        match raw.judge() {
            Ok(node) => Ok(Self { node }),
            // OTP's EPMD does not answer these two.
            Err(NodeInfoError::Name(reason @ (NameError::Nul | NameError::Empty))) => Err(reason.into()),
            Err(reason) => Err(RequestError::Refused { highest_version: raw.highest_version, reason }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AliveName, NodeType, Request};
    use super::*;

    /// `erl -name alfa@127.0.0.1` of OTP 25, on port 33505.
    const ALFA: &[u8] = b"\x00\x11x\x82\xe1M\x00\x00\x06\x00\x05\x00\x04alfa\x00\x00";

    #[test]
    fn as_erl_sends_it() {
        let request = Alive2Request { node: NodeInfo::new(AliveName::new("alfa").unwrap(), 33505) };
        assert_eq!(Request::decode(&ALFA[2..]), Ok(Request::Alive2(request)));
    }

    #[test]
    fn extra_and_bytes_behind_it() {
        let body = b"x\xff\xffH\x00\x00\x06\x00\x06\x00\x04gmma\x00\x01\x01\x02\x03";
        let Ok(Request::Alive2(Alive2Request { node })) = Request::decode(body) else {
            panic!("not taken");
        };
        assert_eq!(node.node_type, NodeType::HIDDEN);
        assert_eq!(node.extra()[..], b"\x01"[..]);
    }

    #[test]
    fn bad_names_get_the_answer_that_epmd_gives() {
        let refusal = |body: &[u8]| Request::decode(body).unwrap_err().refusal();
        let not_utf8 = refusal(b"x\xff\xffH\x00\x00\x06\x00\x06\x00\x01\xff\x00\x00");
        assert_eq!(not_utf8.map(|answer| answer.encode()), Some(b"v\x01\x00\x00\x00\x63".to_vec()));
        let nul = refusal(b"x\xff\xffH\x00\x00\x06\x00\x06\x00\x03a\x00b\x00\x00");
        assert_eq!(nul, None);
        let empty = refusal(b"x\xff\xffH\x00\x00\x06\x00\x06\x00\x00\x00\x00");
        assert_eq!(empty, None);
        let cut = refusal(b"x\xff\xffH\x00\x00\x06\x00\x06\xff\xffalfa\x00\x00");
        assert_eq!(cut, None);
    }
}
