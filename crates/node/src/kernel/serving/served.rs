use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::kernel::repeats::Repeats;

/// The calls of peers that are under way.
#[derive(Debug, Default)]
pub(crate) struct Served {
    pub(super) active: AtomicUsize,
    pub(super) taken: AtomicU64,
    pub(super) ended: Notify,
    pub(super) failed_casts: Arc<Repeats>,
}

impl Served {
    /// Waits until no call is under way.
    pub(crate) async fn all_answered(&self) {
        loop {
            let ended = self.ended.notified();
            if self.active.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The number of calls that are under way.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// The number of calls that have been taken, those under way among them.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}
