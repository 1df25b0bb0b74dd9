//! Large answers that wait until the peer has taken what was written before them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use peerl_term::Pid;

use super::{Outbox, QueueError};

/// The answers of served calls that wait, outside of the [`Outbox`].
///
/// A BEAM with 120 callers of large arguments sends them all before it reads the first answer; that many answers are legal,
/// and no reason to end anything. A peer that takes nothing at all for a while is.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    bytes: AtomicUsize,
}

/// An answer that waits.
struct Waiting<'a> {
    answers: &'a Answers,
    size: usize,
}

impl Answers {
    /// A peer that takes nothing for so long does not read.
    const STALLED: Duration = Duration::from_secs(5);

    /// How many bytes wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until an answer of this size may be queued. If more than `limit` bytes wait, and the peer takes none of what is
    /// written, it is given up.
    pub(crate) async fn ready(&self, outbox: &Outbox, from: &Pid, size: usize, limit: usize) -> Result<(), QueueError> {
        self.bytes.fetch_add(size, Ordering::Relaxed);
        let waiting = Waiting { answers: self, size };
        loop {
            let before = outbox.batches();
            if let Ok(ready) = tokio::time::timeout(Self::STALLED, outbox.ready(from, waiting.size)).await {
                return ready;
            }
            if outbox.batches() == before && self.bytes() > limit {
                outbox.overflow();
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.answers.bytes.fetch_sub(self.size, Ordering::Relaxed);
    }
}
