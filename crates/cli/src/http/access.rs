//! Access control.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use super::json::error;
use super::refusals::Refused;
use super::token::Token;

/// Which requests a server accepts.
#[derive(Clone, Debug)]
pub enum Access {
    /// Requests with this token.
    Token(Arc<Token>),
    /// Requests that name this host, at a server on the loopback address. A web page in a browser on this host cannot
    /// send such a request under a name that was rebound to the address (DNS rebinding).
    ThisHost,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The token is missing or wrong.
    #[error("a token is needed: authorization: Bearer TOKEN")]
    NoToken,
    /// It names another host.
    #[error("without a token, only 127.0.0.1, [::1] or localhost is served")]
    OtherHost,
}

impl Access {
    /// Checks a request's headers.
    ///
    /// # Errors
    /// If it is refused.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), AccessError> {
        let header = |name| headers.get(name).map(HeaderValue::as_bytes);
        match self {
            Self::Token(token) if token.is_borne_by(header(AUTHORIZATION)) => Ok(()),
            Self::Token(_) => Err(AccessError::NoToken),
            Self::ThisHost if header(HOST).is_none_or(is_this_host) => Ok(()),
            Self::ThisHost => Err(AccessError::OtherHost),
        }
    }
}

/// A layer (for `axum::middleware::from_fn_with_state`) that rejects requests without access.
pub async fn admit(State(access): State<Access>, request: Request, next: Next) -> Response {
    match access.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        let (status, kind) = match self {
            Self::NoToken => (StatusCode::UNAUTHORIZED, "no token or a wrong one"),
            Self::OtherHost => (StatusCode::FORBIDDEN, "by another name than this host's"),
        };
        let mut response = error(status, &self.to_string());
        if self == Self::NoToken {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(Refused(kind));
        response
    }
}

/// Whether a `host` header means this host, by an address or a name that name services cannot assign.
pub fn is_this_host(header: &[u8]) -> bool {
    let text = std::str::from_utf8(header).unwrap_or_default();
    let host = match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => text,
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_host() {
        for (host, is_own) in [
            ("127.0.0.1", true),
            ("127.0.0.1:9200", true),
            ("127.1.2.3:1", true),
            ("[::1]", true),
            ("[::1]:9200", true),
            ("localhost", true),
            ("LocalHost:9200", true),
            ("localhost.example", false),
            ("127.0.0.1.example:9200", false),
            ("10.0.0.7:9200", false),
            ("example", false),
            ("", false),
            (":9200", false),
        ] {
            assert_eq!(is_this_host(host.as_bytes()), is_own, "{host:?}");
        }
        assert!(!is_this_host(b"\xff"));
    }
}
