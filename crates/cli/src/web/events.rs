//! The stream of events of a page: what changes of its job and of the cluster.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::address::JobAddress;
use super::cluster::Cluster;
use super::html::{self, Work};
use super::job::{JobHead, Phase, Update};
use super::pages::admitted;
use super::problem::{Problem, sentence};
use super::row::Row;
use super::shared_jobs::JobError;
use super::site::Site;
use super::visitor::Guest;

/// How often something is said although nothing has changed: load balancers cut connections that say nothing for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// For how long changes are gathered before they are told together.
const BATCH: Duration = Duration::from_millis(200);

/// How often another web node is asked for its job, while the job runs and afterwards.
const POLL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// How often the cluster is told at most.
const CLUSTER: Duration = Duration::from_secs(1);

/// How often it is looked what the nodes do for all jobs.
const ALL_JOBS: Duration = Duration::from_secs(2);

/// How long a browser waits before it comes again after the stream has ended.
const RECONNECT: Duration = Duration::from_secs(2);

/// What a browser or a program has already.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Since {
    /// The version of the job.
    #[serde(default)]
    after: u64,
}

/// Rows that have changed.
#[derive(Serialize)]
struct Rows<'a> {
    job: &'a JobHead,
    summary: String,
    rows: &'a [Row],
}

/// `GET /jobs/NODE/ID/events`.
pub(super) async fn of_job(
    State(site): State<Arc<Site>>,
    Path((node, id)): Path<(String, String)>,
    Query(Since { after }): Query<Since>,
    guest: Guest,
) -> Response {
    // What a browser says when it comes again counts more than the address with which it came first.
    let last = guest.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    stream(site, &guest, Some((JobAddress { node, id }, last.unwrap_or(after))))
}

/// `GET /cluster/events`.
pub(super) async fn of_cluster(State(site): State<Arc<Site>>, guest: Guest) -> Response {
    stream(site, &guest, None)
}

fn stream(site: Arc<Site>, guest: &Guest, job: Option<(JobAddress, u64)>) -> Response {
    if let Err(problem) = admitted(guest) {
        return problem.for_programs();
    }
    let Ok(permit) = site.streams.clone().try_acquire_owned() else {
        let line = "Too many streams of events are open already.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, line).retry_after(10).for_programs();
    };
    let (sender, mut receiver) = mpsc::channel(4);
    tokio::spawn(Teller { site, sender, _permit: permit }.run(job));
    let events =
        stream::poll_fn(move |context| receiver.poll_recv(context).map(|event| event.map(Ok::<_, Infallible>)));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A proxy that gathers answers would hold the events back.
    response.headers_mut().insert("x-accel-buffering", hyper::header::HeaderValue::from_static("no"));
    response
}

/// Tells one browser.
struct Teller {
    site: Arc<Site>,
    sender: mpsc::Sender<Event>,
    _permit: OwnedSemaphorePermit,
}

/// Nobody listens any more.
struct Gone;

impl Teller {
    async fn run(self, job: Option<(JobAddress, u64)>) {
        let _ = self.sender.send(Event::default().retry(RECONNECT)).await;
        let _ = match job {
            Some((address, after)) => self.tell(Some(address), after).await,
            None => self.tell(None, 0).await,
        };
    }

    async fn tell(&self, mut address: Option<JobAddress>, mut version: u64) -> Result<(), Gone> {
        let mut own = address.as_ref().and_then(|address| self.site.own(address)).map(|job| job.watch());
        let (mut cluster, mut head, mut trouble) = (self.site.cluster.watch(), None, None);
        let (mut drawing, mut draw_at, mut is_old) = (Drawing::default(), Instant::now(), true);
        loop {
            self.site.cluster.want();
            if let Some(job) = &address {
                match self.site.update(job, version).await {
                    Ok(update) => {
                        let more = update.more;
                        is_old |= self.rows(&mut version, &mut head, update).await?;
                        trouble = None;
                        if more {
                            continue;
                        }
                    }
                    Err(error) => {
                        let is_final = !matches!(error, JobError::Unreachable { .. });
                        let text = sentence(&error.to_string());
                        if trouble.as_ref() != Some(&text) {
                            let kind = if is_final { "gone" } else { "trouble" };
                            self.send(Event::default().event(kind), &json!({ "message": text })).await?;
                            trouble = Some(text);
                        }
                        if is_final {
                            address = None;
                            own = None;
                        }
                    }
                }
            }
            if is_old && draw_at <= Instant::now() {
                (is_old, draw_at) = (false, Instant::now() + CLUSTER);
                let now = cluster.borrow_and_update().clone();
                let jobs = if head.is_none() { self.site.jobs.running() } else { Vec::new() };
                let work = head.as_ref().map_or(Work::OfAll(&jobs), Work::Of);
                if let Some(html) = drawing.changed(&now, work) {
                    self.send(Event::default().event("cluster"), &json!({ "html": html })).await?;
                }
            }
            let running = head.as_ref().is_some_and(|head: &JobHead| head.phase == Phase::Running);
            let poll = if running { POLL.0 } else { POLL.1 };
            tokio::select! {
                () = self.sender.closed() => return Err(Gone),
                () = changed(own.as_mut()), if own.is_some() => sleep(BATCH).await,
                () = sleep(poll), if own.is_none() && address.is_some() => {}
                () = changed(Some(&mut cluster)), if !is_old => is_old = true,
                () = sleep_until(draw_at), if is_old => {}
                // The cluster is looked at as long as somebody looks at the page, and what its nodes do for all jobs is told.
                () = sleep(ALL_JOBS) => is_old |= address.is_none(),
            }
        }
    }

    /// Tells rows, and the job if it has changed. Says whether something was told.
    async fn rows(&self, version: &mut u64, head: &mut Option<JobHead>, update: Update) -> Result<bool, Gone> {
        let is_new = head.as_ref() != Some(&update.job) || !update.rows.is_empty();
        if is_new {
            let rows = Rows { summary: update.job.summary(), job: &update.job, rows: &update.rows };
            self.send(Event::default().event("rows").id(update.version.to_string()), &rows).await?;
        }
        *version = update.version;
        *head = Some(update.job);
        Ok(is_new)
    }

    async fn send(&self, event: Event, data: &impl Serialize) -> Result<(), Gone> {
        let event = event.json_data(data).map_err(|_| Gone)?;
        self.sender.send(event).await.map_err(|_| Gone)
    }
}

async fn changed<T>(watched: Option<&mut watch::Receiver<T>>) {
    let is_gone = match watched {
        Some(watched) => watched.changed().await.is_err(),
        None => true,
    };
    if is_gone {
        std::future::pending().await
    }
}

/// The cluster as it was told last.
#[derive(Default)]
struct Drawing {
    html: String,
}

impl Drawing {
    fn changed(&mut self, cluster: &Cluster, work: Work<'_>) -> Option<&str> {
        let html = html::cluster(cluster, work).into_string();
        (html != self.html).then(|| {
            self.html = html;
            self.html.as_str()
        })
    }
}
