//! Errors of requests: as a page for people, as JSON for programs.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};

use super::html::{self, Frame};
use super::jobs::JobsError;
use super::shared_jobs::JobError;
use crate::http;

/// Why a request was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The status.
    pub(crate) status: StatusCode,
    /// The message, one or more lines.
    pub(crate) lines: Vec<String>,
    retry_after: Option<u64>,
    kind: Option<&'static str>,
}

impl Problem {
    /// Makes one.
    pub(crate) fn new(status: StatusCode, line: &str) -> Self {
        Self { status, lines: vec![line.to_owned()], retry_after: None, kind: None }
    }

    /// Makes one with several lines.
    pub(crate) fn of_lines(status: StatusCode, lines: Vec<String>) -> Self {
        Self { lines, ..Self::new(status, "") }
    }

    /// Sets after how many seconds another attempt makes sense.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Sets the text for the log.
    pub(crate) fn logged(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// The answer for programs.
    pub(crate) fn for_programs(self) -> Response {
        let response = http::error(self.status, &self.lines.join(" "));
        self.with_headers(response)
    }

    fn with_headers(self, mut response: Response) -> Response {
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(kind) = self.kind {
            response.extensions_mut().insert(http::Refused(kind));
        }
        response
    }

    fn heading(&self) -> &'static str {
        match self.status {
            StatusCode::NOT_FOUND => "Not found",
            StatusCode::FORBIDDEN => "Refused",
            StatusCode::TOO_MANY_REQUESTS => "Too much at once",
            StatusCode::PAYLOAD_TOO_LARGE => "Too large",
            StatusCode::BAD_GATEWAY => "No answer",
            _ => "This did not work",
        }
    }
}

/// The answer for browsers.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let frame = Frame { title: self.heading(), ..Frame::default() };
        let page = html::message(frame, self.heading(), &self.lines);
        let response = (self.status, page).into_response();
        self.with_headers(response)
    }
}

impl From<JobError> for Problem {
    fn from(error: JobError) -> Self {
        let status = match error {
            JobError::Unknown | JobError::UnknownNode(_) => StatusCode::NOT_FOUND,
            JobError::Unreachable { .. } => StatusCode::BAD_GATEWAY,
        };
        Self::new(status, &sentence(&error.to_string()))
    }
}

impl From<JobsError> for Problem {
    fn from(error: JobsError) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, &sentence(&error.to_string())).retry_after(10)
    }
}

/// Adds a capital letter and a full stop.
pub(crate) fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().map(|first| first.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", characters.as_str())
}
