//! The pauses between attempts.

use std::time::Duration;

/// Pauses that double with each failure up to a limit. Each is randomised between half and all of that, so that nodes
/// that lose a peer at the same moment do not return at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From half a second to half a minute.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Makes a back-off with these bounds.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first) }
    }

    /// The pause after this number of consecutive failures; zero after none.
    pub fn delay(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 2_u32.saturating_pow(doublings);
        jitter(self.first.saturating_mul(factor).min(self.longest))
    }
}

/// A random time between half and all of `time`.
pub(crate) fn jitter(time: Duration) -> Duration {
    time.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_limit_and_is_never_the_same_for_all() {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(20));
        assert_eq!(backoff.delay(0), Duration::ZERO);
        for (failures, whole) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 20), (1000, 20)] {
            let whole = Duration::from_secs(whole);
            let delays: Vec<_> = (0..64).map(|_| backoff.delay(failures)).collect();
            assert!(delays.iter().all(|delay| (whole / 2..=whole).contains(delay)));
            assert!(delays.iter().any(|delay| *delay != delays[0]));
        }
    }
}
