use std::time::Instant;

/// Now, by the clock of the runtime, which a test may pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
