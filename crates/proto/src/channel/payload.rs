//! The memory of a message that arrives in fragments.

use bytes::Bytes;
use memmap2::MmapMut;

/// The part of a payload that has arrived.
///
/// A large one is mapped from the operating system, and unmapped when the message is dropped. On the heap of the C
/// library, many large messages at once would leave gigabytes of unused memory.
#[derive(Debug)]
pub(super) enum Payload {
    Heap(Vec<u8>),
    Pages { pages: MmapMut, filled: usize },
}

impl Payload {
    /// A payload of this size or more is mapped. The operating system allows a process about 65,000 mappings.
    const LARGE: usize = 1 << 20;

    pub(super) fn new(data: &[u8]) -> Self {
        Self::Heap(data.to_vec())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Heap(bytes) => bytes.len(),
            Self::Pages { filled, .. } => *filled,
        }
    }

    /// How many bytes of memory it takes, with the room for what is to come.
    pub(super) fn kept(&self) -> usize {
        match self {
            Self::Heap(bytes) => on_heap(bytes.capacity()),
            Self::Pages { filled, .. } => *filled,
        }
    }

    /// How many it takes at most with so many bytes more, and no room for others.
    pub(super) fn kept_with(&self, data: usize) -> usize {
        match self {
            Self::Heap(bytes) => on_heap(bytes.len() + data),
            Self::Pages { filled, .. } => filled + data,
        }
    }

    /// How much [`append`](Self::append) allocates of the heap for what follows a fragment of this size.
    pub(super) fn spare(&self, data: usize, more: usize) -> usize {
        match self {
            Self::Heap(bytes) if bytes.capacity() - bytes.len() < data => {
                let arrived = bytes.len() + data;
                let is_mapped = bytes.len() <= Self::LARGE && arrived > Self::LARGE;
                if is_mapped { 0 } else { data.saturating_add(more).min(3 * arrived).saturating_sub(data) }
            }
            Self::Heap(_) | Self::Pages { .. } => 0,
        }
    }

    /// Appends a fragment; about `more` bytes follow.
    ///
    /// The heap grows to at most three times what has arrived, so that an announcement alone allocates nothing. A
    /// mapping covers all that is expected: untouched pages take no memory.
    pub(super) fn append(&mut self, data: &[u8], more: usize) {
        if let Self::Heap(bytes) = self
            && bytes.len() + data.len() > Self::LARGE
            && let Some(pages) = map(bytes, data.len().saturating_add(more))
        {
            *self = pages;
        }
        let spare = self.spare(data.len(), more);
        match self {
            Self::Heap(bytes) => {
                bytes.reserve_exact(data.len() + spare);
                bytes.extend_from_slice(data);
            }
            Self::Pages { pages, filled } => {
                let end = *filled + data.len();
                if let Some(room) = pages.get_mut(*filled..end) {
                    room.copy_from_slice(data);
                    *filled = end;
                    return;
                }
                // Later fragments are larger than earlier ones.
                let arrived = &pages[..*filled];
                match map(arrived, end.saturating_add(more)) {
                    Some(larger) => *self = larger,
                    None => *self = Self::Heap(arrived.to_vec()),
                }
                self.append(data, more);
            }
        }
    }

    pub(super) fn into_bytes(self) -> Bytes {
        match self {
            Self::Heap(bytes) => bytes.into(),
            Self::Pages { pages, filled } => Bytes::from_owner(pages).slice(..filled),
        }
    }
}

/// What so many bytes take of the heap: blocks of many sizes leave gaps.
pub(super) fn on_heap(bytes: usize) -> usize {
    bytes + bytes / 2
}

/// A mapping with these bytes and room for more; `None` if the system allows no further one.
fn map(bytes: &[u8], more: usize) -> Option<Payload> {
    let mut pages = MmapMut::map_anon(bytes.len().checked_add(more)?).ok()?;
    pages[..bytes.len()].copy_from_slice(bytes);
    Some(Payload::Pages { pages, filled: bytes.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(sizes: &[usize], more: usize) -> (Payload, Vec<u8>) {
        let (mut payload, mut expected) = (Payload::new(b"start"), b"start".to_vec());
        for (index, size) in sizes.iter().enumerate() {
            let data = vec![index as u8; *size];
            payload.append(&data, more);
            expected.extend_from_slice(&data);
            assert_eq!(payload.len(), expected.len());
        }
        (payload, expected)
    }

    #[test]
    fn bytes_are_those_that_came() {
        for more in [0, 1000, 10 << 20] {
            let (payload, expected) = filled(&[1000, 600_000, 600_000, 1, 3_000_000, 70_000], more);
            assert!(matches!(payload, Payload::Pages { .. }));
            assert!(payload.into_bytes() == expected);
        }
        let (payload, expected) = filled(&[1000, 70_000], 1 << 30);
        assert!(matches!(payload, Payload::Heap(_)));
        assert!(payload.into_bytes() == expected);
    }

    #[test]
    fn heap_is_bounded_by_what_has_arrived() {
        let (payload, _) = filled(&[1000], usize::MAX);
        let Payload::Heap(bytes) = payload else { panic!() };
        assert!(bytes.capacity() <= 4 * 1005);
    }
}
