//! The routes of a page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::Limited;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use hyper::{Method, StatusCode};

use super::assets;
use super::feed::Feeds;
use super::origin::is_same;
use super::problem::Problem;
use super::requester::Requester;
use super::site::Site;
use super::{api, events, pages};
use crate::http::{Access, AccessError};

/// The largest form: enough for 10,000 URLs of 400 bytes.
pub(super) const BODY: usize = 4 << 20;

/// The largest form of a visitor without the token.
pub(super) const STRANGERS_BODY: usize = 16 << 10;

/// All routes of a page.
pub(crate) fn router(site: Arc<Site>) -> Router {
    let of_programs = Router::new()
        .route("/api/jobs", get(api::list).post(api::begin))
        .route("/api/jobs/{node}/{id}", get(api::job))
        .route("/api/jobs/{node}/{id}/cancel", post(api::cancel))
        .route("/api/jobs/{node}/{id}/retry", post(api::retry))
        .route("/cluster.json", get(pages::cluster_json))
        .route("/jobs/{node}/{id}/results.json", get(pages::json))
        .layer(map_response(crate::http::json_errors));
    let of_events = Router::new()
        .route("/jobs/{node}/{id}/events", get(events::of_job))
        .route("/cluster/events", get(events::of_cluster))
        .layer(Extension(Arc::new(Feeds::default())));
    Router::new()
        .route("/", get(pages::start))
        .route("/login", post(pages::login))
        .route("/logout", post(pages::logout))
        .route("/jobs", post(pages::begin))
        .route("/jobs/{node}/{id}", get(pages::job))
        .route("/jobs/{node}/{id}/results.csv", get(pages::csv))
        .route("/jobs/{node}/{id}/cancel", post(pages::cancel))
        .route("/jobs/{node}/{id}/retry", post(pages::retry))
        .route("/cluster", get(pages::cluster))
        .route("/style.css", get(async || assets::STYLE.response()))
        .route("/script.js", get(async || assets::SCRIPT.response()))
        .route("/icon.svg", get(async || assets::ICON.response()))
        .merge(of_programs)
        .merge(of_events)
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "There is nothing at this address."))
        .layer(DefaultBodyLimit::max(BODY))
        .layer(from_fn_with_state(site.clone(), admit))
        .layer(map_response(guard))
        .with_state(site)
}

/// Rejects requests that name another host, if no token is required; and requests from pages of other sites.
async fn admit(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    if matches!(site.access, Access::ThisHost) && site.access.check(request.headers()).is_err() {
        let line = format!("This page is for this machine only: {}.", AccessError::OtherHost);
        return Problem::new(StatusCode::FORBIDDEN, &line).logged("by another name than this host's").into_response();
    }
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !is_same(request.headers(), site.origin.as_ref()) {
        let line = "This request comes from a page of another site, as your browser says. If this is the page of another \
                    address of the same site, open it by the one that was given with --public-url.";
        return Problem::new(StatusCode::FORBIDDEN, line).logged("sent by a page of another site").into_response();
    }
    let (mut head, body) = request.into_parts();
    // A body is read before its form is checked. That of a stranger is the token at most.
    let body = match Requester::from_request_parts(&mut head, &site).await {
        Ok(requester) if requester.is_admitted() => body,
        _ => Body::new(Limited::new(body, STRANGERS_BODY)),
    };
    next.run(Request::from_parts(head, body)).await
}

/// Adds the security headers.
async fn guard(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                          form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // With `no-referrer`, browsers send forms with `origin: null`.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
