use std::fmt;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DecodeError;

/// The source of received terms. It is notified of the first one that turns out to be malformed on decoding, and may say how
/// terms are decoded that take long.
#[derive(Clone)]
pub struct Origin(Arc<Report>);

struct Report {
    told: AtomicBool,
    tell: Box<dyn Fn(DecodeError) + Send + Sync>,
    long_work: fn(&mut dyn FnMut()),
}

impl Origin {
    /// `malformed` is called at most once, by the decoding thread, which may hold locks.
    pub fn new(malformed: impl Fn(DecodeError) + Send + Sync + 'static) -> Self {
        Self::with_long_work(malformed, |work| work())
    }

    /// As [`new`](Self::new); `long_work` does what takes long with a term of this source, where it keeps nobody waiting. It
    /// calls what it is given, once.
    pub fn with_long_work(
        malformed: impl Fn(DecodeError) + Send + Sync + 'static,
        long_work: fn(&mut dyn FnMut()),
    ) -> Self {
        Self(Arc::new(Report { told: AtomicBool::new(false), tell: Box::new(malformed), long_work }))
    }

    #[cold]
    pub(crate) fn work_long<T>(&self, work: impl FnOnce() -> T) -> T {
        enum Step<W, T> {
            ToDo(W),
            Begun,
            Done(T),
        }
        let mut step = Step::ToDo(work);
        (self.0.long_work)(&mut || {
            if let Step::ToDo(work) = mem::replace(&mut step, Step::Begun) {
                step = Step::Done(work());
            }
        });
        match step {
            Step::Done(done) => done,
            Step::ToDo(work) => work(),
            Step::Begun => unreachable!("what was begun has ended, or its panic has"),
        }
    }

    #[cold]
    pub(crate) fn report(&self, error: DecodeError) {
        if !self.0.told.swap(true, Ordering::Relaxed) {
            (self.0.tell)(error);
        }
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}
