use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::DecodeError;

/// The source of received terms. It is notified of the first one that turns out to be malformed on decoding.
#[derive(Clone)]
pub struct Origin(Arc<Report>);

struct Report {
    told: AtomicBool,
    tell: Box<dyn Fn(DecodeError) + Send + Sync>,
}

impl Origin {
    /// `malformed` is called at most once, by the decoding thread, which may hold locks.
    pub fn new(malformed: impl Fn(DecodeError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Report { told: AtomicBool::new(false), tell: Box::new(malformed) }))
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
