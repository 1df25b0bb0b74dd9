use std::time::Duration;

/// How a task waits for some microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShortWait {
    /// It lets other tasks run, again and again: no timer is as fine, and to wake a thread takes longer.
    Yield,
    /// By a timer: simulated time stands still while any task can run.
    Timer,
}

impl ShortWait {
    /// Waits once, for at most about this long.
    pub(crate) async fn pass(self, time: Duration) {
        match self {
            Self::Yield => tokio::task::yield_now().await,
            // In a box: the task of an idle connection has no room for a timer that it rarely needs.
            Self::Timer => Box::pin(tokio::time::sleep(time)).await,
        }
    }
}
