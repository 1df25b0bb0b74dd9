/// Why an answer cannot be understood. It is EPMD's fault, or what listens there is no EPMD.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The answer ends too early.
    #[error("the answer to {request} is cut short")]
    Truncated {
        /// The request's name in Erlang's documentation.
        request: &'static str,
    },
    /// The answer should start with EPMD's port and does not.
    #[error("the answer to {request} starts with {number}, which is no port")]
    NoPort {
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// The number that it starts with.
        number: u32,
    },
    /// The text of the answer is not one of those that EPMD gives.
    #[error("the answer to {request} is {text:?}")]
    UnknownText {
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// The first 64 bytes of it.
        text: String,
    },
}

impl ResponseError {
    pub(super) fn unknown_text(request: &'static str, bytes: &[u8]) -> Self {
        let shown = &bytes[..bytes.len().min(64)];
        Self::UnknownText { request, text: String::from_utf8_lossy(shown).into_owned() }
    }
}
