//! How long a peer may take for each step of the handshake.

use std::time::{Duration, Instant};

/// The set-up timer of one handshake; every step restarts it, like OTP's `net_setuptime`.
#[derive(Clone, Copy, Debug)]
pub struct SetupTimer {
    step: Duration,
    deadline: Instant,
}

impl SetupTimer {
    /// OTP's set-up time: 7 seconds per step.
    pub const DEFAULT_STEP: Duration = Duration::from_secs(7);

    /// Starts the time for the first step.
    pub fn start(now: Instant, step: Duration) -> Self {
        SetupTimer { step, deadline: now + step }
    }

    /// Starts the time for the next step.
    pub fn restart(&mut self, now: Instant) {
        self.deadline = now + self.step;
    }

    /// When to give up the handshake.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether to give up the handshake.
    pub fn expired(&self, now: Instant) -> bool {
        now >= self.deadline
    }
}
