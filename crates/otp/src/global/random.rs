use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use peerl_term::Pid;

/// A seed that no other process has. It follows from the pid, so that simulations with a seed run alike each time.
pub(super) fn seed_of(pid: &Pid) -> u64 {
    let mut hasher = DefaultHasher::new();
    pid.hash(&mut hasher);
    hasher.finish()
}

/// Random numbers from a seed. They keep nodes from trying again in step.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    /// Makes a source whose numbers follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below the limit; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { self.0.usize(..limit) }
    }

    /// A time of up to the limit.
    pub fn up_to(&mut self, limit: Duration) -> Duration {
        limit.mul_f64(self.0.f64())
    }
}
