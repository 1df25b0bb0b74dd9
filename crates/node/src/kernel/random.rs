use parking_lot::Mutex;

/// Where random numbers come from.
#[derive(Debug)]
pub(crate) enum Random {
    /// The operating system. Nobody can foresee the numbers.
    System,
    /// A seed, from which all numbers follow: for tests.
    Seeded(Mutex<fastrand::Rng>),
}

impl Random {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    pub(crate) fn u64(&self) -> Result<u64, getrandom::Error> {
        match self {
            Self::System => getrandom::u64(),
            Self::Seeded(random) => Ok(random.lock().u64(..)),
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
    fn a_seed_repeats_its_numbers_and_the_operating_system_repeats_nothing() {
        let numbers = |random: Random| [(); 3].map(|()| random.u64().unwrap());
        assert_eq!(numbers(Random::seeded(7)), numbers(Random::seeded(7)));
        assert_ne!(numbers(Random::seeded(7)), numbers(Random::seeded(8)));
        assert_ne!(numbers(Random::System), numbers(Random::System));
    }
}
