//! What programs ask. They bear the token; at a page on the loopback they need none, and a web page of another site cannot
//! send what they send, which is JSON, without asking first.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Json, Path, Request, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};

use super::address::JobAddress;
use super::job::JobHead;
use super::pages::admitted;
use super::problem::{Problem, sentence};
use super::shared_jobs::Asked;
use super::site::Site;
use super::urls::Urls;
use super::visitor::{Guest, Rights};
use crate::http::{self, Access};

type Answer = Result<Response, Refusal>;

/// What a program is told is wrong.
pub(super) struct Refusal(Problem);

impl<P: Into<Problem>> From<P> for Refusal {
    fn from(problem: P) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        self.0.for_programs()
    }
}

/// The pages whose checksums are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    urls: Vec<String>,
}

/// A job, and where all of it is.
#[derive(Debug, Serialize)]
struct Made {
    #[serde(flatten)]
    job: JobHead,
    page: String,
    events: String,
    csv: String,
    json: String,
}

impl From<JobHead> for Made {
    fn from(job: JobHead) -> Self {
        let page = job.path();
        let at = |what: &str| format!("{page}/{what}");
        Self { events: at("events"), csv: at("results.csv"), json: at("results.json"), page, job }
    }
}

/// `POST /api/jobs`.
pub(super) async fn begin(State(site): State<Arc<Site>>, guest: Guest, request: Request) -> Answer {
    may_act(&site, &guest)?;
    let wanted = Json::<Wanted>::from_request(request, &()).await;
    let Json(Wanted { urls }) = wanted.map_err(|error| unreadable(&error))?;
    guest.take(&site.requests, "jobs")?;
    let urls = Urls::of_list(urls.iter().map(String::as_str)).map_err(|error| {
        let lines = error.lines().into_iter().map(|line| line.replacen("Line ", "URL ", 1)).collect();
        Problem::of_lines(StatusCode::UNPROCESSABLE_ENTITY, lines)
    })?;
    let made = Made::from(site.begin(urls)?.head());
    let mut response = http::json(StatusCode::CREATED, &made);
    if let Ok(location) = HeaderValue::from_str(&made.page) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /api/jobs`.
pub(super) async fn list(State(site): State<Arc<Site>>, guest: Guest) -> Answer {
    admitted(&guest)?;
    let jobs: Vec<Made> = site.jobs.latest(usize::MAX).into_iter().map(Made::from).collect();
    Ok(http::json(StatusCode::OK, &jobs))
}

/// `GET /api/jobs/NODE/ID`.
pub(super) async fn job(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    guest: Guest,
) -> Answer {
    admitted(&guest)?;
    let update = site.update(&JobAddress { node, id }, u64::MAX).await?;
    Ok(http::json(StatusCode::OK, &Made::from(update.job)))
}

/// `POST /api/jobs/NODE/ID/cancel`.
pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    guest: Guest,
) -> Answer {
    may_act(&site, &guest)?;
    let address = JobAddress { node, id };
    site.cancel(&address).await?;
    Ok(http::json(StatusCode::OK, &Made::from(site.update(&address, u64::MAX).await?.job)))
}

/// `POST /api/jobs/NODE/ID/retry`.
pub(super) async fn retry(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    guest: Guest,
) -> Answer {
    may_act(&site, &guest)?;
    guest.take(&site.requests, "jobs")?;
    let address = JobAddress { node, id };
    if let Asked::Refused(why) = site.retry(&address).await? {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, &sentence(&why)).retry_after(10).into());
    }
    Ok(http::json(StatusCode::OK, &Made::from(site.update(&address, u64::MAX).await?.job)))
}

/// Lets through programs: not the pages that a browser shows, whatever session it has.
fn may_act(site: &Site, guest: &Guest) -> Result<(), Problem> {
    admitted(guest)?;
    let is_json = guest.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/json")
    });
    match (&site.access, guest.rights) {
        (Access::Token(_), Rights::Program) => Ok(()),
        (Access::Token(_), _) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "Programs bear the token: authorization: Bearer TOKEN."))
        }
        (Access::ThisHost, _) if is_json => Ok(()),
        (Access::ThisHost, _) => {
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content-type must be application/json."))
        }
    }
}

fn unreadable(error: &JsonRejection) -> Problem {
    Problem::new(error.status(), &sentence(&error.body_text()))
}
