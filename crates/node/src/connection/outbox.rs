//! What waits to be written to a connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use peerl_proto::channel::{Fragment, Fragments, MessageBuffer, Outbound, Rename, Unsendable};
use peerl_proto::control::{Content, Control, Offered};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::frame::TICK;
use peerl_term::{Pid, RawTerm, Sink, encode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::rename::renamed_terms;
use crate::identity::pid_number;

/// The queue between those who send and the task that writes.
///
/// Senders encode straight into one buffer, which the writer takes whole: everything that has been sent since its
/// last write goes out with one system call. A large message waits apart, and goes out fragment by fragment between
/// the small ones; but what its sender sends after it waits behind it, since signals between two processes must
/// arrive in their order.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// There is something to write.
    filled: Notify,
    /// As much has been queued as is worth a system call.
    ripe: Notify,
    /// There is room again for small messages.
    room: Notify,
    /// There is room again for large ones.
    drained: Notify,
    /// Something could not be queued any more.
    overflowed: Notify,
    limit: usize,
    rename: Option<Rename>,
}

/// Whose messages must arrive in the order in which they were sent: those of a process, or those of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sender(u64);

impl Sender {
    /// A call of the node itself. All calls are made in the name of one pid; but they have nothing to do with each
    /// other, and the small ones are not to wait for the large ones.
    pub(crate) fn call(number: u64) -> Self {
        // No pid has this bit: the serial would have to be of 32 bits.
        Self(number | 1 << 63)
    }
}

impl From<&Pid> for Sender {
    fn from(pid: &Pid) -> Self {
        Self(pid_number(pid))
    }
}

#[derive(Debug)]
struct Queue {
    channel: Outbound,
    buffer: Vec<u8>,
    /// One lane for each sender with a large message under way, served in turn.
    lanes: VecDeque<Lane>,
    lane_bytes: usize,
    /// How many messages have been queued since the writer took the last ones.
    messages: usize,
    /// How often the writer has taken something.
    batches: u64,
    /// What is likely to be queued in a moment.
    expected: Option<Expected>,
    /// Whether those who were to send have done so: there is nobody to wait for.
    whole: bool,
    /// The writer has not been woken for the first message.
    held: bool,
    /// Nothing is queued any more, and the writer ends when it has written what is.
    finishing: bool,
    closed: bool,
}

/// Messages that have yet to be sent by those who got theirs a moment ago.
#[derive(Debug, Clone, Copy)]
struct Expected {
    messages: usize,
    until: Instant,
}

/// Whether many send at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowd {
    /// As far as is known, one does.
    No,
    /// They did a moment ago.
    Likely,
}

/// What one sender has sent since its large message that is still under way.
#[derive(Debug)]
struct Lane {
    sender: Sender,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
enum Waiting {
    Large(Fragments),
    Frame(Vec<u8>),
}

/// Why something cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SendError {
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
    /// More than [`Limits::queued`](crate::Limits) bytes are queued: the peer does not read.
    #[error("the peer does not read what is sent to it")]
    Full,
    /// The peer cannot take such a message.
    #[error("the peer cannot take the message: {0}")]
    Unsendable(#[from] Unsendable),
}

/// What the writer writes next.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) buffer: Vec<u8>,
    /// Of large messages, to be written after the buffer.
    pub(crate) fragments: Vec<Fragment>,
    /// How many messages were queued since the last batch.
    pub(crate) messages: usize,
    /// There is nothing more to write, ever.
    pub(crate) is_last: bool,
}

impl Outbox {
    /// From this many queued bytes on, senders wait: as many as a BEAM lets queue (`+zdbbl`).
    /// Small messages wait for small ones only, since they overtake the large.
    pub(crate) const BUSY: usize = 1 << 20;

    /// The longest time that the first message waits for others that are expected: about as long as it takes to call
    /// the kernel a few times, and to answer as many messages as are [written together](Expected::TOGETHER).
    const GATHERING: Duration = Duration::from_micros(60);

    /// A buffer that has grown beyond this is given back when there is nothing more to write.
    const KEPT: usize = 256 << 10;

    pub(crate) fn new(flags: DistributionFlags, rename: Option<Rename>, limit: usize) -> Self {
        Self {
            queue: Mutex::new(Queue {
                channel: Outbound::new(flags).with_rename(rename.clone()),
                buffer: Vec::new(),
                lanes: VecDeque::new(),
                lane_bytes: 0,
                messages: 0,
                batches: 0,
                expected: None,
                whole: false,
                held: false,
                finishing: false,
                closed: false,
            }),
            filled: Notify::new(),
            ripe: Notify::new(),
            room: Notify::new(),
            drained: Notify::new(),
            overflowed: Notify::new(),
            limit,
            rename,
        }
    }

    /// Queues a message; `payload` appends the payload, if the message has one.
    pub(crate) fn send(
        &self,
        from: impl Into<Sender>,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
    ) -> Result<(), SendError> {
        let mut queue = self.queue.lock();
        self.check(&queue)?;
        let was_empty = queue.begins();
        queue.add(from.into(), control, payload)?;
        let is_ripe = queue.expected.is_some_and(|expected| queue.messages == expected.worth_writing());
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
        if is_ripe {
            self.ripe.notify_one();
        }
        Ok(())
    }

    /// Queues a message that the writer is not woken for: another one follows in a moment, or [`release`](Self::release).
    /// If something else is sent before, the message goes out with it.
    pub(crate) fn send_held(&self, from: impl Into<Sender>, control: &Offered<impl Control>) -> Result<(), SendError> {
        let mut queue = self.queue.lock();
        self.check(&queue)?;
        queue.held |= queue.is_empty();
        queue.add(from.into(), control, |_| {})
    }

    /// Wakes the writer for messages that are still held back.
    pub(crate) fn release(&self) {
        let held = std::mem::take(&mut self.queue.lock().held);
        if held {
            self.filled.notify_one();
        }
    }

    /// Queues a message whose payload is what `start` writes, then `payload`, then `end`. A large `payload` is not
    /// copied.
    pub(crate) fn send_parts(
        &self,
        from: impl Into<Sender>,
        control: &Offered<impl Control>,
        start: impl Fn(&mut MessageBuffer<'_>),
        payload: &RawTerm,
        end: &'static [u8],
    ) -> Result<(), SendError> {
        if let Some(rename) = &self.rename
            && let Some(terms) = renamed_terms(rename, payload.bytes())
        {
            return self.send(from, control, |out| {
                start(out);
                terms.iter().for_each(|term| encode::term(term, out));
                out.put(end);
            });
        }
        let mut queue = self.queue.lock();
        if payload.has_records() && !queue.channel.supports(DistributionFlags::NATIVE_RECORDS) {
            return Err(Unsendable::NativeRecord.into());
        }
        let payload = payload.bytes();
        let fits = payload.len() <= Fragments::LARGE || control.content() != Content::Payload;
        if fits || !queue.channel.supports(DistributionFlags::FRAGMENTS) {
            drop(queue);
            return self.send(from, control, |out| {
                start(out);
                out.put(payload);
                out.put(end);
            });
        }
        self.check(&queue)?;
        let was_empty = queue.begins();
        let fragments = queue.channel.fragment_parts(control, start, payload.clone(), Bytes::from_static(end))?;
        queue.add_large(from.into(), fragments);
        drop(queue);
        if was_empty {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Queues a message whose payload is a term that is encoded already. A large one is not copied.
    pub(crate) fn send_term(
        &self,
        from: impl Into<Sender>,
        control: &Offered<impl Control>,
        payload: &RawTerm,
    ) -> Result<(), SendError> {
        debug_assert!(payload.atoms().is_empty());
        self.send_parts(from, control, |_| {}, payload, &[])
    }

    /// Says whether anything may be queued.
    fn check(&self, queue: &Queue) -> Result<(), SendError> {
        if queue.closed || queue.finishing {
            return Err(SendError::Closed);
        }
        if queue.bytes() > self.limit && queue.bytes_but_the_largest() > self.limit {
            self.overflowed.notify_one();
            return Err(SendError::Full);
        }
        Ok(())
    }

    /// Queues a tick, unless there is something to write anyway.
    pub(crate) fn tick(&self) {
        let mut queue = self.queue.lock();
        if queue.closed || queue.finishing {
            return;
        }
        let is_empty = queue.is_empty();
        if is_empty {
            queue.buffer.extend_from_slice(&TICK);
        }
        let held = std::mem::take(&mut queue.held);
        drop(queue);
        if is_empty || held {
            self.filled.notify_one();
        }
    }

    /// Waits until the connection is not busy. Whoever sends on behalf of a user waits here first, and says about
    /// how many bytes are to come.
    pub(crate) async fn ready(&self, from: impl Into<Sender>, size: usize) -> Result<(), SendError> {
        let sender = from.into();
        loop {
            let room = {
                let queue = self.queue.lock();
                if queue.closed || queue.finishing {
                    return Err(SendError::Closed);
                }
                // What is sent after a large message waits for it; so whoever sends it must wait too.
                let is_apart = size > Fragments::LARGE || queue.has_lane(sender);
                let ahead = if is_apart { queue.bytes() } else { queue.buffer.len() };
                if ahead < Self::BUSY {
                    return Ok(());
                }
                if is_apart { self.drained.notified() } else { self.room.notified() }
            };
            room.await;
        }
    }

    /// Says that the peer is to be given up, because it does not read.
    pub(crate) fn overflow(&self) {
        self.overflowed.notify_one();
    }

    /// How often something has been taken to be written: as long as that goes on, the peer reads.
    pub(crate) fn batches(&self) -> u64 {
        self.queue.lock().batches
    }

    /// Waits until more is queued than may be, by those who cannot wait: signals that the node itself makes. What is
    /// lost then is settled by the end of the connection.
    pub(crate) async fn overflowed(&self) {
        self.overflowed.notified().await;
    }

    /// Waits until there is something to write.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Says how many messages are likely to be sent in a moment, by those who have just got theirs: the writer waits
    /// for them, for [`GATHERING`](Self::GATHERING) at most.
    pub(crate) fn expect(&self, messages: usize) {
        let expected = Expected { messages, until: Instant::now() + Self::GATHERING };
        let mut queue = self.queue.lock();
        queue.expected = Some(expected);
        queue.whole = false;
    }

    /// Says that all have sent what was expected of them.
    pub(crate) fn expect_no_more(&self) {
        let ended = {
            let mut queue = self.queue.lock();
            queue.whole = true;
            queue.expected.take().is_some()
        };
        if ended {
            self.ripe.notify_one();
        }
    }

    /// Waits a moment for those who are likely to send, so that what they send is written with one call.
    pub(crate) async fn gathered(&self, crowd: Crowd) {
        let mut crowd = crowd;
        loop {
            {
                let mut queue = self.queue.lock();
                match queue.expected {
                    _ if queue.messages == 0 || queue.whole => return,
                    Some(expected) if queue.messages >= expected.worth_writing() => return,
                    Some(expected) if expected.until <= Instant::now() => {
                        queue.expected = None;
                        return;
                    }
                    None if crowd == Crowd::No => return,
                    Some(_) | None => {}
                }
            }
            // The others have their turn. No timer is as fine as this.
            crowd = Crowd::No;
            tokio::select! {
                biased;
                () = self.ripe.notified() => {}
                () = tokio::task::yield_now() => {}
            }
        }
    }

    /// Takes what is to be written next, in exchange for an empty buffer to fill meanwhile. Says whether there was
    /// something.
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        batch.buffer.clear();
        batch.fragments.clear();
        let mut queue = self.queue.lock();
        let (was_full, was_busy) = (queue.buffer.len() >= Self::BUSY, queue.bytes() >= Self::BUSY);
        // This first: frames that have waited behind a large message now go into the buffer.
        queue.next_fragments(&mut batch.fragments);
        std::mem::swap(&mut queue.buffer, &mut batch.buffer);
        batch.messages = std::mem::take(&mut queue.messages);
        queue.batches += 1;
        queue.held = false;
        queue.whole = false;
        queue.expected = queue.expected.and_then(|expected| expected.without(batch.messages));
        let is_free = was_busy && queue.bytes() < Self::BUSY;
        let is_idle = batch.buffer.is_empty() && batch.fragments.is_empty();
        batch.is_last = is_idle && queue.finishing;
        if is_idle && queue.buffer.capacity() > Self::KEPT {
            queue.buffer = Vec::new();
        }
        drop(queue);
        if is_idle && batch.buffer.capacity() > Self::KEPT {
            batch.buffer = Vec::new();
        }
        if was_full {
            self.room.notify_waiters();
        }
        if is_free {
            self.drained.notify_waiters();
        }
        !is_idle
    }

    /// Ends the queue: nothing can be sent any more. Says whether this was the first to end it.
    pub(crate) fn close(&self) -> bool {
        let mut queue = self.queue.lock();
        let first = !std::mem::replace(&mut queue.closed, true);
        queue.buffer = Vec::new();
        queue.lanes = VecDeque::new();
        drop(queue);
        self.room.notify_waiters();
        self.drained.notify_waiters();
        self.filled.notify_one();
        first
    }

    /// Nothing can be sent any more; what is queued is still written, and then the peer is told that this was all.
    pub(crate) fn finish(&self) {
        self.queue.lock().finishing = true;
        self.room.notify_waiters();
        self.drained.notify_waiters();
        self.filled.notify_one();
    }

    /// Says whether this end of the connection is about to be closed, or is.
    pub(crate) fn is_finishing(&self) -> bool {
        self.queue.lock().finishing
    }
}

impl Expected {
    /// So many messages are written at once even if more are to come: the peer works on them while the others are
    /// made, and both ends have something to do all the time.
    const TOGETHER: usize = 32;

    fn worth_writing(self) -> usize {
        self.messages.min(Self::TOGETHER)
    }

    /// What is still to come after so many messages.
    fn without(self, messages: usize) -> Option<Self> {
        let messages = self.messages.saturating_sub(messages);
        (messages > 0).then_some(Self { messages, ..self })
    }
}

impl Queue {
    fn add(
        &mut self,
        sender: Sender,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
    ) -> Result<(), SendError> {
        self.messages += 1;
        if let Some(lane) = self.lanes.iter_mut().find(|lane| lane.sender == sender) {
            let mut frame = Vec::new();
            let fragments = self.channel.encode_apart(control, payload, &mut frame)?;
            self.lane_bytes += fragments.as_ref().map_or(frame.len(), Fragments::remaining_bytes);
            lane.waiting.push_back(fragments.map_or(Waiting::Frame(frame), Waiting::Large));
            return Ok(());
        }
        if let Some(fragments) = self.channel.encode_or_fragment(control, payload, &mut self.buffer)? {
            self.add_large(sender, fragments);
        }
        Ok(())
    }

    fn add_large(&mut self, sender: Sender, fragments: Fragments) {
        self.lane_bytes += fragments.remaining_bytes();
        match self.lanes.iter_mut().find(|lane| lane.sender == sender) {
            Some(lane) => lane.waiting.push_back(Waiting::Large(fragments)),
            None => self.lanes.push_back(Lane { sender, waiting: [Waiting::Large(fragments)].into() }),
        }
    }

    /// The fragments of one write: of each lane in turn, up to the end of a message, since what its lane has waiting
    /// behind it belongs into the next write.
    fn next_fragments(&mut self, fragments: &mut Vec<Fragment>) {
        // 1 MiB: about as much as lies ahead of a small message on a BEAM's connection, too (`+zdbbl`).
        const AT_A_TIME: usize = 4;
        while fragments.len() < AT_A_TIME
            && let Some((fragment, ends)) = self.next_fragment()
        {
            fragments.push(fragment);
            if ends {
                break;
            }
        }
    }

    /// The next fragment of the lane whose turn it is, and whether it is the last of its message. Whole frames that have waited in it go into the buffer.
    fn next_fragment(&mut self) -> Option<(Fragment, bool)> {
        while let Some(mut lane) = self.lanes.pop_front() {
            while let Some(waiting) = lane.waiting.front_mut() {
                match waiting {
                    Waiting::Large(fragments) => {
                        let before = fragments.remaining_bytes();
                        let fragment = fragments.next();
                        self.lane_bytes -= before - fragments.remaining_bytes();
                        if let Some(fragment) = fragment {
                            let ends = fragments.len() == 0;
                            self.lanes.push_back(lane);
                            return Some((fragment, ends));
                        }
                    }
                    Waiting::Frame(frame) => {
                        self.lane_bytes -= frame.len();
                        self.buffer.append(frame);
                    }
                }
                lane.waiting.pop_front();
            }
        }
        None
    }

    fn has_lane(&self, sender: Sender) -> bool {
        self.lanes.iter().any(|lane| lane.sender == sender)
    }

    fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.lanes.is_empty()
    }

    /// Whether the writer is to be woken for what is queued next.
    fn begins(&mut self) -> bool {
        std::mem::take(&mut self.held) || self.is_empty()
    }

    fn bytes(&self) -> usize {
        self.buffer.len() + self.lane_bytes
    }

    /// The queued bytes without those of the largest message: one alone may be as large as it likes.
    fn bytes_but_the_largest(&self) -> usize {
        let largest = self.lanes.iter().filter_map(|lane| match lane.waiting.front() {
            Some(Waiting::Large(fragments)) => Some(fragments.remaining_bytes()),
            _ => None,
        });
        self.bytes() - largest.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
