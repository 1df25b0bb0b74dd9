//! Back-pressure for large answers: each waits until the peer has read what was written before.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use peerl_term::Pid;

use super::{Outbox, QueueError};

/// The bytes of answers that wait outside of the [`Outbox`].
///
/// A BEAM with 120 callers sends all their large arguments before it reads the first answer. So many waiting answers are
/// legal. The connection ends only if the peer reads nothing for a while.
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
    /// A peer that reads nothing for this time has stalled.
    const STALLED: Duration = Duration::from_secs(5);

    /// The number of bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until an answer of this size may be queued, for which a lease is held. If more than `limit` bytes wait and the peer has
    /// stalled, the connection ends.
    pub(crate) async fn ready(&self, outbox: &Outbox, from: &Pid, size: usize, limit: usize) -> Result<(), QueueError> {
        self.bytes.fetch_add(size, Ordering::Relaxed);
        let waiting = Waiting { answers: self, size };
        loop {
            let before = outbox.batches();
            if let Ok(ready) = tokio::time::timeout(Self::STALLED, outbox.not_busy(from, waiting.size)).await {
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
