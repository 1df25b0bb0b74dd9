//! The event stream of a page: changes of its job and of the cluster.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use peerl_proto::budget::Share;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::address::JobAddress;
use super::cluster::Cluster;
use super::event_text::event;
use super::feed::{Feed, Feeds, POLL};
use super::job::Phase;
use super::pages::admitted;
use super::problem::{Problem, sentence};
use super::requester::Requester;
use super::shared_jobs::JobError;
use super::site::Site;

/// The interval of keep-alive comments: load balancers close connections that are silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long changes are collected before they are sent together.
const BATCH: Duration = Duration::from_millis(200);

/// How often the nodes' work for all jobs is refreshed.
const ALL_JOBS: Duration = Duration::from_secs(2);

/// The first line of a stream: how many milliseconds a browser waits before it reconnects after the end.
const RECONNECT: &[u8] = b"retry: 2000\n\n";

/// A line without an event.
const COMMENT: &[u8] = b":\n\n";

/// The state that the client has already.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Since {
    /// The version of the job.
    #[serde(default)]
    after: u64,
}

/// `GET /jobs/NODE/ID/events`.
pub(super) async fn of_job(
    State(site): State<Arc<Site>>,
    Extension(feeds): Extension<Arc<Feeds>>,
    Path((node, id)): Path<(String, String)>,
    Query(Since { after }): Query<Since>,
    requester: Requester,
) -> Response {
    // The header of a reconnecting browser overrides the address of its first request.
    let last = requester.headers().get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    stream(site, &feeds, &requester, Some((JobAddress { node, id }, last.unwrap_or(after))))
}

/// `GET /cluster/events`.
pub(super) async fn of_cluster(
    State(site): State<Arc<Site>>,
    Extension(feeds): Extension<Arc<Feeds>>,
    requester: Requester,
) -> Response {
    stream(site, &feeds, &requester, None)
}

fn stream(site: Arc<Site>, feeds: &Feeds, requester: &Requester, job: Option<(JobAddress, u64)>) -> Response {
    if let Err(problem) = admitted(requester) {
        return problem.for_programs();
    }
    let Ok(permit) = site.streams.clone().try_acquire_owned() else {
        let line = "Too many streams of events are open already.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, line).retry_after(10).for_programs();
    };
    let watcher = Watcher::new(site, feeds, job, permit);
    let events = stream::unfold(watcher, |mut watcher| async {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-cache"),
        // A buffering proxy would delay the events.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

/// A client with a stream. It is asked for the next event when the client has read most of the last one.
struct Watcher {
    site: Arc<Site>,
    share: Arc<Share>,
    has_begun: bool,
    job: Option<WatchedJob>,
    /// The events of all jobs.
    all: Arc<Feed>,
    cluster: watch::Receiver<Arc<Cluster>>,
    /// The number of the picture of the cluster that was sent last.
    picture: Option<u64>,
    /// When there can be another one, and whether it is wanted.
    draw_at: Instant,
    is_old: bool,
    _permit: OwnedSemaphorePermit,
}

/// The job of a client.
struct WatchedJob {
    feed: Arc<Feed>,
    /// Its changes, if this node runs it.
    changes: Option<watch::Receiver<u64>>,
    version: u64,
    /// Its phase in the last event.
    phase: Option<Phase>,
    /// Whether there may be news.
    is_due: bool,
    /// When another node is asked again.
    poll_at: Instant,
    trouble: Option<String>,
    is_gone: bool,
}

impl Watcher {
    fn new(site: Arc<Site>, feeds: &Feeds, job: Option<(JobAddress, u64)>, permit: OwnedSemaphorePermit) -> Self {
        Self {
            share: Arc::new(site.events.share()),
            has_begun: false,
            job: job.map(|(address, version)| WatchedJob::new(&site, feeds, address, version)),
            all: feeds.of(None, &site.events),
            cluster: site.cluster.watch(),
            picture: None,
            draw_at: Instant::now(),
            is_old: true,
            site,
            _permit: permit,
        }
    }

    /// The next event. There is none if there is no memory for what the client does not read: it has to connect again.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Some(Bytes::from_static(RECONNECT));
        }
        let silent_until = Instant::now() + HEARTBEAT;
        while Instant::now() < silent_until {
            self.site.cluster.want();
            let event = match self.news().await {
                Some(event) => Some(event),
                None => self.drawing().await,
            };
            if let Some(event) = event {
                return self.share.lease(event.len()).map(|lease| lease.hold_for(event));
            }
            self.change(silent_until).await;
        }
        Some(Bytes::from_static(COMMENT))
    }

    /// News of the job.
    async fn news(&mut self) -> Option<Bytes> {
        let job = self.job.as_mut().filter(|job| job.is_due)?;
        let was_known = job.phase.is_some();
        let news = job.news(&self.site).await;
        self.is_old |= news.is_some();
        if job.phase.is_some() && !was_known {
            // From now on the pictures are those of the job.
            self.picture = None;
        }
        news
    }

    /// The cluster, if its picture has changed.
    async fn drawing(&mut self) -> Option<Bytes> {
        if !self.is_old || self.draw_at > Instant::now() {
            return None;
        }
        self.cluster.mark_unchanged();
        let feed = self.job.as_ref().filter(|job| job.phase.is_some()).map_or(&self.all, |job| &job.feed);
        let shown = feed.cluster(&self.site).await;
        (self.draw_at, self.is_old) = (shown.next, !shown.is_current);
        let last = self.picture.replace(shown.number);
        (last != Some(shown.number)).then_some(shown.event)
    }

    /// Waits until something may have changed, at most until this instant.
    async fn change(&mut self, until: Instant) {
        let follows = self.job.as_ref().is_some_and(|job| !job.is_gone);
        tokio::select! {
            pause = changed(self.job.as_mut()), if follows => sleep(pause).await,
            Ok(()) = self.cluster.changed(), if !self.is_old => self.is_old = true,
            () = sleep_until(self.draw_at), if self.is_old => {}
            // While a page shows the cluster, it is inspected, and its work for all jobs is sent.
            () = sleep(ALL_JOBS) => self.is_old |= !follows,
            () = sleep_until(until) => {}
        }
    }
}

async fn changed(job: Option<&mut WatchedJob>) -> Duration {
    match job {
        Some(job) => job.changed().await,
        None => std::future::pending().await,
    }
}

impl WatchedJob {
    fn new(site: &Site, feeds: &Feeds, address: JobAddress, version: u64) -> Self {
        Self {
            changes: site.own(&address).map(|job| job.watch()),
            feed: feeds.of(Some(address), &site.events),
            version,
            phase: None,
            is_due: true,
            poll_at: Instant::now(),
            trouble: None,
            is_gone: false,
        }
    }

    /// Changed rows, or why there are none.
    async fn news(&mut self, site: &Site) -> Option<Bytes> {
        self.is_due = false;
        let news = match self.feed.rows(site, self.version, self.phase.is_none()).await {
            Ok(piece) => {
                self.trouble = None;
                piece.map(|piece| {
                    (self.version, self.phase) = (piece.version, Some(piece.head.phase));
                    self.is_due = piece.more;
                    // It may be one that was made before the last change.
                    if let Some(changes) = &mut self.changes
                        && *changes.borrow() > piece.version
                    {
                        changes.mark_changed();
                    }
                    piece.event.clone()
                })
            }
            Err(error) => self.told(&error),
        };
        self.poll_at = Instant::now() + if self.phase == Some(Phase::Running) { POLL.0 } else { POLL.1 };
        news
    }

    /// The event of an error, unless it was the last one.
    fn told(&mut self, error: &JobError) -> Option<Bytes> {
        self.is_gone = !matches!(error, JobError::Unreachable { .. });
        let text = sentence(&error.to_string());
        let is_new = self.trouble.as_ref() != Some(&text);
        let kind = if self.is_gone { "gone" } else { "trouble" };
        let told = is_new.then(|| event(kind, None, text.len() + 64, &json!({ "message": text })));
        self.trouble = Some(text);
        told
    }

    /// Waits until there may be news. Returns how long others may follow, which are then sent together.
    async fn changed(&mut self) -> Duration {
        let mut pause = Duration::ZERO;
        match &mut self.changes {
            Some(changes) => match changes.changed().await {
                Ok(()) => pause = BATCH,
                // This node has forgotten the job.
                Err(_) => self.changes = None,
            },
            None => sleep_until(self.poll_at).await,
        }
        self.is_due = true;
        pause
    }
}
