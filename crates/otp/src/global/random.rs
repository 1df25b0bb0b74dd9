use std::time::Duration;

/// Numbers that spread well enough to keep nodes from trying again in step. (SplitMix64.)
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Makes a source whose numbers follow from the seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the limit; 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next_u64() % limit as u64) as usize }
    }

    /// A time of up to the limit.
    pub fn up_to(&mut self, limit: Duration) -> Duration {
        let millis = usize::try_from(limit.as_millis()).unwrap_or(usize::MAX);
        Duration::from_millis(self.below(millis) as u64 + 1).min(limit)
    }
}
