use super::ResponseError;

/// `KILL_RESP`: whether EPMD ends. It ends when the connection closes.
///
/// ```text
/// "OK" | "NO"
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillResponse {
    /// EPMD ends now.
    Ending,
    /// Nodes are registered and EPMD was not started with the relaxed command check.
    Refused,
}

impl KillResponse {
    /// Decodes all bytes up to the end of the connection.
    ///
    /// # Errors
    /// The answer is neither of the two.
    pub fn decode(answer: &[u8]) -> Result<Self, ResponseError> {
        match answer {
            b"OK" => Ok(Self::Ending),
            b"NO" => Ok(Self::Refused),
            other => Err(ResponseError::unknown_text("KILL_REQ", other)),
        }
    }

    /// The answer's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ending => b"OK".to_vec(),
            Self::Refused => b"NO".to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_epmd_of_otp_25_answers() {
        for (bytes, response) in [(b"OK", KillResponse::Ending), (b"NO", KillResponse::Refused)] {
            assert_eq!(response.encode(), bytes);
            assert_eq!(KillResponse::decode(bytes), Ok(response));
        }
        assert!(KillResponse::decode(b"O").is_err());
        assert!(KillResponse::decode(b"").is_err());
    }
}
