use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::task::JoinHandle;

/// Watches for how long one task of a runtime with one thread holds that thread, in processor time: whatever else the machine
/// does, it does not count.
pub struct HeldThread {
    longest: Arc<AtomicU64>,
    beats: JoinHandle<()>,
}

impl HeldThread {
    /// Begins to watch the runtime in which it is called.
    pub fn watch() -> Self {
        let longest = Arc::new(AtomicU64::new(0));
        let beats = tokio::spawn(beat(longest.clone()));
        Self { longest, beats }
    }

    /// The longest time since the last question.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }
}

impl Drop for HeldThread {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

async fn beat(longest: Arc<AtomicU64>) {
    let mut last: Option<(ThreadId, Duration)> = None;
    loop {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let (thread, now) = (std::thread::current().id(), processor_time());
        // If another thread has taken over the tasks meanwhile, nothing has held them.
        if let Some((_, before)) = last.filter(|(of, _)| *of == thread) {
            let held = now.saturating_sub(before);
            longest.fetch_max(u64::try_from(held.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        last = Some((thread, now));
    }
}

/// That of the calling thread.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
