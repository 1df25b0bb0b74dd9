//! Routes for browsers.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use serde::Deserialize;
use tokio::runtime::Handle;

use super::address::JobAddress;
use super::export::{self, Results};
use super::html::{self, Draft, RowFilter, Work};
use super::job::{Phase, Update};
use super::problem::{Problem, sentence};
use super::requester::{Requester, Rights};
use super::session::Visitor;
use super::shared_jobs::ActionOutcome;
use super::site::Site;
use super::urls::Urls;
use crate::http::{self, Access};

type Page = Result<Response, Problem>;

/// How many of the latest jobs are listed.
const LATEST: usize = 10;

/// The path to go to after the login.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Destination {
    #[serde(default)]
    next: String,
}

/// A form that only requests an action.
#[derive(Debug, Deserialize)]
pub(super) struct Action {
    #[serde(default)]
    form_token: String,
}

/// The form for checksums.
#[derive(Debug, Deserialize)]
pub(super) struct JobForm {
    #[serde(default)]
    form_token: String,
    #[serde(default)]
    urls: String,
}

/// The form with the token.
#[derive(Debug, Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    form_token: String,
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

/// The requested selection of rows.
#[derive(Debug, Default, Deserialize)]
pub(super) struct View {
    #[serde(default)]
    show: String,
}

/// `GET /`: the form, or the login form. It always answers, for the checks of load balancers.
pub(super) async fn start(
    State(site): State<Arc<Site>>,
    Query(Destination { next }): Query<Destination>,
    requester: Requester,
) -> Page {
    match requester.is_admitted() {
        true => form(&site, requester, StatusCode::OK, &site.example, &[]),
        false => login_form(&site, requester, StatusCode::OK, None, &next),
    }
}

fn form(site: &Site, mut requester: Requester, status: StatusCode, text: &str, problems: &[String]) -> Page {
    requester.begin_session(site)?;
    let token = requester.form_token(site);
    let mut frame = requester.frame(site, "Checksums of web pages", token.as_deref());
    frame.events = Some("/cluster/events");
    let page = html::start(
        frame,
        Draft { text, problems },
        &site.jobs.latest(LATEST),
        &site.jobs.running(),
        &site.cluster.now(),
    );
    Ok(requester.keep((status, page).into_response()))
}

fn login_form(site: &Site, mut requester: Requester, status: StatusCode, problem: Option<&str>, next: &str) -> Page {
    requester.begin_session(site)?;
    let token = requester.form_token(site);
    let page = html::login(requester.frame(site, "Log in", token.as_deref()), problem, &own_path(next));
    Ok(requester.keep((status, page).into_response()))
}

/// `POST /login`.
pub(super) async fn login(
    State(site): State<Arc<Site>>,
    mut requester: Requester,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Page {
    let Form(LoginForm { form_token, token, next }) = form.map_err(|error| unreadable(&error))?;
    requester.check_form(&site, &form_token)?;
    requester
        .take(&site.logins, "attempts to log in")
        .map_err(|problem| problem.logged("too many attempts to log in"))?;
    let Access::Token(expected) = &site.access else { return Ok(Redirect::to("/").into_response()) };
    if !expected.is(token.trim().as_bytes()) {
        let problem = Some("This is not the token.");
        let mut page = login_form(&site, requester, StatusCode::FORBIDDEN, problem, &next)?;
        page.extensions_mut().insert(http::Refused("a wrong token in the form"));
        return Ok(page);
    }
    let begun = site.sessions.begin(Visitor::Member, SystemTime::now());
    let session = begun.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
    requester.kept = Some(site.sessions.keep(&session));
    Ok(requester.keep(Redirect::to(&own_path(&next)).into_response()))
}

/// `POST /logout`.
pub(super) async fn logout(
    State(site): State<Arc<Site>>,
    requester: Requester,
    form: Result<Form<Action>, FormRejection>,
) -> Page {
    let Form(Action { form_token }) = form.map_err(|error| unreadable(&error))?;
    requester.check_form(&site, &form_token)?;
    let mut response = Redirect::to("/").into_response();
    response.headers_mut().append(SET_COOKIE, site.sessions.forget());
    Ok(response)
}

/// `POST /jobs`: answers at once with a redirect to the job's page.
pub(super) async fn begin(
    State(site): State<Arc<Site>>,
    requester: Requester,
    form: Result<Form<JobForm>, FormRejection>,
) -> Page {
    let Form(JobForm { form_token, urls: text }) = form.map_err(|error| unreadable(&error))?;
    may_act(&site, &requester, &form_token)?;
    requester.take(&site.requests, "jobs")?;
    let (here, runtime) = (site.clone(), Handle::current());
    site.apart(move || {
        let urls = match Urls::parse(&text) {
            Ok(urls) => urls,
            Err(error) => return self::form(&here, requester, StatusCode::UNPROCESSABLE_ENTITY, &text, &error.lines()),
        };
        let _runtime = runtime.enter();
        match here.begin(urls) {
            Ok(job) => Ok(Redirect::to(&job.head().path()).into_response()),
            Err(error) => {
                let problem = Problem::from(error);
                self::form(&here, requester, problem.status, &text, &problem.lines)
            }
        }
    })
    .await
}

/// `GET /jobs/NODE/ID`.
pub(super) async fn job(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    Query(View { show }): Query<View>,
    mut requester: Requester,
) -> Page {
    let address = JobAddress { node, id };
    let path = address.path();
    if !requester.is_admitted() {
        return Ok(Redirect::to(&format!("/?next={path}")).into_response());
    }
    let here = site.clone();
    let page = move |update: Update| {
        requester.begin_session(&here)?;
        let token = requester.form_token(&here);
        let title = update.job.summary();
        let events = format!("{path}/events");
        let mut frame = requester.frame(&here, &title, token.as_deref());
        frame.events = Some(&events);
        frame.refresh = (update.job.phase == Phase::Running).then_some(2);
        let filter = if show == "failed" { RowFilter::Failed } else { RowFilter::All };
        let page = html::results(frame, &update.job, &update.rows, filter, update.version, &here.cluster.now());
        Ok(requester.keep(page.into_response()))
    };
    site.show(&address, page).await?
}

/// `POST /jobs/NODE/ID/cancel`.
pub(super) async fn cancel(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
    form: Result<Form<Action>, FormRejection>,
) -> Page {
    let Form(Action { form_token }) = form.map_err(|error| unreadable(&error))?;
    may_act(&site, &requester, &form_token)?;
    let address = JobAddress { node, id };
    site.cancel(&address).await?;
    Ok(Redirect::to(&address.path()).into_response())
}

/// `POST /jobs/NODE/ID/retry`.
pub(super) async fn retry(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
    form: Result<Form<Action>, FormRejection>,
) -> Page {
    let Form(Action { form_token }) = form.map_err(|error| unreadable(&error))?;
    may_act(&site, &requester, &form_token)?;
    requester.take(&site.requests, "jobs")?;
    let address = JobAddress { node, id };
    if let ActionOutcome::Refused(why) = site.retry(&address).await? {
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, &sentence(&why)).retry_after(10));
    }
    Ok(Redirect::to(&address.path()).into_response())
}

/// `GET /jobs/NODE/ID/results.csv`.
pub(super) async fn csv(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
) -> Response {
    let file = match file(&site, node, id, &requester, |update| export::csv(&update)).await {
        Ok(file) => file,
        Err(problem) => return problem.for_programs(),
    };
    let mut response = Response::new(file.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"checksums.csv\""));
    response
}

/// `GET /jobs/NODE/ID/results.json`.
pub(super) async fn json(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    requester: Requester,
) -> Response {
    let json = |update: Update| http::json(StatusCode::OK, &Results { job: &update.job, rows: &update.rows });
    file(&site, node, id, &requester, json).await.unwrap_or_else(Problem::for_programs)
}

/// The results of a job in some form.
async fn file<T: Send + 'static>(
    site: &Site,
    node: String,
    id: String,
    requester: &Requester,
    form: impl FnOnce(Update) -> T + Send + 'static,
) -> Result<T, Problem> {
    admitted(requester)?;
    Ok(site.show(&JobAddress { node, id }, form).await?)
}

/// `GET /cluster.json`.
pub(super) async fn cluster_json(State(site): State<Arc<Site>>, requester: Requester) -> Response {
    match admitted(&requester) {
        Ok(()) => http::json(StatusCode::OK, &*site.cluster.now()),
        Err(problem) => problem.for_programs(),
    }
}

/// `GET /cluster`.
pub(super) async fn cluster(State(site): State<Arc<Site>>, requester: Requester) -> Page {
    if !requester.is_admitted() {
        return Ok(Redirect::to("/?next=/cluster").into_response());
    }
    let token = requester.form_token(&site);
    let mut frame = requester.frame(&site, "Cluster", token.as_deref());
    (frame.events, frame.refresh) = (Some("/cluster/events"), Some(5));
    Ok(requester
        .keep(frame.around(&html::cluster(&site.cluster.now(), Work::OfAll(&site.jobs.running()))).into_response()))
}

/// Admits requesters who may see the page.
pub(super) fn admitted(requester: &Requester) -> Result<(), Problem> {
    match requester.is_admitted() {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "A token is needed: log in, or send authorization: Bearer TOKEN.",
        )),
    }
}

/// Admits requesters who may act: a program with the token, or a form of a session.
fn may_act(site: &Site, requester: &Requester, form_token: &str) -> Result<(), Problem> {
    admitted(requester)?;
    match requester.rights {
        Rights::Program => Ok(()),
        _ => requester.check_form(site, form_token),
    }
}

fn unreadable(error: &FormRejection) -> Problem {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let (most, strangers) = (super::routes::BODY >> 20, super::routes::STRANGERS_BODY >> 10);
            let line = format!(
                "The form has more than {most} MiB, the most that is taken; or {strangers} KiB without a login."
            );
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, &line)
        }
        status => Problem::new(status, &sentence(&error.body_text())),
    }
}

/// A path of this page, so that a link cannot redirect a visitor elsewhere after the login.
fn own_path(next: &str) -> String {
    let is_own = next.starts_with("/jobs/") || next == "/cluster";
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own && is_plain { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_nowhere_else() {
        for (next, path) in [
            ("/jobs/a@h/1", "/jobs/a@h/1"),
            ("/cluster", "/cluster"),
            ("", "/"),
            ("//evil", "/"),
            ("https://evil", "/"),
            ("/\\evil", "/"),
            ("/jobs/\r\nx: y", "/"),
        ] {
            assert_eq!(own_path(next), path);
        }
    }
}
