//! The sending half of a connection.

use std::{mem, sync::Arc, time::Instant};

use bytes::Bytes;
use peerl_term::{RawTerm, Sink, encode};

use super::batch::{Batch, Freed};
use super::buffers::Buffers;
use super::lanes::{Lanes, Queued, Sender};
use crate::{
    budget::{Lease, Share},
    channel::{Fragments, MessageBuffer, MessageEncoder, Rename, Unsendable},
    control::{Content, Control, Offered},
    fault::Fault,
    flags::DistributionFlags,
    frame::TICK,
    tick::{TickAction, TickTimer, Traffic},
};

/// The sending half of a connection: messages and instants in, bytes out.
///
/// Messages are encoded into one buffer, which [`take`](Self::take) returns whole: all that was queued since the last
/// call is written with one system call. A large message is queued apart and sent in fragments between the small
/// ones. What its sender sends afterwards is queued behind it, since signals between two processes must arrive in
/// order.
#[derive(Debug)]
pub struct SendHalf {
    channel: MessageEncoder,
    ticks: TickTimer,
    limit: usize,
    /// Small messages.
    small: Buffers,
    lanes: Lanes,
    /// What is taken for the queue from the peer's share of a budget, if there is one.
    held: Option<Lease>,
    messages: usize,
    batches: u64,
    /// Accepts no further message; what is queued is still written.
    finishing: bool,
    closed: bool,
}

/// Why a message cannot be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// The limit of queued bytes is reached: the peer does not read.
    #[error("the peer does not read what is sent to it")]
    Full,
    /// The message is large, and the peer's share of the memory has no room for it. Others can still be queued.
    #[error("too much memory is taken for the peer, or for others, to send it so large a message")]
    NoMemory,
    /// The peer does not accept this message.
    #[error("the peer cannot take the message: {0}")]
    Unsendable(Unsendable),
}

impl QueueError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Closed | Self::Full | Self::NoMemory => Fault::ConnectionLost,
            Self::Unsendable(reason) => reason.fault(),
        }
    }
}

impl From<Unsendable> for QueueError {
    fn from(reason: Unsendable) -> Self {
        Self::Unsendable(reason)
    }
}

/// Why a message must wait before it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Busy {
    /// Too many bytes are queued; [`Freed::small`] tells when to retry.
    Small,
    /// Too many bytes are queued, large messages included; [`Freed::large`] tells when to retry.
    Large,
}

/// Who pays for the memory of a large payload that is not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The queue takes it from the peer's share.
    Queue,
    /// A lease is held with the payload already.
    Payload,
}

impl SendHalf {
    /// Senders wait while this many bytes are queued: the same bound as a BEAM's (`+zdbbl`). Small messages overtake
    /// large ones, so they wait for small ones only.
    pub const BUSY: usize = 1 << 20;

    /// So many bytes are queued without taking them from the peer's share.
    const UNACCOUNTED: usize = 64 << 10;

    /// The sending half of a connection with these negotiated flags. Senders that do not wait may queue up to `limit`
    /// bytes. `rename` is the name by which the peer knows this node, if it differs from the node's own.
    pub fn new(flags: DistributionFlags, rename: Option<Rename>, limit: usize, ticks: TickTimer) -> Self {
        SendHalf {
            channel: MessageEncoder::new(flags).with_rename(rename),
            ticks,
            limit,
            small: Buffers::default(),
            lanes: Lanes::default(),
            held: None,
            messages: 0,
            batches: 0,
            finishing: false,
            closed: false,
        }
    }

    /// Takes what is queued from the peer's share of a budget: of a large message, all of it, until its last part has been written.
    /// Without room there, the queue is full for small messages, and a large one is refused.
    pub fn with_memory(self, memory: Arc<Share>) -> Self {
        Self { held: Some(Lease::nothing(memory)), ..self }
    }

    /// Queues a message; `payload` appends its term, if it has one.
    ///
    /// # Errors
    /// If the connection has ended, too much is queued, or the peer does not accept the message.
    #[inline]
    pub fn send(
        &mut self,
        sender: Sender,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
    ) -> Result<(), QueueError> {
        self.check()?;
        if self.lanes.has(sender) || !self.channel.encode_small(control, &payload, self.small.end())? {
            self.send_apart(sender, control, &payload)?;
        }
        self.messages += 1;
        Ok(())
    }

    /// Queues a message whose payload is what `start` writes, then `payload`, then `end`. A large `payload` is not
    /// copied if the peer accepts fragments.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_parts(
        &mut self,
        sender: Sender,
        control: &Offered<impl Control>,
        start: impl Fn(&mut MessageBuffer<'_>),
        payload: &RawTerm,
        end: &'static [u8],
        payer: Payer,
    ) -> Result<(), QueueError> {
        debug_assert!(payload.atoms().is_empty());
        if let Some(terms) = self.channel.rename().and_then(|rename| rename.terms(payload.bytes())) {
            return self.send(sender, control, |out| {
                start(out);
                terms.iter().for_each(|term| encode::term(term, out));
                out.put(end);
            });
        }
        self.check()?;
        if payload.has_records() && !self.channel.supports(DistributionFlags::NATIVE_RECORDS) {
            return Err(Unsendable::NativeRecord.into());
        }
        let payload = payload.bytes();
        let is_large = payload.len() > Fragments::LARGE && control.content() == Content::Payload;
        if !is_large || !self.channel.supports(DistributionFlags::FRAGMENTS) {
            return self.send(sender, control, |out| {
                start(out);
                out.put(payload);
                out.put(end);
            });
        }
        let fragments = self.channel.fragment_parts(control, start, payload.clone(), Bytes::from_static(end))?;
        self.add_large(sender, fragments, payer)
    }

    /// Queues a tick, unless something else is queued.
    pub fn tick(&mut self) {
        if self.is_open() && self.is_empty() {
            self.small.end().extend_from_slice(&TICK);
        }
    }

    /// Whether a sender that can wait may queue a message of about this size now.
    ///
    /// # Errors
    /// [`QueueError::Closed`] if nothing can be sent any more.
    pub fn ready(&self, sender: Sender, size: usize) -> Result<Result<(), Busy>, QueueError> {
        if !self.is_open() {
            return Err(QueueError::Closed);
        }
        // Messages behind a large message wait for it, so their sender must wait too.
        let is_apart = size > Fragments::LARGE || self.lanes.has(sender);
        let (ahead, busy) = if is_apart { (self.bytes(), Busy::Large) } else { (self.small.bytes(), Busy::Small) };
        Ok(if ahead < Self::BUSY { Ok(()) } else { Err(busy) })
    }

    /// Takes the next batch, in exchange for an empty buffer. The batch is [empty](Batch::is_empty) if nothing is
    /// queued.
    pub fn take(&mut self, batch: &mut Batch) -> Freed {
        batch.fragments.clear();
        let (was_full, was_busy) = (self.small.bytes() >= Self::BUSY, self.bytes() >= Self::BUSY);
        if !self.small.is_first_full() {
            // First, because frames queued behind a large message move into the buffer.
            self.lanes.take(self.small.end(), &mut batch.fragments);
        }
        self.small.take(&mut batch.buffer);
        batch.messages = mem::take(&mut self.messages);
        self.batches += 1;
        let is_idle = batch.is_empty();
        batch.is_last = is_idle && self.finishing;
        if is_idle {
            // What they take is not accounted then.
            self.small.shrink(&mut batch.buffer, Self::UNACCOUNTED);
        }
        let memory = if is_idle { 0 } else { self.memory() };
        if let Some(held) = &mut self.held
            && held.amount() > memory
        {
            held.resize(memory);
        }
        Freed { small: was_full && self.small.bytes() < Self::BUSY, large: was_busy && self.bytes() < Self::BUSY }
    }

    /// Reports a read. Returns whether a [`tick`](Self::tick) is due, unless something else is written.
    pub fn has_read(&mut self, now: Instant, read: Traffic) -> bool {
        self.ticks.read(now, read);
        self.ticks.poll(now) == TickAction::SendTick
    }

    /// Reports a written batch. Returns when reads from now on are due for an answer.
    pub fn has_written(&mut self, now: Instant, written: Traffic) -> Instant {
        self.ticks.wrote(now, written);
        self.ticks.answer_deadline()
    }

    /// What to do now; queues a tick that is due.
    pub fn poll(&mut self, now: Instant) -> TickAction {
        let action = self.ticks.poll(now);
        if action == TickAction::SendTick {
            self.tick();
        }
        action
    }

    /// The timer, for its deadlines: the next tick, and the death of a silent peer.
    pub fn ticks(&self) -> &TickTimer {
        &self.ticks
    }

    /// Whether the queue is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.small.is_empty() && self.lanes.is_empty()
    }

    /// How many messages were queued since the last batch.
    #[inline]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// How many batches were taken. While this grows, the peer reads.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// Ends the connection. Returns whether it was still open.
    pub fn close(&mut self) -> bool {
        let first = !mem::replace(&mut self.closed, true);
        self.small = Buffers::default();
        self.lanes = Lanes::default();
        self.held = None;
        first
    }

    /// Accepts no further message; what is queued is still written.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// Whether this end is closed, or closes after the queued messages.
    pub fn is_finishing(&self) -> bool {
        self.finishing
    }

    fn is_open(&self) -> bool {
        !self.closed && !self.finishing
    }

    /// Whether a message may be queued.
    #[inline]
    fn check(&mut self) -> Result<(), QueueError> {
        if !self.is_open() {
            return Err(QueueError::Closed);
        }
        if self.bytes() > Self::UNACCOUNTED && !self.has_room() {
            return Err(QueueError::Full);
        }
        Ok(())
    }

    /// Whether what is queued is within the limit, which a single message may exceed, and there is memory for it.
    #[cold]
    fn has_room(&mut self) -> bool {
        self.small.begin_next_if_full();
        let lanes = self.lanes.bytes() - self.lanes.largest();
        self.small.bytes() + lanes <= self.limit && self.hold(self.memory())
    }

    /// What the queue takes, beside large messages in fragments, with which leases are held.
    fn memory(&self) -> usize {
        self.small.memory() + self.lanes.frame_bytes()
    }

    fn hold(&mut self, memory: usize) -> bool {
        self.held.as_mut().is_none_or(|held| held.amount() >= memory || held.resize(memory))
    }

    /// Queues a message that is large, or follows a large one.
    #[cold]
    fn send_apart(
        &mut self,
        sender: Sender,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
    ) -> Result<(), QueueError> {
        let mut frame = Vec::new();
        if let Some(fragments) = self.channel.encode_apart(control, payload, &mut frame)? {
            return self.add_large(sender, fragments, Payer::Queue);
        }
        if frame.len() > Fragments::LARGE {
            frame.shrink_to_fit();
            if !self.hold(self.memory() + frame.len()) {
                return Err(QueueError::NoMemory);
            }
        }
        if self.lanes.has(sender) {
            self.lanes.add(sender, Queued::Frame(frame));
        } else {
            self.small.push(frame);
        }
        Ok(())
    }

    fn add_large(&mut self, sender: Sender, fragments: Fragments, payer: Payer) -> Result<(), QueueError> {
        let fragments = match (&self.held, payer) {
            (Some(held), Payer::Queue) => {
                let lease = held.share().lease(fragments.remaining_bytes()).ok_or(QueueError::NoMemory)?;
                fragments.with_lease(lease)
            }
            _ => fragments,
        };
        self.lanes.add(sender, Queued::Large(fragments));
        Ok(())
    }

    /// The bytes that are queued.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.small.bytes() + self.lanes.bytes()
    }
}

#[cfg(test)]
mod tests;
