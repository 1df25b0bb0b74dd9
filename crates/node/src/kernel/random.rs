use std::sync::atomic::{AtomicU64, Ordering};

/// Where random numbers come from.
#[derive(Debug)]
pub(crate) enum Random {
    /// The operating system. Nobody can foresee the numbers.
    System,
    /// A seed, from which all numbers follow: for tests.
    Seeded(AtomicU64),
}

impl Random {
    /// The step of SplitMix64: 2^64 divided by the golden ratio.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(AtomicU64::new(seed))
    }

    pub(crate) fn u64(&self) -> Result<u64, getrandom::Error> {
        match self {
            Self::System => getrandom::u64(),
            Self::Seeded(state) => {
                let state = state.fetch_add(Self::STEP, Ordering::Relaxed).wrapping_add(Self::STEP);
                let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                Ok(mixed ^ mixed >> 31)
            }
        }
    }

    pub(crate) fn u32(&self) -> Result<u32, getrandom::Error> {
        Ok((self.u64()? >> 32) as u32)
    }

    /// The creation of a node that no EPMD knows: any number that EPMD could have given.
    pub(crate) fn creation(&self) -> Result<u32, getrandom::Error> {
        Ok(self.u32()?.max(4))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_of_split_mix() {
        let random = Random::seeded(1_234_567);
        let numbers = [(); 3].map(|()| random.u64().unwrap());
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn the_operating_system_repeats_nothing() {
        assert_ne!(Random::System.u64(), Random::System.u64());
    }
}
