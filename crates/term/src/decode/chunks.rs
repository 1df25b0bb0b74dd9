use std::sync::Arc;

use super::sharing::{Place, Sharing};

/// Shared copies of parts of the input, for small binaries that are close together.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    sharing: Sharing,
    last: Option<Arc<[u8]>>,
}

impl Chunks {
    pub(super) const NONE: Self = Self { sharing: Sharing::NONE, last: None };

    /// The chunk for the first `len` bytes of `rest`, which is the input from `start` on, and the offset of the bytes
    /// in it. `None` if they get their own copy.
    #[inline]
    pub(super) fn part(&mut self, rest: &[u8], start: usize, len: usize) -> Option<(Arc<[u8]>, u16)> {
        match self.sharing.place(rest.len(), start, len) {
            Place::Own => None,
            Place::NewChunk(chunk) => Some((self.last.insert(rest[..chunk].into()).clone(), 0)),
            Place::LastChunk(from) => Some((self.last.clone()?, from as u16)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::Binary;

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
