use super::{AliveName, RequestError};

/// `PORT_PLEASE2_REQ` (122): asks for the address of a node.
///
/// ```text
/// u16 length | 122 | name
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPlease2Request {
    /// The name before the `@`.
    pub name: AliveName,
}

impl PortPlease2Request {
    /// The first byte of the body, `z`.
    pub const TAG: u8 = 122;

    /// Decodes what follows the tag; one NUL at the end is ignored, as by OTP's EPMD.
    pub(super) fn decode(fields: &[u8]) -> Result<Self, RequestError> {
        let name = fields.strip_suffix(&[0]).unwrap_or(fields);
        Ok(Self { name: AliveName::from_bytes(name)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NameError, Request};
    use super::*;

    #[test]
    fn as_erl_sends_it() {
        let request = PortPlease2Request { name: AliveName::new("alfa").unwrap() };
        let request = Request::PortPlease2(request);
        assert_eq!(Request::decode(b"zalfa"), Ok(request.clone()));
        assert_eq!(Request::decode(b"zalfa\0"), Ok(request));
    }

    #[test]
    fn names_that_no_node_has() {
        let name = |error| Err(RequestError::Name(error));
        assert_eq!(Request::decode(b"z"), name(NameError::Empty));
        assert_eq!(Request::decode(b"z\0"), name(NameError::Empty));
        assert_eq!(Request::decode(b"za\0b"), name(NameError::Nul));
        assert_eq!(Request::decode(b"z\xff"), name(NameError::NotUtf8));
    }
}
