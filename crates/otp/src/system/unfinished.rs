//! What the processes of the node have begun and not finished, since it waits for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts work that is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Unfinished(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    under_way: AtomicUsize,
    ended: Notify,
}

/// A piece of work, until it is dropped.
#[derive(Debug)]
pub(super) struct Work(Arc<Count>);

impl Unfinished {
    pub(super) fn begin(&self) -> Work {
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        Work(self.0.clone())
    }

    /// Waits until all work that has been begun is finished.
    pub(super) async fn finished(&self) {
        loop {
            let ended = self.0.ended.notified();
            if self.0.under_way.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.ended.notify_waiters();
        }
    }
}
