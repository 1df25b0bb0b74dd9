/// Limits of a decoder.
///
/// Each element takes 32 bytes of memory, however short its encoding: `elements` bounds the memory, `bytes` only the
/// input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest input.
    pub bytes: usize,
    /// The most elements of all tuples, lists and maps together.
    pub elements: usize,
    /// The largest decompressed size.
    pub decompressed: usize,
}

impl Limits {
    /// No limit: for terms that this program has encoded.
    pub const NONE: Self = Self { bytes: usize::MAX, elements: usize::MAX, decompressed: usize::MAX };
}

impl Default for Limits {
    /// 1 GiB of input, 16 Mi elements (512 MiB of memory), 256 MiB decompressed.
    fn default() -> Self {
        Self { bytes: 1 << 30, elements: 1 << 24, decompressed: 256 << 20 }
    }
}
