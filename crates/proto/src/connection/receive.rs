//! The receiving half of a connection.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::buf::Limit;
use bytes::{BufMut, BytesMut};
use peerl_term::Origin;

use super::measuring::{LARGE, Measuring};
use crate::{
    budget::{Lease, Share},
    channel::{ChannelError, ChannelLimits, Message, MessageDecoder},
    fault::Fault,
    frame::{Frame, FrameReader, FrameTooLong},
    tick::Traffic,
};

/// The receiving half of a connection: bytes in, messages out.
///
/// The driver reads into [`read_buffer`](Self::read_buffer), reports the read with [`has_read`](Self::has_read), and
/// takes the messages from [`next`](Self::next).
///
/// What is kept of large frames and of messages in fragments is taken from the peer's share of a budget, and so are large
/// messages as long as anything has their payload, with what decoding them takes.
#[derive(Debug)]
pub struct ReceiveHalf {
    frames: FrameReader,
    decoder: MessageDecoder,
    /// The large message that is being measured.
    measuring: Option<Box<Measuring>>,
    /// What the buffer takes, beyond a usual one.
    held: Lease,
    /// Unprocessed bytes. They begin with a frame.
    buffer: BytesMut,
    /// The usual space for a read.
    room: usize,
    /// The space that the last read had.
    free: usize,
    /// The size of the buffer of the last read.
    allocated: usize,
    /// When to drop messages that receive no further fragments.
    period_end: Instant,
}

impl ReceiveHalf {
    /// The space for the first read of a quiet connection.
    const FIRST_READ: usize = 16 << 10;

    /// The largest space for a read. It grows to this while reads fill it.
    const LARGEST_READ: usize = 256 << 10;

    /// A larger buffer is that of one frame. What came after that frame would keep all of the buffer in memory.
    const OF_MANY: usize = 2 * Self::LARGEST_READ;

    /// The connection itself pays for a smaller buffer.
    const USUAL: usize = 2 * Self::FIRST_READ;

    /// A message without a new fragment for one to two periods is dropped: usually its sender has died.
    const PERIOD: Duration = Duration::from_secs(20);

    /// The receiving half of a connection that has just come up; `buffer` holds the bytes after the handshake.
    /// `origin` is notified when a payload turns out to be malformed on decoding, once.
    pub fn new(limits: ChannelLimits, origin: Origin, now: Instant, buffer: BytesMut) -> Self {
        Self::with_memory(limits, Arc::new(Share::unlimited()), origin, now, buffer)
    }

    /// As [`new`](Self::new), for a peer that has a share of a budget of bytes.
    pub fn with_memory(
        limits: ChannelLimits,
        memory: Arc<Share>,
        origin: Origin,
        now: Instant,
        buffer: BytesMut,
    ) -> Self {
        ReceiveHalf {
            frames: FrameReader::new(limits.message),
            decoder: MessageDecoder::with_memory(limits, memory.clone(), origin),
            measuring: None,
            held: Lease::nothing(memory),
            buffer,
            room: Self::FIRST_READ,
            free: 0,
            allocated: 0,
            period_end: now + Self::PERIOD,
        }
    }

    /// The buffer to which the next read appends. It has the usual space, and more only in proportion to what has
    /// arrived of a large frame.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        if self.frames.is_passing() && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        self.frames.reserve(&mut self.buffer, self.room);
        if !self.held.resize(self.buffer.capacity().saturating_sub(Self::USUAL)) {
            self.has_no_room();
        }
        self.allocated = self.buffer.capacity();
        self.free = self.allocated - self.buffer.len();
        &mut self.buffer
    }

    /// The [buffer](Self::read_buffer) for the next read, up to the end of a frame that has a buffer of its own.
    pub fn read_space(&mut self) -> Limit<&mut BytesMut> {
        self.read_buffer();
        if self.is_of_one()
            && let missing @ 1.. = self.frames.missing(&self.buffer)
        {
            self.free = self.free.min(missing);
        }
        (&mut self.buffer).limit(self.free)
    }

    /// Whether the buffer is that of one frame.
    fn is_of_one(&self) -> bool {
        self.allocated > Self::OF_MANY
    }

    #[cold]
    fn has_no_room(&mut self) {
        self.room = Self::FIRST_READ;
        self.frames.give_up();
        if self.buffer.len() > Self::USUAL && self.frames.keeps_all(&self.buffer) {
            self.held.share().exceed();
        }
    }

    /// Reports a read of `count` bytes; returns what they are.
    pub fn has_read(&mut self, count: usize) -> Traffic {
        if count == self.free {
            self.room = (self.room * 2).min(Self::LARGEST_READ);
        } else if count < self.room / 4 {
            self.room = (self.room / 2).max(Self::FIRST_READ);
        }
        if self.frames.are_ticks(&self.buffer) { Traffic::Tick } else { Traffic::Message }
    }

    /// Writes the next complete message into `to`, in place, which saves a move. Returns whether there is one; if not, more
    /// has to be read, unless a large message [is being measured](Self::is_measuring).
    ///
    /// # Errors
    /// If the connection cannot continue.
    #[inline]
    pub fn next(&mut self, to: &mut Message) -> Result<bool, ReceiveError> {
        if let Some(measuring) = self.measuring.take() {
            return Ok(self.measure(measuring, to));
        }
        loop {
            match self.frames.next(&mut self.buffer)? {
                None => return Ok(false),
                Some(Frame::Tick) => {}
                Some(frame) => {
                    if self.is_of_one() && self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                    if self.decoder.receive_into(frame, to)? {
                        return Ok(!is_large(to) || self.begin_to_measure(to));
                    }
                }
            }
        }
    }

    /// Whether a large message is being measured. Each call of [`next`](Self::next) goes on with that for less than a millisecond.
    pub fn is_measuring(&self) -> bool {
        self.measuring.is_some()
    }

    #[cold]
    fn begin_to_measure(&mut self, to: &mut Message) -> bool {
        let Some(payload) = to.payload.take() else { return true };
        let in_fragments = self.decoder.take_lease();
        // Others than this message may have most of the buffer.
        let payload = if in_fragments.is_some() || self.is_of_one() { payload } else { payload.unshared() };
        let lease = in_fragments.unwrap_or_else(|| self.held.split(payload.bytes().len()));
        self.measure(Measuring::begin(to, payload, lease), to)
    }

    /// Goes on to measure a message. Returns whether it is complete.
    #[cold]
    fn measure(&mut self, measuring: Box<Measuring>, to: &mut Message) -> bool {
        self.measuring = measuring.advance(to);
        self.measuring.is_none()
    }

    /// Whether no partial frame is held. If so, frees the buffer: an idle connection holds none.
    pub fn is_between_frames(&mut self) -> bool {
        let is_between = self.buffer.is_empty();
        if is_between {
            self.buffer = BytesMut::new();
            self.held.resize(0);
        }
        is_between
    }

    /// When to call [`give_up_idle`](Self::give_up_idle) next, if messages wait for fragments.
    pub fn deadline(&self) -> Option<Instant> {
        (self.waiting_bytes() > 0).then_some(self.period_end)
    }

    /// Drops the messages that received no fragment for too long. Returns their number.
    pub fn give_up_idle(&mut self, now: Instant) -> usize {
        if now < self.period_end {
            return 0;
        }
        self.period_end = now + Self::PERIOD;
        self.decoder.begin_period()
    }

    /// How many bytes of incomplete messages are held.
    pub fn waiting_bytes(&self) -> usize {
        self.decoder.waiting_bytes()
    }
}

#[inline(always)]
fn is_large(message: &Message) -> bool {
    message.payload.as_ref().is_some_and(|payload| payload.bytes().len() > LARGE)
}

/// Why nothing more can be received on a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A frame is too long.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// A frame is invalid.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

impl ReceiveError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Frame(error) => error.fault(),
            Self::Channel(error) => error.fault(),
        }
    }
}

#[cfg(test)]
mod tests {
    use peerl_term::{Atom, Pid, Term};

    use super::*;
    use crate::{budget::Budget, channel::Loss};

    fn half() -> (ReceiveHalf, Instant) {
        let now = Instant::now();
        (ReceiveHalf::new(ChannelLimits::default(), Origin::new(|_| {}), now, BytesMut::new()), now)
    }

    fn read(half: &mut ReceiveHalf, bytes: &[u8]) -> Traffic {
        half.read_buffer().extend_from_slice(bytes);
        half.has_read(bytes.len())
    }

    #[test]
    fn ticks_are_told_from_messages_however_they_are_split() {
        let (mut half, _) = half();
        let mut message = Message::vacant();
        assert_eq!(read(&mut half, &[0, 0]), Traffic::Tick);
        assert!(!half.next(&mut message).unwrap() && !half.is_between_frames());
        assert_eq!(read(&mut half, &[0, 0, 0, 0, 0, 0]), Traffic::Tick);
        assert!(!half.next(&mut message).unwrap() && half.is_between_frames());
        assert_eq!(read(&mut half, &[0, 0, 0, 0, 0, 0, 0, 9]), Traffic::Message);
        assert!(!half.next(&mut message).unwrap());
        assert_eq!(read(&mut half, &[0, 0, 0, 0]), Traffic::Message, "the inside of a frame");
    }

    fn half_with(memory: usize) -> (ReceiveHalf, Arc<Share>) {
        let memory = Arc::new(Budget::new(memory, 1).share());
        let (limits, origin) = (ChannelLimits::default(), Origin::new(|_| {}));
        (ReceiveHalf::with_memory(limits, memory.clone(), origin, Instant::now(), BytesMut::new()), memory)
    }

    /// A message to a name, with this payload.
    fn frame(payload: &Term) -> Vec<u8> {
        let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 1 };
        let control = Term::tuple([6.into(), pid.into(), Term::atom(""), Term::atom("rex")]);
        let body = [&[131, 68, 0], &control.encode()[1..], &payload.encode()[1..]].concat();
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    /// Reads in pieces until a message is complete; returns how many steps measuring it took.
    fn receive(half: &mut ReceiveHalf, bytes: &[u8]) -> (Message, usize) {
        let (mut message, mut steps) = (Message::vacant(), 0);
        for piece in bytes.chunks(50_000) {
            read(half, piece);
            while !half.next(&mut message).unwrap() && half.is_measuring() {
                steps += 1;
            }
        }
        (message, steps)
    }

    #[test]
    fn a_large_message_is_accounted_for_as_long_as_its_bytes_are_there() {
        let (mut half, memory) = half_with(100 << 20);
        let payload = Term::list((0..200_000).map(|number| Term::tuple([Term::from(number)])));
        let bytes = frame(&payload);
        let (message, steps) = receive(&mut half, &bytes);
        assert!(steps > 2, "{steps}");
        let payload = message.payload.unwrap();
        assert!(memory.taken() > bytes.len() + 200_000 * 2 * size_of::<Term>(), "{}", memory.taken());
        let part = payload.part(0..3);
        drop(payload);
        assert!(half.is_between_frames() && memory.taken() > bytes.len());
        drop(part);
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn a_message_without_room_fails_alone() {
        let (mut half, memory) = half_with(20 << 20);
        let mut deep = Term::nil();
        for _ in 0..400_000 {
            deep = Term::tuple([deep]);
        }
        // Its bytes would fit, but not the term; and not its bytes.
        for payload in [deep, Term::binary(vec![1; 11 << 20])] {
            let (message, _) = receive(&mut half, &frame(&payload));
            assert!(message.payload.is_none());
            assert_eq!(message.lost.map(|(loss, _)| loss), Some(Loss::NoRoom));
            let (message, _) = receive(&mut half, &frame(&Term::from(7)));
            assert_eq!(message.payload.unwrap().decode(), Ok(Term::from(7)));
            assert!(half.is_between_frames());
            assert_eq!(memory.taken(), 0);
        }
    }

    /// What is kept of a peer is a small part of what it sends.
    #[test]
    fn what_is_kept_of_a_read_does_not_keep_the_buffer() {
        let (mut half, memory) = half_with(100 << 20);
        let (large, small) = (frame(&Term::binary(vec![1; 8 << 20])), frame(&Term::binary(vec![2; 5000])));
        let (begin, end) = large.split_at(large.len() - 1000);
        let mut message = Message::vacant();
        for piece in begin.chunks(100_000) {
            read(&mut half, piece);
            assert!(!half.next(&mut message).unwrap());
        }
        let space = half.read_space();
        assert_eq!(space.remaining_mut(), 1000);
        space.into_inner().extend_from_slice(end);
        half.has_read(1000);
        while !half.next(&mut message).unwrap() {}
        let own = message.payload.take().unwrap().bytes().as_ptr_range();
        assert_eq!(half.buffer.capacity(), 0);
        assert!(half.read_buffer().capacity() <= ReceiveHalf::OF_MANY);
        assert!(memory.taken() <= ReceiveHalf::OF_MANY);
        read(&mut half, &small);
        assert!(half.next(&mut message).unwrap());
        assert!(!own.contains(&message.payload.unwrap().bytes().as_ptr()));
    }

    /// As many as fit into one buffer, of which one is kept.
    #[test]
    fn a_large_message_leaves_the_buffer_of_many() {
        let (mut half, _) = half_with(100 << 20);
        let (large, small) = (frame(&Term::binary(vec![1; 70 << 10])), frame(&Term::binary(vec![2; 5000])));
        read(&mut half, &[large, small.repeat(30)].concat());
        let within = half.buffer.as_ptr_range();
        let mut message = Message::vacant();
        assert!(half.next(&mut message).unwrap());
        assert!(!within.contains(&message.payload.unwrap().bytes().as_ptr()));
    }

    /// A frame of which not all comes, on a connection whose share is used up.
    #[test]
    fn a_partial_frame_without_room_is_too_much() {
        let (mut half, memory) = half_with(1 << 20);
        read(&mut half, &(100u32 << 10).to_be_bytes());
        read(&mut half, &[1; 60 << 10]);
        half.read_buffer();
        assert!(memory.taken() >= 28 << 10 && !memory.is_exceeded(), "{}", memory.taken());
        let (mut half, memory) = half_with(1 << 20);
        assert!(memory.take(512 << 10));
        read(&mut half, &(100u32 << 10).to_be_bytes());
        assert!(!memory.is_exceeded());
        read(&mut half, &[1; 60 << 10]);
        half.read_buffer();
        assert!(memory.is_exceeded());
    }

    /// A hundred megabytes are announced, none is sent.
    #[test]
    fn an_announced_frame_takes_no_memory() {
        let (mut half, _) = half();
        read(&mut half, &(100u32 << 20).to_be_bytes());
        assert!(half.read_buffer().capacity() <= 2 * ReceiveHalf::FIRST_READ);
    }

    #[test]
    fn a_read_has_more_room_while_reads_fill_it() {
        let (mut half, _) = half();
        let mut message = Message::vacant();
        for _ in 0..10 {
            let buffer = half.read_buffer();
            let count = (buffer.capacity() - buffer.len()) / 4 * 4;
            let free = buffer.capacity() - buffer.len();
            buffer.extend_from_slice(&vec![0; free]);
            assert_eq!(half.has_read(free), Traffic::Tick);
            assert!(!half.next(&mut message).unwrap() && count > 0);
        }
        assert_eq!(half.room, ReceiveHalf::LARGEST_READ);
        for _ in 0..10 {
            read(&mut half, &[0; 4]);
            assert!(!half.next(&mut message).unwrap());
        }
        assert_eq!(half.room, ReceiveHalf::FIRST_READ);
    }

    #[test]
    fn what_stops_in_the_middle_is_given_up() {
        let (mut half, now) = half();
        assert_eq!(half.deadline(), None);
        let control = [
            104, 3, 97, 22, 88, 119, 3, b'a', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, //
            88, 119, 3, b'b', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 97,
        ];
        let ids = [1u64.to_be_bytes(), 2u64.to_be_bytes()].concat();
        let body = [&[131, 69][..], &ids, &[0], &control].concat();
        read(&mut half, &[&(body.len() as u32).to_be_bytes()[..], &body].concat());
        assert!(!half.next(&mut Message::vacant()).unwrap());
        let first = half.deadline().unwrap();
        assert_eq!(half.give_up_idle(now), 0);
        assert_eq!(half.give_up_idle(first), 0, "it has come in this period");
        assert_eq!(half.give_up_idle(first + ReceiveHalf::PERIOD), 1);
        assert_eq!(half.deadline(), None);
    }
}
