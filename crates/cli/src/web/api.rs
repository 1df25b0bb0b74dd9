//! Routes for programs. They send the token; a page on the loopback address requires none, because web pages of other
//! sites cannot send the required JSON type without a preflight request.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Json, Path, Request, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use serde::{Deserialize, Serialize};

use super::address::JobAddress;
use super::job::JobHead;
use super::pages::admitted;
use super::problem::{Problem, sentence};
use super::requester::{Requester, Rights};
use super::shared_jobs::ActionOutcome;
use super::site::Site;
use super::urls::Urls;
use crate::http::{self, Access};

type Answer = Result<Response, Refusal>;

/// An error answer for programs.
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

/// A request for checksums.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JobRequest {
    urls: Vec<String>,
}

/// A job and its addresses.
#[derive(Debug, Serialize)]
struct CreatedJob {
    #[serde(flatten)]
    job: JobHead,
    page: String,
    events: String,
    csv: String,
    json: String,
}

impl From<JobHead> for CreatedJob {
    fn from(job: JobHead) -> Self {
        let page = job.path();
        let at = |what: &str| format!("{page}/{what}");
        Self { events: at("events"), csv: at("results.csv"), json: at("results.json"), page, job }
    }
}

/// `POST /api/jobs`.
pub(super) async fn begin(State(site): State<Arc<Site>>, requester: Requester, request: Request) -> Answer {
    may_act(&site, &requester)?;
    if !is_json(&requester) {
        return Err(no_json().into());
    }
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|error| Problem::new(error.status(), &sentence(&error.body_text())))?;
    requester.take(&site.requests, "jobs")?;
    let urls = site.apart(move || urls_of(&body)).await?;
    let made = CreatedJob::from(site.begin(urls)?.head());
    let mut response = http::json(StatusCode::CREATED, &made);
    if let Ok(location) = HeaderValue::from_str(&made.page) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn urls_of(body: &[u8]) -> Result<Urls, Problem> {
    let Json(JobRequest { urls }) =
        Json::from_bytes(body).map_err(|error| Problem::new(error.status(), &sentence(&error.body_text())))?;
    Urls::of_list(urls.iter().map(String::as_str)).map_err(|error| {
        let lines = error.lines().into_iter().map(|line| line.replacen("Line ", "URL ", 1)).collect();
        Problem::of_lines(StatusCode::UNPROCESSABLE_ENTITY, lines)
    })
}

/// `GET /api/jobs`.
pub(super) async fn list(State(site): State<Arc<Site>>, requester: Requester) -> Answer {
    admitted(&requester)?;
    let jobs: Vec<CreatedJob> = site.jobs.latest(usize::MAX).into_iter().map(CreatedJob::from).collect();
    Ok(http::json(StatusCode::OK, &jobs))
}

/// `GET /api/jobs/NODE/ID`.
pub(super) async fn job(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
) -> Answer {
    admitted(&requester)?;
    let update = site.update(&JobAddress { node, id }, u64::MAX).await?;
    Ok(http::json(StatusCode::OK, &CreatedJob::from(update.job)))
}

/// `POST /api/jobs/NODE/ID/cancel`.
pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
) -> Answer {
    may_act(&site, &requester)?;
    let address = JobAddress { node, id };
    site.cancel(&address).await?;
    Ok(http::json(StatusCode::OK, &CreatedJob::from(site.update(&address, u64::MAX).await?.job)))
}

/// `POST /api/jobs/NODE/ID/retry`.
pub(super) async fn retry(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
) -> Answer {
    may_act(&site, &requester)?;
    requester.take(&site.requests, "jobs")?;
    let address = JobAddress { node, id };
    if let ActionOutcome::Refused(why) = site.retry(&address).await? {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, &sentence(&why)).retry_after(10).into());
    }
    Ok(http::json(StatusCode::OK, &CreatedJob::from(site.update(&address, u64::MAX).await?.job)))
}

/// Admits programs: not the pages in a browser, whatever session it has.
fn may_act(site: &Site, requester: &Requester) -> Result<(), Problem> {
    admitted(requester)?;
    match (&site.access, requester.rights) {
        (Access::Token(_), Rights::Program) => Ok(()),
        (Access::Token(_), _) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "Programs bear the token: authorization: Bearer TOKEN."))
        }
        (Access::ThisHost, _) if is_json(requester) => Ok(()),
        (Access::ThisHost, _) => Err(no_json()),
    }
}

fn is_json(requester: &Requester) -> bool {
    requester.headers().get(CONTENT_TYPE).is_some_and(|kind| {
        kind.to_str()
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .eq_ignore_ascii_case("application/json")
    })
}

fn no_json() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The content-type must be application/json.")
}
