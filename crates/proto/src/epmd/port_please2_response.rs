use super::NodeInfo;

/// `PORT2_RESP` (119): the description of a node, or that no node has the name.
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
        assert_eq!(PortPlease2Response::Unknown.encode(), b"w\x01");
    }
}
