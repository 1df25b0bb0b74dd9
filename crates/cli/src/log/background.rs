//! Writes records in a thread of its own, so that nothing else waits for the reader of the log.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

/// How many records may wait to be written.
pub(super) const RECORDS: usize = 1 << 13;

/// What it returns takes records; the guard writes those that wait when it is dropped.
pub(super) fn start(writer: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    let lost = Arc::new(OnceLock::new());
    let writer = Counting { writer, lost: lost.clone(), told: 0 };
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(RECORDS).thread_name("log");
    let (sink, guard) = builder.finish(writer);
    let _ = lost.set(sink.error_counter());
    (sink, guard)
}

/// Tells how many records were lost, once there is room for that record.
struct Counting<W> {
    writer: W,
    lost: Arc<OnceLock<ErrorCounter>>,
    told: usize,
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.writer.write_all(record).map(|()| record.len())
    }

    /// Called when no more records wait.
    fn flush(&mut self) -> io::Result<()> {
        let lost = self.lost.get().map_or(0, ErrorCounter::dropped_lines);
        if lost > self.told {
            tracing::warn!(
                records = lost - self.told,
                "the log is not read as fast as it is written: records are lost"
            );
            self.told = lost;
        }
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_how_many_wait() {
        let page = include_str!("../../../../docs/cli.md");
        let (thousands, rest) = (RECORDS / 1000, RECORDS % 1000);
        assert!(page.contains(&format!("{thousands},{rest:03} wait")));
    }
}
