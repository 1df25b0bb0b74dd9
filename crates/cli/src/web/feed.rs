//! What all visitors of a job get: its rows and the picture of the cluster beside it, each of which is made once for all of them.

mod picture;
use picture::Pictures;
pub(super) use picture::Shown;
mod piece;
pub(super) use piece::Piece;
use piece::{Made, Pieces};

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use peerl_proto::budget::{Budget, Share};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

use super::address::JobAddress;
use super::job::{JobHead, Phase};
use super::shared_jobs::JobError;
use super::site::Site;

/// The most rows of an event: it is made in a millisecond or two, and many clients can have one that they have not read.
const ROWS: usize = 100;

/// The part of the memory for events that those which are kept for other clients can have.
const PART: usize = 8;

/// How often another web node is polled for its job, while the job runs and afterwards.
pub(super) const POLL: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(3));

/// The feeds that have clients.
#[derive(Debug, Default)]
pub(crate) struct Feeds(Mutex<HashMap<Option<JobAddress>, Weak<Feed>>>);

impl Feeds {
    /// The feed of a job, or that of all jobs.
    pub(super) fn of(&self, job: Option<JobAddress>, memory: &Arc<Budget>) -> Arc<Feed> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.retain(|_, feed| feed.strong_count() > 0);
        if let Some(feed) = feeds.get(&job).and_then(Weak::upgrade) {
            return feed;
        }
        let feed = Arc::new(Feed::new(job.clone(), memory));
        feeds.insert(job, Arc::downgrade(&feed));
        feed
    }
}

/// The events of a job.
#[derive(Debug)]
pub(crate) struct Feed {
    job: Option<JobAddress>,
    share: Arc<Share>,
    known: Mutex<Known>,
    /// Held by the one that makes a piece; others who want one wait for it.
    making: AsyncMutex<()>,
    pictures: AsyncMutex<Pictures>,
}

/// What is known of the job.
#[derive(Debug)]
struct Known {
    pieces: Pieces,
    head: Option<Arc<JobHead>>,
    /// What another web node has answered last: a version without further changes, or why it does not tell.
    answer: Option<(Instant, Result<u64, JobError>)>,
}

impl Feed {
    fn new(job: Option<JobAddress>, memory: &Arc<Budget>) -> Self {
        let known = Known { pieces: Pieces::new(memory.most() / PART), head: None, answer: None };
        Self {
            job,
            share: Arc::new(memory.share()),
            known: Mutex::new(known),
            making: AsyncMutex::default(),
            pictures: AsyncMutex::default(),
        }
    }

    /// What has changed since a version. A client that has had no event gets one in any case.
    ///
    /// # Errors
    /// If there is no such job, or its node does not answer.
    pub(super) async fn rows(&self, site: &Site, after: u64, is_first: bool) -> Result<Option<Arc<Piece>>, JobError> {
        let Some(address) = &self.job else { return Ok(None) };
        if address.node != site.name {
            return self.piece(after, is_first, self.ask(site, address, after, is_first)).await;
        }
        let job = site.jobs.get(&address.id).ok_or(JobError::Unknown)?;
        if !is_first && after >= job.version() {
            return Ok(None);
        }
        let make = async { Ok(Some(site.apart(move || Made::of(job.update(after, ROWS))).await)) };
        self.piece(after, is_first, make).await
    }

    /// The cluster, with its work for the job; or with that for all jobs, if nothing is known of this one.
    pub(super) async fn cluster(&self, site: &Site) -> Shown {
        let head = self.known().head.clone();
        self.pictures.lock().await.shown(site, head, &self.share).await
    }

    /// The piece after this version: one that is kept, or one that is made, now and for all who want it.
    async fn piece(
        &self,
        after: u64,
        is_first: bool,
        make: impl Future<Output = Result<Option<Made>, JobError>>,
    ) -> Result<Option<Arc<Piece>>, JobError> {
        if let Some(piece) = self.known().pieces.get(after, is_first) {
            return Ok(Some(piece));
        }
        let _making = self.making.lock().await;
        if let Some(piece) = self.known().pieces.get(after, is_first) {
            return Ok(Some(piece));
        }
        let Some(made) = make.await? else { return Ok(None) };
        let mut known = self.known();
        let piece = known.pieces.add(after, made, &self.share);
        known.head = Some(piece.head.clone());
        Ok(Some(piece))
    }

    /// Asks the other web node that has the job, if it has not answered just now.
    async fn ask(
        &self,
        site: &Site,
        address: &JobAddress,
        after: u64,
        is_first: bool,
    ) -> Result<Option<Made>, JobError> {
        match self.known().answer() {
            Some(Err(error)) => return Err(error),
            Some(Ok(version)) if !is_first && after >= version => return Ok(None),
            _ => {}
        }
        let update = site.update(address, after).await;
        let answer = update.as_ref().map(|update| update.version).map_err(Clone::clone);
        self.known().answer = Some((Instant::now(), answer));
        let update = update?;
        let is_new = is_first || update.version > after;
        Ok(if is_new { Some(site.apart(move || Made::of(update)).await) } else { None })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The last answer, until the node can be asked again. Who polls it does so a little later.
    fn answer(&self) -> Option<Result<u64, JobError>> {
        let is_running = self.head.as_ref().is_some_and(|head| head.phase == Phase::Running);
        let again = if is_running { POLL.0 } else { POLL.1 } * 9 / 10;
        self.answer.as_ref().filter(|(at, _)| at.elapsed() < again).map(|(_, answer)| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;

    use super::super::job::Job;
    use super::super::urls::Urls;
    use super::*;

    fn feed() -> Feed {
        let job = JobAddress { node: "n@h".to_owned(), id: "j".to_owned() };
        Feed::new(Some(job), &Budget::with_factor(8 << 20, 1 << 16, 4))
    }

    #[tokio::test(start_paused = true)]
    async fn many_visitors_get_events_that_are_made_once() {
        let text: String = (0..1000).map(|number| format!("http://a/{number}\n")).collect();
        let (feed, made) = (feed(), AtomicUsize::new(0));
        let job = Job::new("j".to_owned(), "n@h", Urls::parse(&text).unwrap());
        let visit = async || {
            let (mut after, mut events) = (0, Vec::new());
            loop {
                let make = async {
                    made.fetch_add(1, Ordering::Relaxed);
                    // All others ask for it meanwhile.
                    tokio::task::yield_now().await;
                    Ok(Some(Made::of(job.update(after, ROWS))))
                };
                let piece = feed.piece(after, events.is_empty(), make).await.unwrap().unwrap();
                events.push(piece.event.clone());
                after = piece.version;
                if !piece.more {
                    return events;
                }
            }
        };
        let all = join_all((0..500).map(|_| visit())).await;
        assert_eq!((all[0].len(), made.load(Ordering::Relaxed)), (10, 10));
        assert!(all.iter().flatten().all(|event| all[0].iter().any(|first| first.as_ptr() == event.as_ptr())));
    }

    #[tokio::test]
    async fn a_visitor_who_leaves_is_replaced_by_another_who_waits() {
        let feed = feed();
        let job = Job::new("j".to_owned(), "n@h", Urls::parse("http://a").unwrap());
        let mut leaves = Box::pin(feed.piece(0, true, std::future::pending()));
        assert!(futures::poll!(&mut leaves).is_pending());
        let mut waits = Box::pin(feed.piece(0, true, async { Ok(Some(Made::of(job.update(0, ROWS)))) }));
        assert!(futures::poll!(&mut waits).is_pending());
        drop(leaves);
        assert_eq!(waits.await.unwrap().unwrap().version, 1);
    }
}
