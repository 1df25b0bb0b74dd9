use crate::Binary;

/// Which small binaries of the input share a copy of a part of it. One copy is faster than an allocation for each.
///
/// If binaries are few, or far apart, each gets its own copy: a chunk would keep unused bytes in memory.
#[derive(Debug, Clone)]
pub(super) enum Sharing {
    /// This many more binaries get their own copies before the first chunk is made.
    Few(u8),
    /// The start and the length of the last chunk in the input, and how many of its bytes are used.
    Many { at: usize, len: usize, used: usize },
    /// The last chunk had too few used bytes.
    Scattered,
}

/// Where a binary is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a copy of its own.
    Own,
    /// At the beginning of a new chunk of this length.
    NewChunk(usize),
    /// In the last chunk, at this offset.
    LastChunk(usize),
}

impl Sharing {
    pub(super) const NONE: Self = Self::Few(8);

    /// Larger binaries get their own copies.
    const LARGEST: usize = Binary::CHUNK / 4;

    /// The fewest used bytes that justify a chunk.
    const WORTH: usize = Binary::CHUNK / 4;

    /// The place of the binary of `len` bytes that starts at `start`; `rest` bytes of the input follow there.
    #[inline]
    pub(super) fn place(&mut self, rest: usize, start: usize, len: usize) -> Place {
        if let Self::Many { at, len: chunk, used } = self {
            let from = start.wrapping_sub(*at);
            if from.checked_add(len).is_some_and(|end| end <= *chunk) {
                *used += len;
                return Place::LastChunk(from);
            }
        }
        if len > Self::LARGEST || !self.is_worth_another() {
            return Place::Own;
        }
        let chunk = rest.min(Binary::CHUNK);
        *self = Self::Many { at: start, len: chunk, used: len };
        Place::NewChunk(chunk)
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
