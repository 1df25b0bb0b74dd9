//! How long a peer may take for each step of the handshake.

use std::time::{Duration, Instant};

/// The set-up timer of one handshake: restarted by every step, as OTP's `net_setuptime` is.
#[derive(Clone, Copy, Debug)]
pub struct SetupTimer {
    step: Duration,
    deadline: Instant,
}

impl SetupTimer {
    /// OTP's set-up time: 7 seconds a step.
    pub const DEFAULT_STEP: Duration = Duration::from_secs(7);

    /// Starts the time for the first step.
    pub fn start(now: Instant, step: Duration) -> Self {
        SetupTimer { step, deadline: now + step }
    }

    /// Starts the time for the next step.
    pub fn restart(&mut self, now: Instant) {
        self.deadline = now + self.step;
    }

    /// When the handshake is to be given up.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the handshake is to be given up.
    pub fn expired(&self, now: Instant) -> bool {
        now >= self.deadline
    }
}
