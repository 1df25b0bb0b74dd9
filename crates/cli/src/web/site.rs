//! What the routes of a page share: the node, its jobs, the cluster, and who may do what.

use std::sync::Arc;
use std::time::Duration;

use peerl_node::Node;
use tokio::sync::Semaphore;

use super::cluster::ClusterView;
use super::job::Job;
use super::jobs::{Jobs, JobsError};
use super::origin::Origin;
use super::rate::Rate;
use super::session::Sessions;
use super::urls::Urls;
use super::work::{self, Pace};
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
    /// Who does the work.
    pub(crate) workers: Workers,
    /// The cluster.
    pub(crate) cluster: ClusterView,
    /// How pages are fetched.
    pub(crate) pace: Pace,
    /// Who may ask.
    pub(crate) access: Access,
    /// What visitors are recognized by.
    pub(crate) sessions: Sessions,
    /// Where the page is for visitors, if that is given.
    pub(crate) origin: Option<Origin>,
    /// What the form holds at first.
    pub(crate) example: String,
    /// How often tokens may be tried.
    pub(crate) logins: Rate,
    /// How often jobs may be asked for.
    pub(crate) requests: Rate,
    /// The streams of events that may go on at a time.
    pub(crate) streams: Arc<Semaphore>,
}

impl Site {
    /// The most streams of events at a time.
    pub(crate) const STREAMS: usize = 512;

    /// How often a client may try tokens: ten times at once, and ten times a minute.
    pub(crate) fn login_rate() -> Rate {
        Rate::new(10, Duration::from_secs(6))
    }

    /// How often a client may ask for jobs: thirty times at once, and thirty times a minute. All that are behind one load
    /// balancer are one client.
    pub(crate) fn request_rate() -> Rate {
        Rate::new(30, Duration::from_secs(2))
    }

    /// Makes a job, and starts the work.
    ///
    /// # Errors
    /// If no more jobs may run.
    pub(crate) fn begin(&self, urls: Urls) -> Result<Arc<Job>, JobsError> {
        let job = self.jobs.add(urls)?;
        self.start(&job);
        Ok(job)
    }

    /// Starts the work on the rows of a job that wait.
    pub(crate) fn start(&self, job: &Arc<Job>) {
        work::start(job, &self.node, &self.workers, self.pace);
    }
}
