//! JSON answers.

use axum::body::Body;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use serde_json::json as object;

use crate::printable::printable_json;

/// An answer with a value, on one line.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = Response::new(Body::from(format!("{}\n", printable_json(&text))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error answer: `{"error": …}`.
pub fn error(status: StatusCode, what: &str) -> Response {
    json(status, &object!({ "error": what }))
}
