use std::sync::Arc;

use crate::Binary;

/// Shared copies of parts of the input, for small binaries that are close together. One copy is faster than an
/// allocation for each.
///
/// If binaries are few, or far apart, each gets its own copy: a chunk would keep unused bytes in memory.
#[derive(Debug, Clone)]
pub(super) enum Chunks {
    /// This many more binaries get their own copies before the first chunk is made.
    Few(u8),
    /// The last chunk, its start in the input, and how many of its bytes are used.
    Many { chunk: Arc<[u8]>, at: usize, used: usize },
    /// The last chunk had too few used bytes.
    Scattered,
}

impl Chunks {
    pub(super) const NONE: Self = Self::Few(8);

    /// Larger binaries get their own copies.
    const LARGEST: usize = Binary::CHUNK / 4;

    /// The fewest used bytes that justify a chunk.
    const WORTH: usize = Binary::CHUNK / 4;

    /// The chunk for the first `len` bytes of `rest`, which is the input from `start` on, and the offset of the bytes
    /// in it. `None` if they get their own copy.
    #[inline]
    pub(super) fn part(&mut self, rest: &[u8], start: usize, len: usize) -> Option<(Arc<[u8]>, u16)> {
        if let Self::Many { chunk, at, used } = self {
            let from = start.wrapping_sub(*at);
            if from.checked_add(len).is_some_and(|end| end <= chunk.len()) {
                *used += len;
                return Some((chunk.clone(), from as u16));
            }
        }
        if len > Self::LARGEST || !self.is_worth_another() {
            return None;
        }
        let chunk: Arc<[u8]> = rest[..rest.len().min(Binary::CHUNK)].into();
        *self = Self::Many { chunk: chunk.clone(), at: start, used: len };
        Some((chunk, 0))
    }

    fn is_worth_another(&mut self) -> bool {
        match self {
            Self::Few(0) => true,
            Self::Few(left) => {
                *left -= 1;
                false
            }
            Self::Many { used, .. } if *used >= Self::WORTH => true,
            Self::Many { .. } => {
                *self = Self::Scattered;
                false
            }
            Self::Scattered => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// The memory that binaries of this length keep alive at this distance.
    fn kept(count: usize, len: usize, between: usize) -> usize {
        let input: Vec<u8> = (0..count * (len + between)).map(|i| i as u8).collect();
        let mut chunks = Chunks::NONE;
        let binaries: Vec<Binary> = (0..count)
            .map(|i| {
                let start = i * (len + between);
                let bytes = &input[start..start + len];
                let part = chunks.part(&input[start..], start, len);
                let binary = part.map_or_else(|| bytes.into(), |(chunk, from)| Binary::part(chunk, from, len as u16));
                assert_eq!(binary.as_slice(), bytes);
                binary
            })
            .collect();
        let chunks: HashMap<_, _> = binaries.iter().filter_map(Binary::chunk).map(|c| (c.as_ptr(), c.len())).collect();
        let own = binaries.iter().filter(|binary| binary.chunk().is_none()).map(|binary| binary.len());
        own.chain(chunks.into_values()).sum()
    }

    #[test]
    fn many_small_binaries_share_what_lies_between_them_too() {
        assert_eq!(kept(8, 30, 5), 8 * 30, "there are few");
        let kept = kept(1000, 30, 5);
        assert!((1000 * 30..1100 * 35).contains(&kept), "{kept}");
    }

    #[test]
    fn scattered_ones_and_large_ones_have_their_own_memory() {
        assert_eq!(kept(1000, 30, 500), 1000 * 30 + Binary::CHUNK - 2 * 30, "one chunk was not worth it");
        assert_eq!(kept(1000, 300, 5), 1000 * 300);
    }
}
