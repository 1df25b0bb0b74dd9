use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::atom::in_pieces;

/// A sequence of bytes.
///
/// Up to [`Binary::INLINE`] bytes are stored inline. A longer binary owns its bytes or shares them: a large one with
/// the receive buffer, a small one with the other binaries of its term. A shared binary is cloned without a copy, but
/// keeps all of the shared memory alive; [`Binary::copy_from_slice`] makes an independent copy for long storage.
#[derive(Clone)]
pub struct Binary(Repr);

#[derive(Clone)]
enum Repr {
    Inline {
        len: u8,
        bytes: [u8; Binary::INLINE],
    },
    Owned(Box<[u8]>),
    /// A part of a copy of received bytes, which other binaries of the message share.
    Part {
        chunk: Arc<[u8]>,
        start: u16,
        len: u16,
    },
    Shared(Box<Bytes>),
}

impl Binary {
    /// The most bytes that need no allocation.
    pub const INLINE: usize = 22;

    /// The smallest decoded binary that shares the receive buffer. Smaller ones are copied, so that a few bytes do
    /// not keep a whole frame in memory.
    pub const SHARED: usize = 4096;

    /// The most bytes that small binaries of a term share.
    pub const CHUNK: usize = 1024;

    /// Makes a binary by copying the bytes.
    pub fn copy_from_slice(bytes: &[u8]) -> Self {
        if bytes.len() <= Self::INLINE {
            let mut inline = [0; Self::INLINE];
            inline[..bytes.len()].copy_from_slice(bytes);
            Self(Repr::Inline { len: bytes.len() as u8, bytes: inline })
        } else {
            Self(Repr::Owned(bytes.into()))
        }
    }

    /// Makes a binary of the first `len` bytes. Copying all of them takes fewer instructions than copying only those.
    #[inline(always)]
    pub(crate) fn inline(len: usize, bytes: &[u8; Self::INLINE]) -> Self {
        debug_assert!(len <= Self::INLINE);
        Self(Repr::Inline { len: len.min(Self::INLINE) as u8, bytes: in_pieces(bytes) })
    }

    /// Copies these few bytes into an empty binary.
    #[inline(always)]
    pub(crate) fn fill(&mut self, from: &[u8]) {
        if let Repr::Inline { len, bytes } = &mut self.0
            && let Some(to) = bytes.get_mut(..from.len())
        {
            *len = from.len() as u8;
            to.copy_from_slice(from);
        }
    }

    /// Makes a binary of a part of a chunk.
    #[inline(always)]
    pub(crate) fn part(chunk: Arc<[u8]>, start: u16, len: u16) -> Self {
        debug_assert!(usize::from(start) + usize::from(len) <= chunk.len());
        Self(Repr::Part { chunk, start, len })
    }

    /// Makes a binary that shares a buffer, or owns it.
    #[inline(always)]
    pub(crate) fn large(bytes: Bytes) -> Self {
        Self(Repr::Shared(Box::new(bytes)))
    }

    /// Makes a binary of more than [`INLINE`](Self::INLINE) bytes that has its own memory.
    #[inline(always)]
    pub(crate) fn owned(bytes: Box<[u8]>) -> Self {
        Self(Repr::Owned(bytes))
    }

    /// The chunk of which it is a part, if any.
    #[cfg(test)]
    pub(crate) fn chunk(&self) -> Option<&Arc<[u8]>> {
        match &self.0 {
            Repr::Part { chunk, .. } => Some(chunk),
            _ => None,
        }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Owned(bytes) => bytes,
            Repr::Part { chunk, start, len } => &chunk[usize::from(*start)..][..usize::from(*len)],
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The buffer that the binary shares, if any.
    pub fn as_shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Shared(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Converts the binary into shareable bytes; copies only small ones.
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline { .. } | Repr::Part { .. } => Bytes::copy_from_slice(self.as_slice()),
            Repr::Owned(bytes) => Bytes::from(bytes),
            Repr::Shared(bytes) => *bytes,
        }
    }

    /// The bytes as text, if they are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_slice()).ok()
    }
}

impl Default for Binary {
    fn default() -> Self {
        Self::copy_from_slice(&[])
    }
}

impl Deref for Binary {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Binary {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Binary {}

impl PartialOrd for Binary {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Binary {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for Binary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.as_slice().escape_ascii())
    }
}

impl From<Bytes> for Binary {
    fn from(bytes: Bytes) -> Self {
        if bytes.len() <= Self::INLINE { Self::copy_from_slice(&bytes) } else { Self(Repr::Shared(Box::new(bytes))) }
    }
}

impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.len() <= Self::INLINE {
            Self::copy_from_slice(&bytes)
        } else {
            Self(Repr::Owned(bytes.into_boxed_slice()))
        }
    }
}

impl From<String> for Binary {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Binary {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copy_from_slice(bytes)
    }
}

impl From<&str> for Binary {
    fn from(text: &str) -> Self {
        Self::copy_from_slice(text.as_bytes())
    }
}
