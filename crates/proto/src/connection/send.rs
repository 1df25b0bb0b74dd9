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
mod tests {
    use std::time::Duration;

    use peerl_term::{Atom, Encoded, Pid, Term};

    use super::*;
    use crate::{
        budget::Budget,
        control::{Exit, Form, Forms, RegSend},
    };

    const FLAGS: DistributionFlags = DistributionFlags::FULL_MEMBER;

    fn half() -> SendHalf {
        half_at(Instant::now(), FLAGS)
    }

    fn half_at(now: Instant, flags: DistributionFlags) -> SendHalf {
        let ticks = TickTimer::new(now, TickTimer::DEFAULT_TICK_TIME, TickTimer::DEFAULT_INTENSITY);
        SendHalf::new(flags, None, 1 << 20, ticks)
    }

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 4 }
    }

    fn message(from: u32) -> Offered<RegSend> {
        Forms::new(FLAGS).reg_send(pid(from), Atom::from_static("x"))
    }

    fn send(half: &mut SendHalf, id: u32, byte: u8, size: usize) {
        half.send((&pid(id)).into(), &message(id), |out| out.put(&vec![byte; size])).unwrap();
    }

    /// The batches that are written: the small messages and the bytes of the fragments.
    fn batches(half: &mut SendHalf) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut batches = Vec::new();
        let mut batch = Batch::default();
        loop {
            half.take(&mut batch);
            if batch.is_empty() {
                return batches;
            }
            let small = (1..=9).filter(|byte| batch.buffer.windows(20).any(|bytes| bytes == [*byte; 20])).collect();
            batches.push((small, batch.fragments.iter().map(|fragment| fragment.data[0]).collect()));
        }
    }

    #[test]
    fn small_messages_overtake_large_ones_of_others() {
        let mut half = half();
        send(&mut half, 1, 1, 400 << 10);
        send(&mut half, 2, 2, 20);
        assert_eq!(half.messages(), 2);
        assert_eq!(batches(&mut half), [(vec![2], vec![1, 1])]);
    }

    #[test]
    fn the_messages_of_a_sender_keep_their_order() {
        let mut half = half();
        send(&mut half, 1, 1, 400 << 10);
        send(&mut half, 1, 2, 20);
        send(&mut half, 1, 3, 400 << 10);
        send(&mut half, 1, 4, 20);
        let expected = [(vec![], vec![1, 1]), (vec![2], vec![3, 3]), (vec![4], vec![])];
        assert_eq!(batches(&mut half), expected);
    }

    #[test]
    fn what_is_queued_is_written_before_the_end() {
        let mut half = half();
        send(&mut half, 1, 1, 400 << 10);
        send(&mut half, 2, 2, 20);
        half.finish();
        assert_eq!(half.send((&pid(3)).into(), &message(3), |_| {}), Err(QueueError::Closed));
        half.tick();
        assert_eq!(batches(&mut half), [(vec![2], vec![1, 1])]);
        let mut batch = Batch::default();
        half.take(&mut batch);
        assert!(batch.is_empty() && batch.is_last);
        assert!(half.close() && !half.close() && half.is_finishing());
    }

    #[test]
    fn only_what_would_wait_behind_a_large_message_has_to_wait_for_it() {
        let mut half = SendHalf { limit: 8 << 20, ..half() };
        send(&mut half, 1, 1, 4 << 20);
        assert_eq!(half.ready((&pid(2)).into(), 20), Ok(Ok(())));
        assert_eq!(half.ready((&pid(2)).into(), 1 << 20), Ok(Err(Busy::Large)));
        assert_eq!(half.ready((&pid(1)).into(), 20), Ok(Err(Busy::Large)));
        assert_eq!(half.ready(Sender::call(1), 20), Ok(Ok(())));
        for _ in 0..20 {
            send(&mut half, 2, 2, 60 << 10);
        }
        assert_eq!(half.ready((&pid(2)).into(), 20), Ok(Err(Busy::Small)));
        let mut batch = Batch::default();
        assert_eq!(half.take(&mut batch), Freed { small: true, large: false });
        while !batch.is_empty() && half.ready((&pid(1)).into(), 20) != Ok(Ok(())) {
            half.take(&mut batch);
        }
        assert_eq!(half.ready((&pid(1)).into(), 20), Ok(Ok(())));
    }

    #[test]
    fn one_large_message_is_no_overflow_but_two_are() {
        let mut half = half();
        send(&mut half, 1, 1, 4 << 20);
        send(&mut half, 2, 2, 20);
        send(&mut half, 3, 3, 2 << 20);
        assert_eq!(half.send((&pid(4)).into(), &message(4), |_| {}), Err(QueueError::Full));
    }

    #[test]
    fn the_queue_takes_from_a_share() {
        let memory = Arc::new(Budget::new(1 << 20, 1).share());
        let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
        let mut sent = 0;
        while half.send((&pid(2)).into(), &message(2), |out| out.put(&[2; 60 << 10])).is_ok() {
            sent += 60 << 10;
        }
        assert!((384 << 10..640 << 10).contains(&sent), "about half of the budget: {sent}");
        let mut batch = Batch::default();
        half.take(&mut batch);
        assert!(memory.taken() > 0);
        while !batch.is_empty() {
            half.take(&mut batch);
        }
        assert_eq!(memory.taken(), 0);
        send(&mut half, 3, 3, 60 << 10);
        send(&mut half, 3, 3, 60 << 10);
        send(&mut half, 3, 3, 1);
        assert!(memory.taken() > 0);
        half.close();
        assert_eq!(memory.taken(), 0);
    }

    /// The whole payload is in memory until the last of its parts has been written.
    #[test]
    fn a_large_message_takes_from_the_share_until_it_is_written() {
        let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
        let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
        send(&mut half, 1, 1, 4 << 20);
        let refused = half.send((&pid(2)).into(), &message(2), |out| out.put(&vec![2; 4 << 20]));
        assert_eq!(refused, Err(QueueError::NoMemory));
        send(&mut half, 3, 3, 20);
        let mut batch = Batch::default();
        half.take(&mut batch);
        while !batch.is_empty() {
            assert!(memory.taken() >= 4 << 20, "{}", memory.taken());
            half.take(&mut batch);
        }
        assert_eq!(memory.taken(), 0);
        send(&mut half, 2, 2, 4 << 20);
        half.close();
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn what_is_paid_for_is_not_counted_twice() {
        let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
        let mut half = SendHalf { limit: 8 << 20, ..half() }.with_memory(memory.clone());
        let bytes = memory.lease(4 << 20).unwrap().hold_for(vec![1; 4 << 20].into());
        let value = RawTerm::new(bytes, Default::default());
        half.send_parts((&pid(1)).into(), &message(1), |_| {}, &value, &[], Payer::Payload).unwrap();
        drop(value);
        assert_eq!(memory.taken(), 4 << 20);
        while !batches(&mut half).is_empty() {}
        assert_eq!(memory.taken(), 0);
    }

    /// For a peer without fragments, or that gets the term inside of the control message.
    #[test]
    fn a_large_frame_takes_from_the_share() {
        let exit = |flags| Forms::new(flags).exit(pid(1), pid(2));
        let one = FLAGS.difference(DistributionFlags::FRAGMENTS);
        let cacheless = one.difference(DistributionFlags::DIST_HDR_ATOM_CACHE);
        for flags in [one, cacheless, FLAGS.difference(DistributionFlags::EXIT_PAYLOAD)] {
            let memory = Arc::new(Budget::with_factor(8 << 20, 1, 4).share());
            let mut half = SendHalf { limit: 16 << 20, ..half_at(Instant::now(), flags) }.with_memory(memory.clone());
            let large = |out: &mut MessageBuffer<'_>| out.put(&vec![2; 4 << 20]);
            half.send((&pid(1)).into(), &exit(flags), |out| out.put(&[1; 20])).unwrap();
            half.send((&pid(1)).into(), &exit(flags), large).unwrap();
            half.send((&pid(1)).into(), &exit(flags), |out| out.put(&[3; 20])).unwrap();
            assert!((4 << 20..5 << 20).contains(&memory.taken()), "{}", memory.taken());
            assert_eq!(half.send((&pid(1)).into(), &exit(flags), large), Err(QueueError::NoMemory));
            let order: Vec<u8> = batches(&mut half).into_iter().flat_map(|(small, _)| small).collect();
            assert_eq!((order, memory.taken()), (vec![1, 2, 3], 0));
            send(&mut half, 1, 4, 20);
            assert_eq!(batches(&mut half), [(vec![4], vec![])]);
        }
    }

    /// What a peer does not read, which its writer has taken, is in memory, too.
    #[test]
    fn what_the_queue_takes_is_what_it_allocates() {
        let memory = Arc::new(Budget::new(64 << 20, 1).share());
        let mut half = SendHalf { limit: 16 << 20, ..half() }.with_memory(memory.clone());
        let mut batch = Batch::default();
        let mut sent = 0;
        while half.send((&pid(2)).into(), &message(2), |out| out.put(&[2; 60 << 10])).is_ok() {
            sent += 60 << 10;
            if sent == 100 * (60 << 10) {
                half.take(&mut batch);
                assert!(batch.buffer.capacity() <= 2 << 20, "no buffer is large");
            }
            let allocated = half.bytes() + batch.buffer.capacity();
            assert!(allocated <= memory.taken() + (256 << 10), "{allocated} bytes, {} taken", memory.taken());
        }
        assert!(((16 << 20)..(18 << 20)).contains(&sent), "{sent}");
        let mut written = batch.buffer.len();
        while half.take(&mut batch) != Freed::default() || !batch.is_empty() {
            written += batch.buffer.len();
        }
        assert!(written > sent);
        assert_eq!((half.bytes(), memory.taken()), (0, 0));
    }

    #[test]
    fn small_messages_that_fill_several_buffers_are_written_before_a_large_one() {
        let mut half = SendHalf { limit: 16 << 20, ..half() };
        for byte in 1..=3 {
            for _ in 0..20 {
                send(&mut half, 1, byte, 60 << 10);
            }
        }
        send(&mut half, 1, 9, 100 << 10);
        let written = batches(&mut half);
        let large = written.iter().position(|(_, large)| !large.is_empty()).unwrap();
        assert!(written.len() > 2 && large == written.len() - 1, "{written:?}");
        assert!(written.is_sorted_by_key(|(small, _)| small.first().copied()), "{written:?}");
    }

    #[test]
    fn ticks_are_due_when_nothing_else_is_written() {
        let now = Instant::now();
        let mut half = half_at(now, FLAGS);
        let later = half.ticks().deadline();
        assert_eq!(half.poll(later), TickAction::SendTick);
        half.tick();
        let mut batch = Batch::default();
        half.take(&mut batch);
        assert_eq!((&batch.buffer[..], batch.traffic()), (&TICK[..], Traffic::Tick));
        half.has_written(later, batch.traffic());
        assert_eq!(half.poll(later), TickAction::Wait);
        send(&mut half, 1, 1, 20);
        half.tick();
        half.take(&mut batch);
        assert_eq!(batch.traffic(), Traffic::Message);
        let answer = half.has_written(later, batch.traffic());
        assert!(!half.has_read(later, Traffic::Message));
        assert!(half.has_read(answer, Traffic::Message));
        assert_eq!(half.poll(answer + Duration::from_secs(60)), TickAction::PeerDead);
    }

    /// A peer without `EXIT_PAYLOAD` gets a reason of any size in the control message, never in fragments.
    #[test]
    fn a_reason_inside_is_never_cut() {
        let flags = FLAGS.difference(DistributionFlags::EXIT_PAYLOAD);
        let exit = Forms::new(flags).exit(pid(1), pid(2));
        assert!(matches!(exit.control(), Form::Old(Exit { .. })));
        let mut half = half_at(Instant::now(), flags);
        let mut reason = Encoded::with_capacity(0);
        encode::term(&Term::binary(vec![7; 300_000]), &mut reason);
        half.send_parts((&pid(1)).into(), &exit, |_| {}, &reason.into(), &[], Payer::Queue).unwrap();
        let mut batch = Batch::default();
        half.take(&mut batch);
        assert!(batch.fragments.is_empty() && batch.buffer.len() > 300_000);
    }
}
