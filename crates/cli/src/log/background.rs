//! Writes records in a thread of its own, so that nothing else waits for the reader of the log.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

/// How many records may wait to be written.
pub(super) const RECORDS: usize = 1 << 13;

/// How many bytes they may have.
const BYTES: usize = 8 << 20;

/// What it returns takes records; the guard writes those that wait when it is dropped.
pub(super) fn start(writer: impl Write + Send + 'static) -> (Records, WorkerGuard) {
    let waiting = Arc::<Waiting>::default();
    let writer = Counting { writer, waiting: waiting.clone(), told: 0 };
    // The end is a message, too. There is room for all: `Waiting` loses what is too much.
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(RECORDS + 1).thread_name("log");
    let (sink, guard) = builder.finish(writer);
    (Records { sink, waiting }, guard)
}

/// Takes records.
#[derive(Clone)]
pub(super) struct Records {
    sink: NonBlocking,
    waiting: Arc<Waiting>,
}

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    records: AtomicUsize,
    bytes: AtomicUsize,
    lost: AtomicUsize,
}

impl Waiting {
    /// Counts a record, unless too many wait.
    fn add(&self, bytes: usize) -> bool {
        let records = self.records.fetch_add(1, Ordering::Relaxed);
        let is_taken = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= BYTES && records < RECORDS;
        if !is_taken {
            self.remove(bytes);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    fn remove(&self, bytes: usize) {
        self.records.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Write for Records {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.waiting.add(record.len()) { self.sink.write(record) } else { Ok(record.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Tells how many records were lost, once there is room for that record.
struct Counting<W> {
    writer: W,
    waiting: Arc<Waiting>,
    told: usize,
}

impl<W: Write> Write for Counting<W> {
    /// Called with a whole record.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let written = self.writer.write_all(record);
        self.waiting.remove(record.len());
        written.map(|()| record.len())
    }

    /// Called when no more records wait.
    fn flush(&mut self) -> io::Result<()> {
        let lost = self.waiting.lost.load(Ordering::Relaxed);
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
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_page_says_how_many_wait() {
        let page = include_str!("../../../../docs/cli.md");
        let (thousands, rest) = (RECORDS / 1000, RECORDS % 1000);
        assert!(page.contains(&format!("{thousands},{rest:03} wait")));
        assert!(page.contains(&format!("or {} MiB of them", BYTES >> 20)));
    }

    /// A reader that has stopped reading.
    struct Stopped(mpsc::Receiver<()>);

    impl Write for Stopped {
        fn write(&mut self, record: &[u8]) -> io::Result<usize> {
            // Until the other end is dropped.
            let _ = self.0.recv();
            Ok(record.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_that_wait_have_a_bound() {
        let (go_on, stopped) = mpsc::channel();
        let (mut records, guard) = start(Stopped(stopped));
        let record = vec![b'x'; BYTES / 16];
        for _ in 0..100 {
            records.write_all(&record).unwrap();
        }
        assert_eq!(records.waiting.bytes.load(Ordering::Relaxed), BYTES);
        assert_eq!(records.waiting.lost.load(Ordering::Relaxed), 100 - 16);
        drop(go_on);
        drop(guard);
        assert_eq!(records.waiting.bytes.load(Ordering::Relaxed), 0);
        for _ in 0..2 * RECORDS {
            assert!(records.waiting.records.load(Ordering::Relaxed) <= RECORDS);
            let _ = records.write(b"x");
        }
        assert!(records.waiting.lost.load(Ordering::Relaxed) >= 100 - 16 + RECORDS);
    }
}
