//! Jobs of all web nodes of the cluster: a visitor may reach another node than the one that runs the job.

use std::future::IntoFuture;
use std::sync::{Arc, Weak};
use std::time::Duration;

use peerl_node::{CallError, Exception, Mfa, NodeName, Term};
use peerl_term::AtomError;
use peerl_term::text::Syntax;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::address::JobAddress;
use super::job::{Job, Update};
use super::site::Site;
use super::urls::MAX_URLS;
use crate::explain;

const MODULE: &str = "peerl_web";

/// The time-out of another web node's answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How many rows are transferred at once.
pub(crate) const ROWS: usize = 500;

/// Why a job cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JobError {
    /// The node does not have it.
    #[error("there is no such job: it may have ended more than a day ago, or its node may have been restarted")]
    Unknown,
    /// The node is not in the cluster.
    #[error("there is no node {0} in this cluster now, so its jobs are unknown")]
    UnknownNode(String),
    /// The node does not answer.
    #[error("the job is kept by {node}, which does not tell of it: {why}")]
    Unreachable {
        /// The node.
        node: String,
        /// What is wrong.
        why: String,
    },
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ActionOutcome {
    /// It was done, or nothing was to do.
    Done,
    /// There is no such job.
    Unknown,
    /// It was refused, for this reason.
    Refused(String),
}

/// Exports the jobs of this node to other nodes of the cluster: `peerl_web:job(Id, Version)`, `peerl_web:cancel(Id)`
/// and `peerl_web:retry(Id)`.
///
/// # Errors
/// Never; the names are atoms.
pub(crate) fn register(site: &Arc<Site>) -> Result<(), AtomError> {
    let node = &site.node;
    let this = Arc::downgrade(site);
    node.export(MODULE, "job", move |(id, after): (String, u64)| {
        let update = running(&this).map(|site| site.jobs.get(&id).map(|job| job.update(after, ROWS)));
        async move { update }
    })?;
    let this = Arc::downgrade(site);
    node.export(MODULE, "cancel", move |(id,): (String,)| {
        let asked = running(&this).map(|site| site.cancel_own(&id));
        async move { asked }
    })?;
    let this = Arc::downgrade(site);
    node.export(MODULE, "retry", move |(id,): (String,)| {
        let asked = running(&this).map(|site| site.retry_own(&id));
        async move { asked }
    })
}

fn running(site: &Weak<Site>) -> Result<Arc<Site>, Exception> {
    site.upgrade().ok_or_else(|| Exception::exit(Term::atom("shutdown")))
}

impl Site {
    /// The job, if it is at this node.
    pub(crate) fn own(&self, address: &JobAddress) -> Option<Arc<Job>> {
        let is_own = address.node == self.name;
        is_own.then(|| self.jobs.get(&address.id)).flatten()
    }

    /// A job, and some of the rows that have changed since a version.
    ///
    /// # Errors
    /// If there is no such job, or its node does not answer.
    pub(crate) async fn update(&self, address: &JobAddress, after: u64) -> Result<Update, JobError> {
        if address.node == self.name {
            let job = self.jobs.get(&address.id).ok_or(JobError::Unknown)?;
            return Ok(job.update(after, ROWS));
        }
        let update: Option<Update> = self.ask(address, "job", vec![Term::from(after)]).await?;
        update.ok_or(JobError::Unknown)
    }

    /// Shows a job with all its rows. Only a few are shown at a time: others do not take memory while they wait.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub(crate) async fn show<T: Send + 'static>(
        &self,
        address: &JobAddress,
        show: impl FnOnce(Update) -> T + Send + 'static,
    ) -> Result<T, JobError> {
        if address.node == self.name {
            let job = self.jobs.get(&address.id).ok_or(JobError::Unknown)?;
            return Ok(self.apart(move || show(job.update(0, usize::MAX))).await);
        }
        // The semaphore is never closed.
        let _one = self.remote.acquire().await;
        let whole = self.whole(address).await?;
        Ok(self.apart(move || show(whole)).await)
    }

    /// A job of another node with all its rows.
    async fn whole(&self, address: &JobAddress) -> Result<Update, JobError> {
        let mut whole = self.update(address, 0).await?;
        while whole.more {
            // Rows that change meanwhile come again.
            if whole.rows.len() > 2 * MAX_URLS {
                let why = "it sends more rows than a job has".to_owned();
                return Err(JobError::Unreachable { node: address.node.clone(), why });
            }
            let Update { job, rows, version, more } = self.update(address, whole.version).await?;
            whole.rows.extend(rows);
            (whole.job, whole.version, whole.more) = (job, version, more);
        }
        // A row that has changed in the meantime occurs twice; the last one is current.
        whole.rows.reverse();
        whole.rows.sort_by_key(|row| row.index);
        whole.rows.dedup_by_key(|row| row.index);
        Ok(whole)
    }

    /// Cancels the unfinished rows of a job.
    ///
    /// # Errors
    /// If there is no such job, or its node does not answer.
    pub(crate) async fn cancel(&self, address: &JobAddress) -> Result<ActionOutcome, JobError> {
        self.act(address, "cancel", Self::cancel_own).await
    }

    /// Repeats the failed rows of a job.
    ///
    /// # Errors
    /// If there is no such job, or its node does not answer.
    pub(crate) async fn retry(&self, address: &JobAddress) -> Result<ActionOutcome, JobError> {
        self.act(address, "retry", Self::retry_own).await
    }

    async fn act(
        &self,
        address: &JobAddress,
        function: &'static str,
        own: fn(&Self, &str) -> ActionOutcome,
    ) -> Result<ActionOutcome, JobError> {
        let asked = match address.node == self.name {
            true => own(self, &address.id),
            false => self.ask(address, function, Vec::new()).await?,
        };
        if asked == ActionOutcome::Unknown { Err(JobError::Unknown) } else { Ok(asked) }
    }

    fn cancel_own(&self, id: &str) -> ActionOutcome {
        match self.jobs.get(id) {
            Some(job) => {
                job.cancel();
                ActionOutcome::Done
            }
            None => ActionOutcome::Unknown,
        }
    }

    fn retry_own(&self, id: &str) -> ActionOutcome {
        let Some(job) = self.jobs.get(id) else { return ActionOutcome::Unknown };
        match self.jobs.retry(&job) {
            Ok(true) => {
                self.start(&job);
                ActionOutcome::Done
            }
            Ok(false) => ActionOutcome::Done,
            Err(error) => ActionOutcome::Refused(error.to_string()),
        }
    }

    /// Calls the node of a job. Only known nodes are called, because a visitor chooses the name.
    async fn ask<T: DeserializeOwned + Send + 'static>(
        &self,
        address: &JobAddress,
        function: &'static str,
        more: Vec<Term>,
    ) -> Result<T, JobError> {
        let unknown = || JobError::UnknownNode(address.node.clone());
        let peer = NodeName::new(&address.node).map_err(|_| unknown())?;
        if !self.cluster.knows(&address.node) && !self.is_connected(&peer) {
            return Err(unknown());
        }
        let arguments = [vec![Term::from(address.id.as_str())], more].concat();
        let mfa =
            Mfa::with_terms(peerl_term::Atom::from_static(MODULE), peerl_term::Atom::from_static(function), arguments);
        let answer = self.node.call::<T>(&peer, mfa).timeout(ANSWER).into_future().await;
        answer.map_err(|error| JobError::Unreachable { node: address.node.clone(), why: why(error, &address.node) })
    }

    fn is_connected(&self, peer: &NodeName) -> bool {
        self.node.nodes(peerl_node::Nodes::Connected).contains(peer)
    }
}

fn why(error: CallError, node: &str) -> String {
    match error {
        CallError::Exception(_) => "it serves no page, or one of another version".to_owned(),
        error => explain::call(error, "for a job", node, Syntax::Erlang).message().to_owned(),
    }
}
