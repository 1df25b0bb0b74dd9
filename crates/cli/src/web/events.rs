//! The event stream of a page: changes of its job and of the cluster.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use hyper::StatusCode;
use peerl_proto::budget::{Lease, Share};
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
use super::requester::Requester;
use super::row::Row;
use super::shared_jobs::JobError;
use super::site::Site;

/// The interval of keep-alive comments: load balancers close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long changes are collected before they are sent together.
const BATCH: Duration = Duration::from_millis(200);

/// How often another web node is polled for its job, while the job runs and afterwards.
const POLL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// The shortest interval between updates of the cluster.
const CLUSTER: Duration = Duration::from_secs(1);

/// How often the nodes' work for all jobs is refreshed.
const ALL_JOBS: Duration = Duration::from_secs(2);

/// How long a browser waits before it reconnects after the end of a stream.
const RECONNECT: Duration = Duration::from_secs(2);

/// The state that the client has already.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Since {
    /// The version of the job.
    #[serde(default)]
    after: u64,
}

/// Changed rows.
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
    requester: Requester,
) -> Response {
    // The header of a reconnecting browser overrides the address of its first request.
    let last = requester.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    stream(site, &requester, Some((JobAddress { node, id }, last.unwrap_or(after))))
}

/// `GET /cluster/events`.
pub(super) async fn of_cluster(State(site): State<Arc<Site>>, requester: Requester) -> Response {
    stream(site, &requester, None)
}

fn stream(site: Arc<Site>, requester: &Requester, job: Option<(JobAddress, u64)>) -> Response {
    if let Err(problem) = admitted(requester) {
        return problem.for_programs();
    }
    let Ok(permit) = site.streams.clone().try_acquire_owned() else {
        let line = "Too many streams of events are open already.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, line).retry_after(10).for_programs();
    };
    let (sender, mut receiver) = mpsc::channel::<(Event, Lease)>(4);
    let share = Arc::new(site.events.share());
    tokio::spawn(EventSender { site, sender, share, _permit: permit }.run(job));
    let mut written = None;
    let events = stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|event| {
            event.map(|(event, lease)| {
                // It is asked for the next event when this one has been taken.
                written = Some(lease);
                Ok::<_, Infallible>(event)
            })
        })
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // A buffering proxy would delay the events.
    response.headers_mut().insert("x-accel-buffering", hyper::header::HeaderValue::from_static("no"));
    response
}

/// Sends events to one client.
struct EventSender {
    site: Arc<Site>,
    sender: mpsc::Sender<(Event, Lease)>,
    share: Arc<Share>,
    _permit: OwnedSemaphorePermit,
}

/// The client has disconnected; or there is no memory for what it does not read, and it has to connect again.
struct Disconnected;

impl EventSender {
    async fn run(self, job: Option<(JobAddress, u64)>) {
        let nothing = Lease::nothing(self.share.clone());
        let _ = self.sender.send((Event::default().retry(RECONNECT), nothing)).await;
        let _ = match job {
            Some((address, after)) => self.tell(Some(address), after).await,
            None => self.tell(None, 0).await,
        };
    }

    async fn tell(&self, mut address: Option<JobAddress>, mut version: u64) -> Result<(), Disconnected> {
        let mut own = address.as_ref().and_then(|address| self.site.own(address)).map(|job| job.watch());
        let (mut cluster, mut head, mut trouble) = (self.site.cluster.watch(), None, None);
        let (mut drawing, mut draw_at, mut is_old) = (ClusterSnapshot::default(), Instant::now(), true);
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
                let turn = self.site.turns.acquire().await;
                let changed = drawing.changed(&now, work);
                drop(turn);
                if let Some(html) = changed {
                    self.send(Event::default().event("cluster"), &json!({ "html": html })).await?;
                }
            }
            let running = head.as_ref().is_some_and(|head: &JobHead| head.phase == Phase::Running);
            let poll = if running { POLL.0 } else { POLL.1 };
            tokio::select! {
                () = self.sender.closed() => return Err(Disconnected),
                () = changed(own.as_mut()), if own.is_some() => sleep(BATCH).await,
                () = sleep(poll), if own.is_none() && address.is_some() => {}
                () = changed(Some(&mut cluster)), if !is_old => is_old = true,
                () = sleep_until(draw_at), if is_old => {}
                // While a page shows the cluster, it is inspected, and its work for all jobs is sent.
                () = sleep(ALL_JOBS) => is_old |= address.is_none(),
            }
        }
    }

    /// Sends rows, and the job if it has changed. Returns whether anything was sent.
    async fn rows(&self, version: &mut u64, head: &mut Option<JobHead>, update: Update) -> Result<bool, Disconnected> {
        let is_new = head.as_ref() != Some(&update.job) || !update.rows.is_empty();
        if is_new {
            let rows = Rows { summary: update.job.summary(), job: &update.job, rows: &update.rows };
            self.send(Event::default().event("rows").id(update.version.to_string()), &rows).await?;
        }
        *version = update.version;
        *head = Some(update.job);
        Ok(is_new)
    }

    async fn send(&self, event: Event, data: &impl Serialize) -> Result<(), Disconnected> {
        let turn = self.site.turns.acquire().await;
        let text = serde_json::to_string(data).map_err(|_| Disconnected)?;
        // Once here, and once in what is to be written.
        let lease = self.share.lease(2 * text.len()).ok_or(Disconnected)?;
        let event = event.data(text);
        drop(turn);
        self.sender.send((event, lease)).await.map_err(|_| Disconnected)
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

/// The cluster as sent last.
#[derive(Default)]
struct ClusterSnapshot {
    html: String,
}

impl ClusterSnapshot {
    fn changed(&mut self, cluster: &Cluster, work: Work<'_>) -> Option<&str> {
        let html = html::cluster(cluster, work).into_string();
        (html != self.html).then(|| {
            self.html = html;
            self.html.as_str()
        })
    }
}
