use std::time::Duration;

/// Random numbers from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(fastrand::Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number from 0, below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end)
    }

    /// True in this many of a hundred cases.
    pub(crate) fn percent(&mut self, cases: usize) -> bool {
        self.below(100) < cases
    }

    /// Up to this many milliseconds.
    pub(crate) fn millis(&mut self, most: usize) -> Duration {
        Duration::from_millis(self.below(most + 1) as u64)
    }

    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A source of its own, for a task that takes an unknown number of numbers.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }
}
