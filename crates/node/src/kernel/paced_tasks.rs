use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::batching::TURN;

/// Starts tasks for messages of peers, of which only some wait for their first turn. The runtime runs tasks one after the other: if
/// a peer could have thousands started at once, those of all others would wait behind them.
#[derive(Debug, Clone)]
pub struct PacedTasks {
    free: Arc<Semaphore>,
}

impl PacedTasks {
    /// How many tasks wait for their first turn at most, if each is started when there is [room](Self::room).
    pub const MOST: usize = TURN;

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(Paced { task, permit: self.free.clone().try_acquire_owned().ok() });
    }

    /// Waits until fewer than [`MOST`](Self::MOST) tasks wait for their first turn.
    pub async fn room(&self) {
        if self.free.available_permits() == 0 {
            // Nothing closes the semaphore.
            let _ = self.free.acquire().await;
        }
    }
}

impl Default for PacedTasks {
    /// None has been started.
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(Self::MOST)) }
    }
}

pin_project! {
    /// Holds the permit until the task has had its first turn.
    struct Paced<T> {
        #[pin]
        task: T,
        permit: Option<OwnedSemaphorePermit>,
    }
}

impl<T: Future> Future for Paced<T> {
    type Output = T::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        let this = self.project();
        let polled = this.task.poll(cx);
        drop(this.permit.take());
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn few_wait_for_their_first_turn() {
        let tasks = PacedTasks::default();
        let begun = Arc::new(AtomicUsize::new(0));
        for started in 0..10 * PacedTasks::MOST {
            tasks.room().await;
            assert!(started - begun.load(Ordering::Relaxed) < PacedTasks::MOST);
            let begun = begun.clone();
            tasks.spawn(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
            });
        }
    }
}
