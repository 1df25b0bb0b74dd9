use super::request::with_length;
use super::{AliveName, RequestError};

/// `STOP_REQ` (115): unregisters a node by force. Local clients only, and only with the relaxed command check.
///
/// ```text
/// u16 length | 115 | name
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopRequest {
    /// The name before the `@`.
    pub name: AliveName,
}

impl StopRequest {
    /// The first byte of the body, `s`.
    pub const TAG: u8 = 115;

    /// The request with its length, ready to be sent.
    pub fn encode(&self) -> Vec<u8> {
        with_length([&[Self::TAG], self.name.as_bytes()].concat())
    }

    /// Decodes what follows the tag; OTP's EPMD reads the name up to a NUL.
    pub(super) fn decode(fields: &[u8]) -> Result<Self, RequestError> {
        let name = fields.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Self { name: AliveName::from_bytes(name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Request;
    use super::*;

    #[test]
    fn as_epmd_stop_sends_it() {
        let request = StopRequest { name: AliveName::new("nobody").unwrap() };
        assert_eq!(request.encode(), b"\x00\x07snobody");
        assert_eq!(Request::decode(b"snobody"), Ok(Request::Stop(request)));
        assert!(Request::decode(b"s").is_err());
    }
}
