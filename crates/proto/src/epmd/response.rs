/// Why an answer cannot be parsed: EPMD is faulty, or the port belongs to another program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The answer is truncated.
    #[error("the answer to {request} is cut short")]
    Truncated {
        /// The request's name in Erlang's documentation.
        request: &'static str,
    },
    /// The answer does not start with EPMD's port.
    #[error("the answer to {request} starts with {number}, which is not a port")]
    NoPort {
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// The number at the start.
        number: u32,
    },
    /// EPMD does not give such a text.
    #[error("the answer to {request} is {text:?}")]
    UnknownText {
        /// The request's name in Erlang's documentation.
        request: &'static str,
        /// Its first 64 bytes.
        text: String,
    },
}

impl ResponseError {
    pub(super) fn unknown_text(request: &'static str, bytes: &[u8]) -> Self {
        let shown = &bytes[..bytes.len().min(64)];
        Self::UnknownText { request, text: String::from_utf8_lossy(shown).into_owned() }
    }
}
