/// What a decoder accepts before it gives up.
///
/// A term takes 32 bytes of memory for each element, however short its encoding: `elements` bounds that
/// memory, where `bytes` bounds only the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of input.
    pub bytes: usize,
    /// The most elements, of all tuples, lists and maps together.
    pub elements: usize,
    /// The most bytes that a compressed term may have when decompressed.
    pub decompressed: usize,
}

impl Limits {
    /// No limit: for terms of this program's own making.
    pub const NONE: Self = Self { bytes: usize::MAX, elements: usize::MAX, decompressed: usize::MAX };
}

impl Default for Limits {
    /// 1 GiB of input, 16 Mi elements (512 MiB of memory), 256 MiB decompressed.
    fn default() -> Self {
        Self { bytes: 1 << 30, elements: 1 << 24, decompressed: 256 << 20 }
    }
}
