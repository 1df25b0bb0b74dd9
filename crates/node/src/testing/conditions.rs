use std::ops::RangeInclusive;
use std::time::Duration;

use parking_lot::Mutex;

use crate::kernel::random::Random;

/// What the links of a network are like.
#[derive(Debug)]
pub(super) struct Conditions {
    random: Random,
    delay: Mutex<RangeInclusive<Duration>>,
}

impl Conditions {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: Random::seeded(seed), delay: Mutex::new(Duration::ZERO..=Duration::ZERO) }
    }

    pub(super) fn set_delay(&self, delay: RangeInclusive<Duration>) {
        *self.delay.lock() = delay;
    }

    /// How long the next bytes are on their way.
    pub(super) fn delay(&self) -> Duration {
        let (least, most) = self.delay.lock().clone().into_inner();
        let range = most.saturating_sub(least).as_micros() as u64;
        // Seeded numbers do not fail.
        let random = self.random.u64().unwrap_or_default();
        least + Duration::from_micros(random % (range + 1))
    }
}
