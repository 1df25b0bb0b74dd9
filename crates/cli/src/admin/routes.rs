//! What the admin endpoint answers.

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

use super::figures::Figures;
use super::{Administered, Check};
use crate::http::{Access, RequestLimits, admit, api, error, json};

/// The most bytes of a request's body: a node's name has at most 255 characters; and the time for a request, since a
/// connection to a node may take some seconds.
const REQUEST: RequestLimits = RequestLimits { body: 4096, time: Duration::from_secs(15) };

/// The most connections to nodes that are made at a time because somebody asks here.
const CONNECTS: usize = 16;

/// For how long the outcome of a check stands: everybody may ask, and the answer is work.
const CHECK_AGE: Duration = Duration::from_secs(1);

/// The time for a check.
const CHECK: Duration = Duration::from_secs(5);

/// The endpoint of something that is administered.
pub(super) fn router(administered: Arc<dyn Administered>, access: Access, figures: Figures) -> Router {
    let endpoint = Endpoint { administered, figures, connects: Semaphore::new(CONNECTS), checked: Mutex::default() };
    let open = Router::new().route("/healthz", get(health)).route("/readyz", get(readiness));
    let guarded = Router::new()
        .route("/nodes", get(nodes))
        .route("/metrics", get(figures_text))
        .route("/connect", post(connect))
        // The others are not told what there is.
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state(access, admit));
    api(open.merge(guarded).with_state(Arc::new(endpoint)), REQUEST).layer(from_fn(count))
}

struct Endpoint {
    administered: Arc<dyn Administered>,
    figures: Figures,
    connects: Semaphore,
    checked: Mutex<Option<(Instant, Vec<Check>)>>,
}

impl Endpoint {
    /// The outcome of the checks, which are done at most once in a while.
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
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], endpoint.figures.render())
}

/// What `POST /connect` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Connect {
    node: String,
}

async fn connect(State(endpoint): State<Arc<Endpoint>>, headers: HeaderMap, body: Bytes) -> Response {
    // A web page of another origin cannot send this type without asking first, which nobody answers here.
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
