//! What the control door answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use metrics::counter;
use peerl_node::NodeName;
use peerl_proto::admission::Rejections;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use super::figures::Figures;
use super::{Check, Controlled};
use crate::http::{Token, is_this_host};
use crate::printable::printable_json;

/// The time for a request, from the end of its head to its answer. A connection to a node may take some seconds.
const REQUEST: Duration = Duration::from_secs(15);

/// The most bytes of a request's body: a node's name has at most 255 characters.
const BODY: usize = 4096;

/// The most connections to nodes that are made at a time because somebody asks here.
const CONNECTS: usize = 16;

/// For how long the outcome of a check stands: everybody may ask, and the answer is work.
const CHECK_AGE: Duration = Duration::from_secs(1);

/// The time for a check.
const CHECK: Duration = Duration::from_secs(5);

type Answer = Response<Full<Bytes>>;

/// Somebody to answer the door.
pub(super) struct Door {
    controlled: Arc<dyn Controlled>,
    token: Option<Token>,
    figures: Figures,
    connects: Semaphore,
    rejections: std::sync::Mutex<Rejections>,
    checked: Mutex<Option<(Instant, Vec<Check>)>>,
}

impl Door {
    pub(super) fn new(controlled: Arc<dyn Controlled>, token: Option<Token>, figures: Figures) -> Self {
        let (connects, rejections, checked) = (Semaphore::new(CONNECTS), Default::default(), Mutex::default());
        Self { controlled, token, figures, connects, rejections, checked }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>, client: SocketAddr) -> Result<Answer, Infallible> {
        let path = match request.uri().path() {
            "/healthz" => "/healthz",
            "/readyz" => "/readyz",
            "/nodes" => "/nodes",
            "/metrics" => "/metrics",
            "/connect" => "/connect",
            _ => "other",
        };
        let mut answer = match timeout(REQUEST, self.route(path, request)).await {
            Ok(answer) => answer,
            Err(_) => refusal(StatusCode::GATEWAY_TIMEOUT, "this took too long"),
        };
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let kind = match answer.status() {
            StatusCode::UNAUTHORIZED => Some("no token or a wrong one"),
            StatusCode::FORBIDDEN => Some("by another name than this host's"),
            _ => None,
        };
        if let Some(kind) = kind.filter(|kind| self.rejections().is_first(client.ip(), kind, Instant::now().into())) {
            tracing::warn!(%client, path, "refused a request at the control door: {kind}");
        }
        let status = answer.status().as_u16().to_string();
        counter!("peerl_control_requests_total", "path" => path, "status" => status).increment(1);
        Ok(answer)
    }

    /// Sums up the requests that were refused after the first of their kind, when it is time for that.
    pub(super) fn tell_of_rejections(&self) {
        if let Some(summary) = self.rejections().summary(Instant::now().into()) {
            let (count, within) = (summary.count(), summary.within());
            tracing::warn!(count, ?within, "refused more requests at the control door: {summary}");
        }
    }

    fn rejections(&self) -> std::sync::MutexGuard<'_, Rejections> {
        self.rejections.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn route<B: Body<Data: Send, Error: std::error::Error + Send + Sync + 'static> + Send>(
        &self,
        path: &str,
        request: Request<B>,
    ) -> Answer {
        let is_open = matches!(path, "/healthz" | "/readyz");
        if !is_open {
            // Before it is said what there is.
            if let Some(refusal) = self.refuse(&request) {
                return refusal;
            }
        }
        let allowed = match path {
            "/connect" => "POST",
            "other" => return refusal(StatusCode::NOT_FOUND, "there is no such path here"),
            _ => "GET, HEAD",
        };
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match (path, reads) {
            ("/healthz", true) => self.health().await,
            ("/readyz", true) => match self.controlled.readiness() {
                Ok(()) => answer(StatusCode::OK, &json!({ "status": "ready" })),
                Err(reason) => {
                    answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "not ready", "reason": reason }))
                }
            },
            ("/nodes", true) => match self.controlled.nodes().await {
                Ok(lists) => answer(StatusCode::OK, &lists),
                Err(error) => refusal(StatusCode::BAD_GATEWAY, &error),
            },
            ("/metrics", true) => {
                self.controlled.record();
                text(self.figures.render())
            }
            ("/connect", _) if *request.method() == Method::POST => self.connect(request).await,
            _ => {
                let mut answer = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("the method must be {allowed}"));
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                answer
            }
        }
    }

    /// Refuses who does not have the token; or, if there is none, who calls this host by a name that somebody else may
    /// have given it: so the web pages that a browser on this host shows cannot reach the door (DNS rebinding).
    fn refuse<B>(&self, request: &Request<B>) -> Option<Answer> {
        let header = |name| request.headers().get(name).map(HeaderValue::as_bytes);
        match &self.token {
            Some(token) if token.is_borne_by(header(AUTHORIZATION)) => None,
            Some(_) => {
                let mut answer = refusal(StatusCode::UNAUTHORIZED, "a token is needed: authorization: Bearer TOKEN");
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                Some(answer)
            }
            None if header(HOST).is_none_or(is_this_host) => None,
            None => {
                Some(refusal(StatusCode::FORBIDDEN, "without a token, only 127.0.0.1, [::1] or localhost is served"))
            }
        }
    }

    async fn health(&self) -> Answer {
        let mut checked = self.checked.lock().await;
        let checks = match &*checked {
            Some((at, checks)) if at.elapsed() < CHECK_AGE => checks.clone(),
            _ => {
                let late = || vec![Check::new("checks", Err::<(), _>(format!("no outcome within {CHECK:?}")))];
                let checks = timeout(CHECK, self.controlled.checks()).await.unwrap_or_else(|_| late());
                *checked = Some((Instant::now(), checks.clone()));
                checks
            }
        };
        drop(checked);
        let all_well = checks.iter().all(|check| check.problem.is_none());
        let outcomes = checks
            .into_iter()
            .map(|check| (check.name.to_owned(), check.problem.map_or_else(|| Value::from("ok"), Value::from)));
        let outcomes: serde_json::Map<_, _> = outcomes.collect();
        match all_well {
            true => answer(StatusCode::OK, &json!({ "status": "ok", "checks": outcomes })),
            false => answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "status": "failing", "checks": outcomes })),
        }
    }

    async fn connect<B: Body<Data: Send, Error: std::error::Error + Send + Sync + 'static> + Send>(
        &self,
        request: Request<B>,
    ) -> Answer {
        // A web page of another origin cannot send this type without asking first, which nobody answers here.
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content-type must be application/json");
        }
        let body = match Limited::new(Box::pin(request.into_body()), BODY).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                return refusal(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body has more than {BODY} bytes"));
            }
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
        };
        let Wish { node } = match serde_json::from_slice(&body) {
            Ok(wish) => wish,
            Err(error) => {
                return refusal(
                    StatusCode::BAD_REQUEST,
                    &format!("the body must be {{\"node\": \"NAME@HOST\"}}: {error}"),
                );
            }
        };
        let peer = match NodeName::new(&node) {
            Ok(peer) => peer,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("{node:?} is not a node: {error}")),
        };
        let Ok(_permit) = self.connects.try_acquire() else {
            return refusal(StatusCode::TOO_MANY_REQUESTS, "too many connections are being made already");
        };
        tracing::info!(%peer, "connecting, as was asked for at the control door");
        match self.controlled.connect(peer).await {
            Ok(()) => answer(StatusCode::OK, &json!({ "node": node, "connected": true })),
            Err(error) => answer(StatusCode::BAD_GATEWAY, &json!({ "node": node, "connected": false, "error": error })),
        }
    }
}

/// What `POST /connect` says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    node: String,
}

fn answer(status: StatusCode, value: &impl serde::Serialize) -> Answer {
    let body = serde_json::to_string(value).unwrap_or_default();
    response(status, "application/json", format!("{}\n", printable_json(&body)))
}

fn refusal(status: StatusCode, error: &str) -> Answer {
    answer(status, &json!({ "error": error }))
}

fn text(body: String) -> Answer {
    response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", body)
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests;
