//! Executes a job.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use peerl_node::{Mapped, Node};
use peerl_term::Term;

use super::job::Job;
use super::workers::{Workers, words_of};
use crate::answer::Answer;
use crate::checksum::ChecksumRecord;
use crate::item_error::ItemError;
use crate::items::Item;
use crate::output::{MAX_CELL, shortened};

/// The options for fetching the pages of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FetchOptions {
    /// How many pages of a job a node works on at a time.
    pub(crate) concurrency: usize,
    /// The time-out of a page.
    pub(crate) timeout: Duration,
    /// How often a page is given to another node after its node has died.
    pub(crate) retries: u32,
}

/// How much longer the call may take than the fetch.
const GRACE: Duration = Duration::from_secs(2);

/// How long a job waits while there is no worker: enough for a restart of the cluster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Starts work on the rows of a job that no node has begun.
pub(crate) fn start(job: &Arc<Job>, node: &Node, workers: &Workers, fetch_options: FetchOptions) {
    let task = tokio::spawn(run(job.clone(), node.clone(), workers.clone(), fetch_options));
    job.started(task.abort_handle());
}

async fn run(job: Arc<Job>, node: Node, workers: Workers, fetch_options: FetchOptions) {
    let (given, able) = (job.clone(), workers.able());
    let mut answers = Box::pin(
        node.pmap_by_node(
            able,
            move |node, (index, url): &(u32, String)| {
                given.begin(*index, node.as_str());
                workers.call(node, url, fetch_options.timeout)
            },
            stream::iter(job.waiting()),
        )
        .window(fetch_options.concurrency)
        .retries(fetch_options.retries)
        .timeout(fetch_options.timeout + GRACE)
        .patience(PATIENCE)
        .as_completed()
        .run::<Term>(),
    );
    while let Some(Mapped { item: (index, url), node, elapsed, result, .. }) = answers.next().await {
        let result = result.map_err(|error| ItemError::unasked(error, "for it", node.as_ref()));
        let answer = Answer { index: 0, item: Item::of_line(&url), node, elapsed, result };
        let mut record = ChecksumRecord::of_call(answer);
        if let Some(words) = record.error.as_deref().and_then(words_of) {
            record.error = Some(words.to_owned());
        }
        // A node may tell more than a job has room for.
        record.error =
            record.error.map(|error| if error.len() > MAX_CELL { shortened(error, MAX_CELL) } else { error });
        job.finish(index, record);
    }
    job.end();
}
