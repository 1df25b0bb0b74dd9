/// Limits of a decoder.
///
/// Decoding takes at most 32 bytes of memory for each element, however short its encoding, and as many for each compound
/// term; other terms, such as pids, take at most 12 times the length of their encoding. So `elements` bounds the memory,
/// and `bytes` mostly the input. A list whose tail is not `[]` is moved to a larger block, and takes up to three times as
/// much for that moment. [`Measure`](crate::Measure) counts what one term takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest input.
    pub bytes: usize,
    /// The most elements of all tuples, lists and maps together, and of these.
    pub elements: usize,
    /// The largest decompressed size.
    pub decompressed: usize,
}

impl Limits {
    /// No limit: for terms that this program has encoded.
    pub const NONE: Self = Self { bytes: usize::MAX, elements: usize::MAX, decompressed: usize::MAX };
}

impl Default for Limits {
    /// 1 GiB of input, 16 Mi elements and compound terms (512 MiB of memory), 256 MiB decompressed.
    fn default() -> Self {
        Self { bytes: 1 << 30, elements: 1 << 24, decompressed: 256 << 20 }
    }
}
