use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// How many restarts a supervisor makes within which time. One more ends it, and all its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// The number of restarts.
    pub restarts: u32,
    /// The time.
    pub period: Duration,
}

impl Default for Intensity {
    /// One restart in 5 seconds, as in OTP.
    fn default() -> Self {
        Self { restarts: 1, period: Duration::from_secs(5) }
    }
}

/// The restarts that a supervisor has made lately.
#[derive(Debug)]
pub(crate) struct Restarts {
    intensity: Intensity,
    made: VecDeque<Instant>,
}

impl Restarts {
    pub(crate) fn new(intensity: Intensity) -> Self {
        Self { intensity, made: VecDeque::new() }
    }

    pub(crate) fn intensity(&self) -> Intensity {
        self.intensity
    }

    /// Notes a restart; says whether it may be made.
    pub(crate) fn note(&mut self, now: Instant) -> bool {
        while self.made.front().is_some_and(|made| *made + self.intensity.period < now) {
            self.made.pop_front();
        }
        if self.made.len() >= self.intensity.restarts as usize {
            return false;
        }
        self.made.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_within_the_period_count() {
        let second = Duration::from_secs(1);
        let mut restarts = Restarts::new(Intensity { restarts: 2, period: 5 * second });
        let start = Instant::now();
        assert!(restarts.note(start) && restarts.note(start + 4 * second));
        assert!(!restarts.note(start + 5 * second));
        // The first one is forgotten.
        assert!(restarts.note(start + 6 * second));
        assert!(!restarts.note(start + 9 * second));
        assert!(!Restarts::new(Intensity { restarts: 0, period: second }).note(start));
    }
}
