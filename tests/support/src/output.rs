//! The output of a process, collected by a thread while it runs.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The output of one stream of one process. Clones share the same output.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Shared>);

#[derive(Default)]
struct Shared {
    collected: Mutex<Collected>,
    grown: Condvar,
}

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    streams: usize,
}

impl Output {
    /// Starts to collect a stream (of several, if called again) until its end.
    pub(crate) fn collect(&self, mut stream: impl Read + Send + 'static) {
        self.lock().streams += 1;
        let output = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let count = match stream.read(&mut buffer) {
                    Ok(count) => count,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(_) => 0,
                };
                let mut collected = output.lock();
                collected.bytes.extend_from_slice(&buffer[..count]);
                if count == 0 {
                    collected.streams -= 1;
                }
                drop(collected);
                output.0.grown.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
    }

    /// The output so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Waits for the first whole line that the test accepts; `None` when the stream has ended or the time is over.
    pub(crate) fn wait_for_line(&self, accept: impl Fn(&str) -> bool, limit: Duration) -> Option<String> {
        let end = Instant::now() + limit;
        let mut seen = 0;
        let mut collected = self.lock();
        loop {
            while let Some(length) = collected.bytes[seen..].iter().position(|&byte| byte == b'\n') {
                let line = String::from_utf8_lossy(&collected.bytes[seen..seen + length]);
                if accept(&line) {
                    return Some(line.into_owned());
                }
                seen += length + 1;
            }
            let left = end.checked_duration_since(Instant::now())?;
            if collected.streams == 0 {
                return None;
            }
            collected = self.0.grown.wait_timeout(collected, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until all streams have ended, or the time is over.
    pub(crate) fn wait_for_end(&self, limit: Duration) {
        let collected = self.lock();
        let _ = self.0.grown.wait_timeout_while(collected, limit, |collected| collected.streams > 0);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Collected> {
        self.0.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
