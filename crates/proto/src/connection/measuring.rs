//! Large messages are accounted for before they are handed out: their bytes, and what decoding them takes.

use std::mem;

use peerl_term::{Measure, RawTerm};

use crate::{
    budget::Lease,
    channel::{Loss, Message},
};

/// The payload of a large message has more bytes: it is taken from the peer's share, as long as anything has it.
///
/// What a smaller one takes is up to what keeps it: a read buffer, which many share, a mailbox or a call.
pub const LARGE: usize = 64 << 10;

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

impl Measuring {
    /// How many elements are counted in a step: it takes less than 50 µs. A thousand connections may have their turns before another
    /// one.
    const STEP: usize = 1 << 12;

    /// Begins to measure a message with a payload, of which a part may have been accounted for already.
    pub(super) fn begin(message: &mut Message, payload: RawTerm, lease: Lease) -> Box<Self> {
        let message = mem::replace(message, Message::vacant());
        Box::new(Self { message, payload, measure: Measure::new(), lease })
    }

    /// Goes on for a step. When the message is complete, it is written into `to`: without its payload, if there is no room for
    /// that. Gives back what goes on.
    pub(super) fn advance(mut self: Box<Self>, to: &mut Message) -> Option<Box<Self>> {
        let bytes = self.payload.bytes();
        let is_whole = self.measure.advance(bytes, Self::STEP);
        let needed = bytes.len() + self.measure.memory();
        if !self.lease.grow(needed.saturating_sub(self.lease.amount())) {
            *to = Message { lost: Some((Loss::NoRoom, bytes.len())), ..self.message };
            return None;
        }
        if !is_whole {
            return Some(self);
        }
        let Self { message, payload, lease, .. } = *self;
        let bytes = lease.hold_for(payload.bytes().clone());
        *to = Message { payload: Some(payload.with_bytes(bytes)), ..message };
        None
    }
}
