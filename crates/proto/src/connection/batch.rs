//! What is written with one system call.

use crate::{channel::Fragment, frame::TICK, tick::Traffic};

/// The bytes to write next.
#[derive(Debug, Default)]
pub struct Batch {
    /// Complete frames.
    pub buffer: Vec<u8>,
    /// Fragments of large messages, to be written after the buffer.
    pub fragments: Vec<Fragment>,
    /// How many messages were queued since the last batch.
    pub messages: usize,
    /// No further batch follows.
    pub is_last: bool,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.fragments.is_empty()
    }

    /// The bytes, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let fragments = self.fragments.iter().flat_map(|fragment| [&fragment.head[..], &fragment.data[..]]);
        std::iter::once(&self.buffer[..]).chain(fragments)
    }

    /// Whether the bytes are only a tick.
    pub fn traffic(&self) -> Traffic {
        if self.fragments.is_empty() && self.buffer == TICK { Traffic::Tick } else { Traffic::Message }
    }
}

/// Which senders may retry after a [`SendHalf::take`](super::SendHalf::take).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Those that were [`Busy::Small`](super::Busy::Small).
    pub small: bool,
    /// Those that were [`Busy::Large`](super::Busy::Large).
    pub large: bool,
}
