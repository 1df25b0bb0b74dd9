use super::ResponseError;

/// `STOP_RESP`: whether a node was unregistered by force. It ends when the connection closes.
///
/// ```text
/// "STOPPED" | "NOEXIST" "STOPPED"
/// ```
///
/// A server without the relaxed command check closes without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopResponse {
    /// The node is no longer registered.
    Stopped,
    /// No node has the name.
    Unknown,
}

impl StopResponse {
    /// Decodes all bytes up to the end of the connection.
    ///
    /// # Errors
    /// The answer is neither of the two.
    pub fn decode(answer: &[u8]) -> Result<Self, ResponseError> {
        match answer {
            b"STOPPED" => Ok(Self::Stopped),
            b"NOEXIST" | b"NOEXISTSTOPPED" => Ok(Self::Unknown),
            other => Err(ResponseError::unknown_text("STOP_REQ", other)),
        }
    }

    /// The answer's bytes; for an unknown node OTP's EPMD says `STOPPED` too.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stopped => b"STOPPED".to_vec(),
            Self::Unknown => b"NOEXISTSTOPPED".to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_epmd_of_otp_25_answers() {
        let answers: [(&[u8], StopResponse); 2] =
            [(b"STOPPED", StopResponse::Stopped), (b"NOEXISTSTOPPED", StopResponse::Unknown)];
        for (bytes, response) in answers {
            assert_eq!(response.encode(), bytes);
            assert_eq!(StopResponse::decode(bytes), Ok(response));
        }
        assert!(StopResponse::decode(b"").is_err());
    }
}
