//! The send queue of a connection, and the tasks that wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use peerl_proto::budget::Share;
use peerl_proto::channel::{Fragments, MessageBuffer, Rename};
use peerl_proto::connection::{Batch, Busy, Payer, QueueError, SendHalf, Sender};
use peerl_proto::control::{Control, Offered};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::tick::{TickAction, TickTimer, Traffic};
use peerl_term::RawTerm;
use tokio::sync::Notify;

use super::short_wait::ShortWait;
use crate::kernel::batching::Gathering;
use crate::kernel::clock;

/// The [`SendHalf`] of a connection, shared by the senders and the writer task.
#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// The peer's share, from which the queue takes.
    memory: Arc<Share>,
    wait: ShortWait,
    /// There is something to write.
    filled: Notify,
    /// All that was expected has been queued.
    gathered: Notify,
    /// There is room again for small messages.
    room: Notify,
    /// There is room again for large ones.
    drained: Notify,
    /// Something could not be queued any more.
    overflowed: Notify,
}

/// When a connection ticks, and how its tasks wait for each other.
#[derive(Debug)]
pub(crate) struct Timing {
    pub(crate) ticks: TickTimer,
    pub(crate) wait: ShortWait,
}

#[derive(Debug)]
struct Queue {
    half: SendHalf,
    gathering: Gathering,
}

impl Outbox {
    /// So long a sender waits for memory for a large message: as long as a peer may be silent.
    const PATIENCE: Duration = TickTimer::DEFAULT_TICK_TIME;

    /// Memory is given back by other connections, too, which tell nobody: a sender that waits for it looks so often.
    const RETRY: Duration = Duration::from_millis(20);

    pub(crate) fn new(
        flags: DistributionFlags,
        rename: Option<Rename>,
        limit: usize,
        memory: &Arc<Share>,
        timing: Timing,
    ) -> Self {
        let half = SendHalf::new(flags, rename, limit, timing.ticks).with_memory(memory.clone());
        Self {
            queue: Mutex::new(Queue { half, gathering: Gathering::default() }),
            memory: memory.clone(),
            wait: timing.wait,
            filled: Notify::new(),
            gathered: Notify::new(),
            room: Notify::new(),
            drained: Notify::new(),
            overflowed: Notify::new(),
        }
    }

    /// Queues a message; `payload` appends its term, if the message has one.
    pub(crate) fn send(
        &self,
        from: impl Into<Sender>,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
    ) -> Result<(), QueueError> {
        self.add(|half| half.send(from.into(), control, payload))
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
        payer: Payer,
    ) -> Result<(), QueueError> {
        self.add(|half| half.send_parts(from.into(), control, start, payload, end, payer))
    }

    /// Queues a message whose payload is a term that is encoded already. A large one is not copied.
    pub(crate) fn send_term(
        &self,
        from: impl Into<Sender>,
        control: &Offered<impl Control>,
        payload: &RawTerm,
    ) -> Result<(), QueueError> {
        self.send_parts(from, control, |_| {}, payload, &[], Payer::Queue)
    }

    /// Queues a message that the writer is not woken for: another one follows in a moment, or [`release`](Self::release).
    /// If something else is sent before, the message goes out with it.
    pub(crate) fn send_held(&self, from: impl Into<Sender>, control: &Offered<impl Control>) -> Result<(), QueueError> {
        let mut queue = self.queue.lock();
        let was_empty = queue.half.is_empty();
        self.noted(self.end_if_lost(queue.half.send(from.into(), control, |_| {})))?;
        queue.gathering.hold(was_empty);
        Ok(())
    }

    /// Wakes the writer for messages that are still held back.
    pub(crate) fn release(&self) {
        let held = self.queue.lock().gathering.release();
        if held {
            self.filled.notify_one();
        }
    }

    /// Queues a tick, unless there is something to write anyway.
    pub(crate) fn tick(&self) {
        let mut queue = self.queue.lock();
        let was_empty = queue.half.is_empty();
        queue.half.tick();
        let wakes = queue.gathering.release() || was_empty;
        drop(queue);
        if wakes {
            self.filled.notify_one();
        }
    }

    #[inline]
    fn add(&self, add: impl FnOnce(&mut SendHalf) -> Result<(), QueueError>) -> Result<(), QueueError> {
        let mut queue = self.queue.lock();
        let was_empty = queue.half.is_empty();
        self.noted(add(&mut queue.half))?;
        let wakes = queue.gathering.release() || was_empty;
        let is_gathered = queue.gathering.becomes_whole(queue.half.messages());
        drop(queue);
        if wakes {
            self.filled.notify_one();
        }
        if is_gathered {
            self.gathered.notify_one();
        }
        Ok(())
    }

    #[inline]
    fn noted(&self, sent: Result<(), QueueError>) -> Result<(), QueueError> {
        if sent == Err(QueueError::Full) {
            self.overflow();
        }
        sent
    }

    /// Waits until the connection is not busy, and for a large message until there is memory for it. A sender on behalf of a user
    /// waits here first, and says about how many bytes are to come.
    pub(crate) async fn ready(&self, from: impl Into<Sender>, size: usize) -> Result<(), QueueError> {
        let sender = from.into();
        self.not_busy(sender, size).await?;
        if size > Fragments::LARGE && !self.memory.has_room(size) {
            return Box::pin(self.memory_for(sender, size)).await;
        }
        Ok(())
    }

    /// Large messages that are written give their memory back, as do others that are kept for peers.
    async fn memory_for(&self, sender: Sender, size: usize) -> Result<(), QueueError> {
        let end = clock::now() + Self::PATIENCE;
        while !self.memory.has_room(size) && self.memory.could_have(size) && clock::now() < end {
            tokio::time::sleep(Self::RETRY).await;
            self.not_busy(sender, size).await?;
        }
        Ok(())
    }

    /// Waits until the connection is not busy.
    pub(crate) async fn not_busy(&self, from: impl Into<Sender>, size: usize) -> Result<(), QueueError> {
        let sender = from.into();
        loop {
            let room = {
                let queue = self.queue.lock();
                match queue.half.ready(sender, size)? {
                    Ok(()) => return Ok(()),
                    Err(Busy::Small) => self.room.notified(),
                    Err(Busy::Large) => self.drained.notified(),
                }
            };
            room.await;
        }
    }

    /// Has the connection end if a message was lost for want of memory, of which its receiver is not told otherwise.
    pub(crate) fn end_if_lost(&self, sent: Result<(), QueueError>) -> Result<(), QueueError> {
        match sent {
            Err(QueueError::NoMemory) => {
                self.overflow();
                Err(QueueError::Full)
            }
            sent => sent,
        }
    }

    /// Says that the peer is to be given up, because it does not read.
    pub(crate) fn overflow(&self) {
        self.overflowed.notify_one();
    }

    /// How often something has been taken to be written: as long as that goes on, the peer reads.
    pub(crate) fn batches(&self) -> u64 {
        self.queue.lock().half.batches()
    }

    /// Waits until the queue is beyond its limit: signals are queued without waiting. The connection then ends, which settles what
    /// was lost.
    pub(crate) async fn overflowed(&self) {
        self.overflowed.notified().await;
    }

    /// Waits until there is something to write.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// One read has brought the answers of this many callers.
    pub(crate) fn answered(&self, callers: usize) {
        if callers >= Gathering::SEVERAL {
            let now = clock::now();
            self.queue.lock().gathering.answered(callers, now);
        }
    }

    /// Waits a moment for senders that are likely to send, so that their messages are written with one system call.
    pub(crate) async fn gathered(&self) {
        loop {
            let wait = {
                let mut queue = self.queue.lock();
                let queued = queue.half.messages();
                queue.gathering.wait(queued, clock::now)
            };
            let Some(time) = wait else { return };
            // The senders run meanwhile.
            tokio::select! {
                biased;
                () = self.gathered.notified() => {}
                () = self.wait.pass(time) => {}
            }
        }
    }

    /// Takes what is to be written next, in exchange for an empty buffer to fill meanwhile. Returns whether there was
    /// something.
    pub(crate) fn take(&self, batch: &mut Batch) -> bool {
        let mut queue = self.queue.lock();
        let freed = queue.half.take(batch);
        queue.gathering.taken(batch.messages);
        drop(queue);
        if freed.small {
            self.room.notify_waiters();
        }
        if freed.large {
            self.drained.notify_waiters();
        }
        !batch.is_empty()
    }

    /// The bytes that wait to be written.
    #[cfg(feature = "metrics")]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.lock().half.bytes()
    }

    /// Whether nothing waits to be written.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.lock().half.is_empty()
    }

    /// Reports a read, now. Returns whether a tick is due, unless something else is written.
    pub(crate) fn has_read(&self, read: Traffic) -> bool {
        let now = clock::now();
        self.queue.lock().half.has_read(now, read)
    }

    /// Reports a write, now. Returns the instant at which a tick in answer to reads is due.
    pub(crate) fn has_written(&self, written: Traffic) -> Instant {
        let now = clock::now();
        self.queue.lock().half.has_written(now, written)
    }

    /// Says what is due now, and when to ask next; a tick that is due is queued.
    pub(crate) fn poll(&self, now: Instant) -> (TickAction, Instant) {
        let mut queue = self.queue.lock();
        let action = queue.half.poll(now);
        (action, queue.half.ticks().deadline())
    }

    /// An instant that the tick timer tells.
    pub(crate) fn ticks<T>(&self, instant: impl FnOnce(&TickTimer) -> T) -> T {
        instant(self.queue.lock().half.ticks())
    }

    /// Ends the queue: nothing can be sent any more. Returns whether it was open.
    pub(crate) fn close(&self) -> bool {
        let first = self.queue.lock().half.close();
        self.wake_all();
        first
    }

    /// Nothing can be sent any more; what is queued is still written, and then the peer is told that this was all.
    pub(crate) fn finish(&self) {
        self.queue.lock().half.finish();
        self.wake_all();
    }

    fn wake_all(&self) {
        self.room.notify_waiters();
        self.drained.notify_waiters();
        self.filled.notify_one();
    }

    /// Whether this end of the connection is closed, or about to be.
    pub(crate) fn is_finishing(&self) -> bool {
        self.queue.lock().half.is_finishing()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use peerl_proto::budget::Budget;
    use peerl_proto::control::{Forms, RegSend};
    use peerl_term::{Atom, Pid, Sink};

    use super::*;

    const FLAGS: DistributionFlags = DistributionFlags::FULL_MEMBER;

    fn outbox() -> Outbox {
        outbox_with(Share::unlimited())
    }

    fn outbox_with(memory: Share) -> Outbox {
        let ticks = TickTimer::new(Instant::now(), TickTimer::DEFAULT_TICK_TIME, 4);
        Outbox::new(FLAGS, None, 1 << 20, &Arc::new(memory), Timing { ticks, wait: ShortWait::Yield })
    }

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 4 }
    }

    fn message(from: u32) -> Offered<RegSend> {
        Forms::new(FLAGS).reg_send(pid(from), Atom::from_static("x"))
    }

    fn send(outbox: &Outbox, id: u32, size: usize) {
        outbox.send(&pid(id), &message(id), |out| out.put(&vec![1; size])).unwrap();
    }

    #[test]
    fn the_writer_is_woken_for_the_first_message_and_for_enough() {
        let outbox = outbox();
        let woken = || outbox.filled().now_or_never().is_some();
        outbox.send_held(&pid(1), &message(1)).unwrap();
        assert!(!woken());
        outbox.release();
        assert!(woken());
        send(&outbox, 1, 20);
        assert!(!woken(), "it has been woken");
        outbox.answered(4);
        assert!(outbox.gathered().now_or_never().is_none());
        send(&outbox, 2, 20);
        send(&outbox, 3, 20);
        assert!(outbox.gathered().now_or_never().is_some());
        let mut batch = Batch::default();
        assert!(outbox.take(&mut batch) && batch.messages == 4);
        assert!(!outbox.take(&mut batch));
        outbox.tick();
        assert!(woken());
    }

    #[test]
    fn senders_wait_while_the_connection_is_busy() {
        let outbox = outbox();
        send(&outbox, 1, 4 << 20);
        assert_eq!(outbox.ready(&pid(2), 20).now_or_never(), Some(Ok(())));
        let large = Sender::from(&pid(1));
        let mut waits = std::pin::pin!(outbox.ready(large, 20));
        assert_eq!(waits.as_mut().now_or_never(), None);
        let mut batch = Batch::default();
        while outbox.take(&mut batch) {}
        assert_eq!(waits.now_or_never(), Some(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_message_waits_for_memory() {
        const LARGE: usize = 5 << 20;
        let budget = Budget::with_factor(8 << 20, 1, 4);
        let others = Arc::new(budget.share());
        let outbox = outbox_with(budget.share());
        let taken = others.lease(2 << 20).unwrap();
        assert_eq!(outbox.ready(&pid(1), 64 << 10).now_or_never(), Some(Ok(())), "it is not large");
        let (one, another) = (Sender::from(&pid(1)), Sender::from(&pid(2)));
        let mut waits = std::pin::pin!(outbox.ready(one, LARGE));
        assert!(tokio::time::timeout(Duration::from_secs(50), &mut waits).await.is_err());
        drop(taken);
        assert_eq!(waits.await, Ok(()));
        send(&outbox, 1, LARGE);
        // It is in memory until its end has been written, which is after the connection has ceased to be busy.
        let mut waits = std::pin::pin!(outbox.ready(another, LARGE));
        let mut batch = Batch::default();
        while outbox.take(&mut batch) {
            assert!(tokio::time::timeout(Duration::from_millis(50), &mut waits).await.is_err());
        }
        assert_eq!(waits.await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_message_waits_for_memory_in_vain() {
        let budget = Budget::with_factor(8 << 20, 1, 4);
        let outbox = outbox_with(budget.share());
        let start = clock::now();
        assert_eq!(outbox.ready(&pid(1), 9 << 20).await, Ok(()));
        assert_eq!(clock::now(), start, "there is never as much");
        let _taken = Arc::new(budget.share()).lease(5 << 20).unwrap();
        assert_eq!(outbox.ready(&pid(1), 5 << 20).await, Ok(()));
        assert!(clock::now() >= start + Outbox::PATIENCE);
        let sent = outbox.send(&pid(1), &message(1), |out| out.put(&vec![1; 5 << 20]));
        assert_eq!(sent, Err(QueueError::NoMemory));
        assert_eq!(outbox.overflowed().now_or_never(), None, "the sender knows");
        assert_eq!(outbox.end_if_lost(sent), Err(QueueError::Full));
        assert_eq!(outbox.overflowed().now_or_never(), Some(()));
    }

    #[test]
    fn a_peer_that_does_not_read_is_given_up() {
        let outbox = outbox();
        send(&outbox, 1, 4 << 20);
        assert_eq!(outbox.overflowed().now_or_never(), None);
        send(&outbox, 3, 2 << 20);
        assert_eq!(outbox.send(&pid(4), &message(4), |_| {}), Err(QueueError::Full));
        assert_eq!(outbox.overflowed().now_or_never(), Some(()));
    }

    #[test]
    fn a_queue_that_is_finished_takes_nothing_more() {
        let outbox = outbox();
        send(&outbox, 1, 20);
        outbox.finish();
        assert_eq!(outbox.send(&pid(3), &message(3), |_| {}), Err(QueueError::Closed));
        assert_eq!(outbox.ready(&pid(3), 1).now_or_never(), Some(Err(QueueError::Closed)));
        let mut batch = Batch::default();
        assert!(outbox.take(&mut batch) && !batch.is_last);
        assert!(!outbox.take(&mut batch) && batch.is_last);
    }
}
