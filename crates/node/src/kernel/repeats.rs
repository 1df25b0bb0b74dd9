//! Rate-limited warnings, for those that peers can cause in any number.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The warnings of one kind. The first is logged at once. Further ones are counted, and logged as one line: after ten
/// seconds, then at intervals that double up to ten minutes while more come.
#[derive(Debug, Default)]
pub struct Repeats {
    /// How many were counted in this interval, if there is one.
    counted: Mutex<Option<u64>>,
}

impl Repeats {
    const FIRST_INTERVAL: Duration = Duration::from_secs(10);

    const LAST_INTERVAL: Duration = Duration::from_secs(600);

    /// Warns, or counts. `kind` is what the counted ones are called.
    #[cold]
    pub fn warn(self: &Arc<Self>, kind: &str, warning: impl FnOnce() -> String) {
        let runtime = Handle::try_current();
        {
            let mut counted = self.counted.lock();
            if let Some(count) = &mut *counted {
                *count += 1;
                return;
            }
            // Without a runtime, no task can sum up.
            *counted = runtime.is_ok().then_some(0);
        }
        let warning = warning();
        tracing::warn!("{warning}");
        if let Ok(runtime) = runtime {
            runtime.spawn(self.clone().sum_up(kind.to_owned()));
        }
    }

    async fn sum_up(self: Arc<Self>, kind: String) {
        let mut interval = Self::FIRST_INTERVAL;
        loop {
            sleep(interval).await;
            let Some(count) = self.end_interval() else { return };
            tracing::warn!("{kind}: {count} more within {} seconds", interval.as_secs());
            interval = (interval * 2).min(Self::LAST_INTERVAL);
        }
    }

    /// Takes the count and begins the next interval; ends counting if the count is zero.
    fn end_interval(&self) -> Option<u64> {
        let mut counted = self.counted.lock();
        let count = counted.take().filter(|count| *count > 0)?;
        *counted = Some(0);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many warnings are told one by one.
    fn told(repeats: &Arc<Repeats>, count: usize) -> usize {
        let mut told = 0;
        for _ in 0..count {
            repeats.warn("bad", || {
                told += 1;
                String::new()
            });
        }
        told
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_line_and_its_sum() {
        let repeats = Arc::new(Repeats::default());
        assert_eq!(told(&repeats, 25_000), 1);
        assert_eq!(*repeats.counted.lock(), Some(24_999));
        // The sum is told after ten seconds, and counting goes on.
        sleep(Duration::from_secs(11)).await;
        assert_eq!(*repeats.counted.lock(), Some(0));
        assert_eq!(told(&repeats, 7), 0);
        // The second interval is twice as long.
        sleep(Duration::from_secs(10)).await;
        assert_eq!(*repeats.counted.lock(), Some(7));
        sleep(Duration::from_secs(10)).await;
        assert_eq!(*repeats.counted.lock(), Some(0));
        // After an interval without any, the next one is a first.
        sleep(Duration::from_secs(40)).await;
        assert_eq!(told(&repeats, 2), 1);
    }

    #[test]
    fn without_a_runtime_each_is_told() {
        assert_eq!(told(&Arc::default(), 3), 3);
    }
}
