//! The answers of the admin endpoint.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use metrics::counter;
use peerl_node::NodeName;
use serde::Deserialize;
use serde_json::{Value, json as object};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::prometheus::Prometheus;
use super::{Administered, Check};
use crate::http::{Access, RequestLimits, admit, api, error, json};

/// The limits of a request. A node's name has at most 255 characters; connecting to a node may take some seconds.
const REQUEST: RequestLimits = RequestLimits { body: 4096, time: Duration::from_secs(15) };

/// The most simultaneous connection attempts on request.
const CONNECTS: usize = 16;

/// How long the outcome of a check is reused: any client may ask, and each check costs work.
const CHECK_AGE: Duration = Duration::from_secs(1);

/// The time-out of a check.
const CHECK: Duration = Duration::from_secs(5);

/// The routes for a subject.
pub(super) fn router(administered: Arc<dyn Administered>, access: Access, prometheus: Prometheus) -> Router {
    let endpoint = Endpoint { administered, prometheus, connects: Semaphore::new(CONNECTS), checked: Mutex::default() };
    let open = Router::new().route("/healthz", get(health)).route("/readyz", get(readiness));
    let guarded = Router::new()
        .route("/nodes", get(nodes))
        .route("/metrics", get(figures_text))
        .route("/connect", post(connect))
        // Others do not learn which paths exist.
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state(access, admit));
    api(open.merge(guarded).with_state(Arc::new(endpoint)), REQUEST).layer(from_fn(count))
}

struct Endpoint {
    administered: Arc<dyn Administered>,
    prometheus: Prometheus,
    connects: Semaphore,
    checked: Mutex<Option<(Instant, Vec<Check>)>>,
}

impl Endpoint {
    /// The outcome of the checks, refreshed at most once per [`CHECK_AGE`].
    async fn checks(&self) -> Vec<Check> {
        let mut checked = self.checked.lock().await;
        match &*checked {
            Some((at, checks)) if at.elapsed() < CHECK_AGE => checks.clone(),
            _ => {
                let late = || vec![Check::new("checks", Err::<(), _>(format!("no outcome within {CHECK:?}")))];
                let checks = timeout(CHECK, self.administered.checks()).await.unwrap_or_else(|_| late());
                *checked = Some((Instant::now(), checks.clone()));
                checks
            }
        }
    }
}

async fn health(State(endpoint): State<Arc<Endpoint>>) -> Response {
    let checks = endpoint.checks().await;
    let (status, word) = match checks.iter().all(|check| check.problem.is_none()) {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "failing"),
    };
    let outcomes = checks
        .into_iter()
        .map(|check| (check.name.to_owned(), check.problem.map_or_else(|| Value::from("ok"), Value::from)));
    let outcomes: serde_json::Map<_, _> = outcomes.collect();
    json(status, &object!({ "status": word, "checks": outcomes }))
}

async fn readiness(State(endpoint): State<Arc<Endpoint>>) -> Response {
    match endpoint.administered.readiness() {
        Ok(()) => json(StatusCode::OK, &object!({ "status": "ready" })),
        Err(reason) => json(StatusCode::SERVICE_UNAVAILABLE, &object!({ "status": "not ready", "reason": reason })),
    }
}

async fn nodes(State(endpoint): State<Arc<Endpoint>>) -> Response {
    match endpoint.administered.nodes().await {
        Ok(lists) => json(StatusCode::OK, &lists),
        Err(problem) => error(StatusCode::BAD_GATEWAY, &problem),
    }
}

async fn figures_text(State(endpoint): State<Arc<Endpoint>>) -> impl IntoResponse {
    endpoint.administered.record();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], endpoint.prometheus.render())
}

/// The body of `POST /connect`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connect {
    node: String,
}

async fn connect(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    // A web page of another origin cannot send this type without a preflight request, which is not answered here.
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content-type must be application/json");
    }
    let Connect { node } = match serde_json::from_slice(&body) {
        Ok(connect) => connect,
        Err(problem) => {
            let text = format!("the body must be {{\"node\": \"NAME@HOST\"}}: {problem}");
            return error(StatusCode::BAD_REQUEST, &text);
        }
    };
    let peer = match NodeName::new(&node) {
        Ok(peer) => peer,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &format!("{node:?} is not a node: {problem}")),
    };
    let Ok(_permit) = endpoint.connects.try_acquire() else {
        return error(StatusCode::TOO_MANY_REQUESTS, "too many connections are being made already");
    };
    tracing::info!(%peer, "connecting, as was asked for at the admin endpoint");
    match endpoint.administered.connect(peer).await {
        Ok(()) => json(StatusCode::OK, &object!({ "node": node, "connected": true })),
        Err(problem) => json(StatusCode::BAD_GATEWAY, &object!({ "node": node, "connected": false, "error": problem })),
    }
}

async fn count(request: Request, next: Next) -> Response {
    let path = match request.uri().path() {
        "/healthz" => "/healthz",
        "/readyz" => "/readyz",
        "/nodes" => "/nodes",
        "/metrics" => "/metrics",
        "/connect" => "/connect",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!("peerl_admin_requests_total", "path" => path, "status" => status).increment(1);
    response
}

#[cfg(test)]
mod tests;
