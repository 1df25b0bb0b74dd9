use bytes::{Buf, BytesMut};

use super::node_info::RawNodeInfo;
use super::{NodeInfo, ResponseError};

/// `PORT2_RESP` (119): where a node is, or that nobody has the name.
///
/// ```text
/// 119 | 0 | u16 port | u8 type | u8 protocol | u16 highest | u16 lowest | u16 n | name | u16 m | extra
/// 119 | 1
/// ```
///
/// The server must close the connection at once: OTP's client waits for that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortPlease2Response {
    /// The node is registered.
    Found(NodeInfo),
    /// No node has the name.
    Unknown,
}

impl PortPlease2Response {
    /// The first byte, `w`.
    pub const TAG: u8 = 119;

    /// The longest answer that is taken, in bytes; its lengths could state 128 KiB.
    pub const MAX_BYTES: usize = 4096;

    /// Takes one answer off the front of `input`, or leaves it alone and returns `None` when more bytes are needed.
    ///
    /// # Errors
    /// The first byte is another tag, the node's description can't be right, or [`Self::MAX_BYTES`] are not enough.
    pub fn read(input: &mut BytesMut) -> Result<Option<Self>, ResponseError> {
        let Some((&tag, fields)) = input.split_first() else {
            return Ok(None);
        };
        if tag != Self::TAG {
            return Err(ResponseError::UnknownTag { request: "PORT_PLEASE2_REQ", tag });
        }
        let mut fields = fields;
        match fields.split_off_first() {
            None => return Ok(None),
            Some(0) => {}
            // Any other result is a refusal; OTP's client says `noport` to them all.
            Some(_) => {
                input.advance(2);
                return Ok(Some(Self::Unknown));
            }
        }
        match RawNodeInfo::split(&mut fields) {
            Some(raw) => {
                let node = raw.judge()?;
                let left = fields.len();
                input.advance(input.len() - left);
                Ok(Some(Self::Found(node)))
            }
            None if input.len() >= Self::MAX_BYTES => Err(ResponseError::Truncated { request: "PORT_PLEASE2_REQ" }),
            None => Ok(None),
        }
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Found(node) => {
                let mut out = vec![Self::TAG, 0];
                node.encode(&mut out);
                out
            }
            Self::Unknown => vec![Self::TAG, 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AliveName;
    use super::*;

    #[test]
    fn as_epmd_of_otp_25_answers() {
        let bytes = b"w\x00\x82\xe1M\x00\x00\x06\x00\x05\x00\x04alfa\x00\x00";
        let node = NodeInfo::new(AliveName::new("alfa").unwrap(), 33505);
        let response = PortPlease2Response::Found(node);
        assert_eq!(response.encode(), bytes);
        for split in 0..bytes.len() {
            let mut input = BytesMut::from(&bytes[..split]);
            assert_eq!(PortPlease2Response::read(&mut input), Ok(None));
            input.extend_from_slice(&bytes[split..]);
            let read = PortPlease2Response::read(&mut input);
            assert_eq!(read, Ok(Some(response.clone())));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn nobody() {
        let mut input = BytesMut::from(&b"w\x01"[..]);
        let read = PortPlease2Response::read(&mut input);
        assert_eq!(read, Ok(Some(PortPlease2Response::Unknown)));
        assert_eq!(PortPlease2Response::Unknown.encode(), b"w\x01");
    }

    #[test]
    fn a_length_that_never_comes_ends_at_the_limit() {
        let mut input = BytesMut::from(&b"w\x00\x82\xe1M\x00\x00\x06\x00\x05\xff\xff"[..]);
        assert_eq!(PortPlease2Response::read(&mut input), Ok(None));
        input.resize(PortPlease2Response::MAX_BYTES, b'x');
        assert!(PortPlease2Response::read(&mut input).is_err());
    }
}
