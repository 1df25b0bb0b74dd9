/// A sequence of bits whose number is not a multiple of eight.
///
/// A bit string of whole bytes is a [`Binary`](crate::Binary), so each value has one representation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BitString {
    bytes: Box<[u8]>,
    last_bits: u8,
}

/// The parts do not make a bit string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a bit string has at least one byte, and uses 1 to 7 bits of its last one")]
pub struct BitStringError;

impl BitString {
    /// Makes a bit string of bytes; of the last byte only the `last_bits` most significant bits count. The unused
    /// bits are cleared.
    ///
    /// # Errors
    /// If there are no bytes, or `last_bits` is not 1 to 7.
    pub fn new(bytes: impl Into<Box<[u8]>>, last_bits: u8) -> Result<Self, BitStringError> {
        let mut bytes = bytes.into();
        match bytes.last_mut() {
            Some(last) if (1..=7).contains(&last_bits) => *last &= 0xff << (8 - last_bits),
            _ => return Err(BitStringError),
        }
        Ok(Self { bytes, last_bits })
    }

    /// The bytes; the unused bits of the last one are zero.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many bits of the last byte count: 1 to 7.
    pub fn last_bits(&self) -> u8 {
        self.last_bits
    }

    /// The number of bits.
    pub fn bit_len(&self) -> usize {
        (self.bytes.len() - 1) * 8 + usize::from(self.last_bits)
    }
}
