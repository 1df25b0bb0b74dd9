//! Layers that the routes of several servers share.

use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::middleware::map_response;
use axum::response::Response;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use super::json::error;

/// The limits of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The largest body; a larger one is answered with 413.
    pub body: usize,
    /// The time from the end of its head to the head of its answer; afterwards the answer is 504.
    pub time: Duration,
}

/// Routes for programs: with limits, uncached answers, and errors as JSON.
pub fn api(router: Router, limits: RequestLimits) -> Router {
    router
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, limits.time))
        .layer(map_response(json_errors))
        .layer(no_store())
}

/// Forbids caching of the answers.
pub fn no_store() -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// The longest error of a library.
const ERROR: usize = 4096;

/// Converts errors of libraries, which are plain text or empty, to the form of all errors.
pub async fn json_errors(response: Response) -> Response {
    let status = response.status();
    let is_json = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/json");
    if !(status.is_client_error() || status.is_server_error())
        || response.headers().get(CONTENT_TYPE).is_some_and(is_json)
    {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let text = to_bytes(body, ERROR).await.unwrap_or_default();
    let what = match (status, String::from_utf8_lossy(&text)) {
        (StatusCode::PAYLOAD_TOO_LARGE, _) => "the body is too large".into(),
        (_, text) if !text.is_empty() => text,
        (StatusCode::NOT_FOUND, _) => "there is no such path here".into(),
        // The router adds the header after all layers.
        (StatusCode::METHOD_NOT_ALLOWED, _) => "the method must be one of those that the header `allow` names".into(),
        (StatusCode::GATEWAY_TIMEOUT, _) => "this took too long".into(),
        _ => status.canonical_reason().unwrap_or("this failed").to_lowercase().into(),
    };
    let (own, body) = error(status, &what).into_parts();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.extend(own.headers);
    Response::from_parts(head, body)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::{get, post};
    use hyper::header::ALLOW;
    use hyper::{Method, Request};
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: Method, path: &str, body: impl Into<Body>) -> (u16, Value, Response<()>) {
        let routes = Router::new()
            .route("/", get(async || "well"))
            .route("/echo", post(async |body: String| body))
            .route("/slow", get(async || std::future::pending::<()>().await))
            .route("/wrong", get(async || (StatusCode::BAD_REQUEST, "a reason")));
        let router = api(routes, RequestLimits { body: 10, time: Duration::from_millis(50) });
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let (head, body) = router.oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 10_000).await.unwrap();
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        (head.status.as_u16(), value, Response::from_parts(head, ()))
    }

    #[tokio::test]
    async fn all_errors_are_json_and_nothing_is_stored() {
        let chunks = || Body::from_stream(futures::stream::iter(["01234", "56789x"].map(Ok::<_, std::io::Error>)));
        for (method, path, body, status, error) in [
            (Method::GET, "/none", Body::empty(), 404, "there is no such path here"),
            (Method::POST, "/", Body::empty(), 405, "the method must be one of those that the header `allow` names"),
            (Method::POST, "/echo", "0123456789x".into(), 413, "the body is too large"),
            (Method::POST, "/echo", chunks(), 413, "the body is too large"),
            (Method::GET, "/slow", Body::empty(), 504, "this took too long"),
            (Method::GET, "/wrong", Body::empty(), 400, "a reason"),
        ] {
            let (found, value, head) = ask(method, path, body).await;
            assert_eq!((found, value), (status, json!({ "error": error })), "{path}");
            assert_eq!(head.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(head.headers().contains_key(ALLOW), status == 405);
        }
        let (status, value, head) = ask(Method::GET, "/", Body::empty()).await;
        assert_eq!(
            (status, value, &head.headers()[CACHE_CONTROL]),
            (200, json!("well"), &HeaderValue::from_static("no-store"))
        );
        assert_eq!(ask(Method::POST, "/echo", "0 to 9 fit").await.1, json!("0 to 9 fit"));
    }
}
