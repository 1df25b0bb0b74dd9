//! Doing the work of a job.

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

/// How the pages of jobs are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How many pages of a job a node works on at a time.
    pub(crate) concurrency: usize,
    /// The time that a page may take.
    pub(crate) timeout: Duration,
    /// How often a page is given to another node after its node has died.
    pub(crate) retries: u32,
}

/// How much longer than the fetch the call of it may take.
const GRACE: Duration = Duration::from_secs(2);

/// How long a job waits while there is no worker: a cluster that is started anew is back by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the work on the rows of a job that wait.
pub(crate) fn start(job: &Arc<Job>, node: &Node, workers: &Workers, pace: Pace) {
    let task = tokio::spawn(run(job.clone(), node.clone(), workers.clone(), pace));
    job.started(task.abort_handle());
}

async fn run(job: Arc<Job>, node: Node, workers: Workers, pace: Pace) {
    let (given, able) = (job.clone(), workers.able());
    let mut answers = Box::pin(
        node.pmap_by_node(
            able,
            move |node, (index, url): &(u32, String)| {
                given.begin(*index, node.as_str());
                workers.call(node, url, pace.timeout)
            },
            stream::iter(job.waiting()),
        )
        .window(pace.concurrency)
        .retries(pace.retries)
        .timeout(pace.timeout + GRACE)
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
        job.finish(index, record);
    }
    job.end();
}
