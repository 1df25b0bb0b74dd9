//! Large messages are accounted for before they are handed out: their bytes, and what decoding them takes.

use std::mem;

use bytes::Bytes;
use peerl_term::{Measure, RawTerm};

use crate::{
    budget::Lease,
    channel::{Loss, Message},
};

/// Large messages are those whose payload has more bytes.
///
/// The memory of smaller ones is that of the read buffer, which they share, and of the mailbox or the call that keeps them.
pub(super) const LARGE: usize = 64 << 10;

/// A message whose payload is being measured.
#[derive(Debug)]
pub(super) struct Measuring {
    /// The message without its payload.
    message: Message,
    payload: RawTerm,
    measure: Measure,
    /// What has been taken for the message so far.
    lease: Lease,
}

/// What has become of a message after a step.
pub(super) enum Measured {
    /// It goes on.
    More(Box<Measuring>),
    /// The message is complete. If there was no room for it, it has lost its payload.
    Done(Message),
}

/// The bytes of a payload, for which a lease is held as long as they are there.
struct Leased {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Bytes that hold a lease as long as anything shares them.
pub(super) fn leased(bytes: Bytes, lease: Lease) -> Bytes {
    Bytes::from_owner(Leased { bytes, _lease: lease })
}

impl Measuring {
    /// How many elements are counted in a step: it takes less than a millisecond.
    const STEP: usize = 1 << 16;

    /// Begins to measure a message with a payload, of which a part may have been accounted for already.
    pub(super) fn begin(message: &mut Message, payload: RawTerm, lease: Lease) -> Box<Self> {
        let message = mem::replace(message, Message::vacant());
        Box::new(Self { message, payload, measure: Measure::new(), lease })
    }

    /// Goes on for a step.
    pub(super) fn advance(mut self: Box<Self>) -> Measured {
        let bytes = self.payload.bytes();
        let is_whole = self.measure.advance(bytes, Self::STEP);
        let needed = bytes.len() + self.measure.memory();
        if !self.lease.grow(needed.saturating_sub(self.lease.amount())) {
            let lost = Some((Loss::NoRoom, bytes.len()));
            return Measured::Done(Message { lost, ..self.message });
        }
        if !is_whole {
            return Measured::More(self);
        }
        let Self { message, payload, lease, .. } = *self;
        let bytes = leased(payload.bytes().clone(), lease);
        Measured::Done(Message { payload: Some(payload.with_bytes(bytes)), ..message })
    }
}
