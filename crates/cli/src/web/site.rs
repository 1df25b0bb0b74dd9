//! The state that the routes of a page share.

use std::sync::Arc;
use std::time::Duration;

use peerl_node::Node;
use peerl_proto::budget::Budget;
use tokio::sync::Semaphore;

use super::cluster::ClusterView;
use super::job::Job;
use super::jobs::{Jobs, JobsError};
use super::origin::Origin;
use super::rate::Rate;
use super::session::Sessions;
use super::urls::Urls;
use super::work::{self, FetchOptions};
use super::workers::Workers;
use crate::http::Access;

/// A page at a node.
#[derive(Debug)]
pub(crate) struct Site {
    /// The node.
    pub(crate) node: Node,
    /// Its name, in the addresses of its jobs.
    pub(crate) name: String,
    /// The jobs that it runs, or has run.
    pub(crate) jobs: Jobs,
    /// The nodes that take checksums.
    pub(crate) workers: Workers,
    /// The cluster.
    pub(crate) cluster: ClusterView,
    /// How pages are fetched.
    pub(crate) fetch_options: FetchOptions,
    /// Access control.
    pub(crate) access: Access,
    /// The sessions of visitors.
    pub(crate) sessions: Sessions,
    /// The page's address for visitors, if given.
    pub(crate) origin: Option<Origin>,
    /// The initial content of the form.
    pub(crate) example: String,
    /// The rate limit of login attempts.
    pub(crate) logins: Rate,
    /// The rate limit of jobs.
    pub(crate) requests: Rate,
    /// The permits for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// The memory for events that their clients have not read.
    pub(crate) events: Arc<Budget>,
    /// The permits for work that takes long.
    pub(crate) apart: Arc<Semaphore>,
    /// The permits for whole jobs of other web nodes.
    pub(crate) remote: Semaphore,
}

impl Site {
    /// The most simultaneous event streams.
    pub(crate) const STREAMS: usize = 512;

    /// The most threads beside those of the runtime that do what takes long: long forms, large pages and events, of which each
    /// takes memory while it is made.
    pub(crate) const APART: usize = 2;

    /// The most whole jobs of other web nodes that are transferred at a time.
    pub(crate) const REMOTE: usize = 4;

    /// The rate of login attempts per client: ten at once, and ten per minute.
    pub(crate) fn login_rate() -> Rate {
        Rate::new(10, Duration::from_secs(6))
    }

    /// The rate of jobs per client: thirty at once, and thirty per minute. All clients behind a load balancer count
    /// as one.
    pub(crate) fn request_rate() -> Rate {
        Rate::new(30, Duration::from_secs(2))
    }

    /// Does work that takes long, while the threads of the runtime do other work.
    pub(crate) async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.apart.clone().acquire_owned().await;
        let work = move || {
            let _permit = permit;
            work()
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and with it the caller.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Creates a job and starts it.
    ///
    /// # Errors
    /// If the most jobs are running.
    pub(crate) fn begin(&self, urls: Urls) -> Result<Arc<Job>, JobsError> {
        let job = self.jobs.add(urls)?;
        self.start(&job);
        Ok(job)
    }

    /// Starts work on the rows of a job that no node has begun.
    pub(crate) fn start(&self, job: &Arc<Job>) {
        work::start(job, &self.node, &self.workers, self.fetch_options);
    }
}
