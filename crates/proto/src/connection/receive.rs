//! The receiving half of a connection.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use peerl_term::Origin;

use crate::{
    channel::{ChannelError, ChannelLimits, Inbound, Message},
    frame::{Frame, FrameReader, FrameTooLong},
    tick::Traffic,
};

/// The receiving half of a connection: bytes in, messages out.
///
/// Each read goes into [`read_buffer`](Self::read_buffer), and is told by [`has_read`](Self::has_read);
/// [`next`](Self::next) then gives the messages that have come.
#[derive(Debug)]
pub struct ReceiveHalf {
    frames: FrameReader,
    inbound: Inbound,
    /// What has been read and not been taken yet. It begins with a frame.
    buffer: BytesMut,
    /// The usual room for a read.
    room: usize,
    /// The room that the last read had.
    free: usize,
    /// When messages that have not gone on are given up.
    period_end: Instant,
}

impl ReceiveHalf {
    /// The room for the first bytes that arrive on a quiet connection.
    const FIRST_READ: usize = 16 << 10;

    /// The most room for one read. It grows to this as long as reads fill it.
    const LARGEST_READ: usize = 256 << 10;

    /// A message whose fragments have not gone on for one to two of these is given up: its sender has died, as a rule.
    const PERIOD: Duration = Duration::from_secs(20);

    /// The receiving half of a connection that has just come up; `buffer` is what came after the handshake. `origin` is told of
    /// the first payload that turns out to be malformed when it is decoded.
    pub fn new(limits: ChannelLimits, origin: Origin, now: Instant, buffer: BytesMut) -> Self {
        ReceiveHalf {
            frames: FrameReader::new(limits.message),
            inbound: Inbound::with_origin(limits, origin),
            buffer,
            room: Self::FIRST_READ,
            free: 0,
            period_end: now + Self::PERIOD,
        }
    }

    /// The buffer for the next read: what is read is appended to it. It has the usual room, and more only in step with what has
    /// arrived of a large frame.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        self.frames.reserve(&mut self.buffer, self.room);
        self.free = self.buffer.capacity() - self.buffer.len();
        &mut self.buffer
    }

    /// A read has appended so many bytes. Says what they are.
    pub fn has_read(&mut self, count: usize) -> Traffic {
        if count == self.free {
            self.room = (self.room * 2).min(Self::LARGEST_READ);
        } else if count < self.room / 4 {
            self.room = (self.room / 2).max(Self::FIRST_READ);
        }
        if self.frames.are_ticks(&self.buffer) { Traffic::Tick } else { Traffic::Message }
    }

    /// Takes the next message that is whole, in the place of another one, which spares moving it there. Says whether there is
    /// one.
    ///
    /// # Errors
    /// If the connection cannot go on.
    #[inline]
    pub fn next(&mut self, to: &mut Message) -> Result<bool, ReceiveError> {
        loop {
            match self.frames.next(&mut self.buffer)? {
                None => return Ok(false),
                Some(Frame::Tick) => {}
                Some(frame) => {
                    if self.inbound.receive_into(frame, to)? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Whether no part of a frame has been read. The buffer is given back then: a connection that waits for its next message
    /// holds none.
    pub fn is_between_frames(&mut self) -> bool {
        let is_between = self.buffer.is_empty();
        if is_between {
            self.buffer = BytesMut::new();
        }
        is_between
    }

    /// When to [`give_up_idle`](Self::give_up_idle) messages next, if some wait for fragments.
    pub fn deadline(&self) -> Option<Instant> {
        (self.waiting_bytes() > 0).then_some(self.period_end)
    }

    /// Gives up the messages whose fragments have not gone on for long. Gives how many those are.
    pub fn give_up_idle(&mut self, now: Instant) -> usize {
        if now < self.period_end {
            return 0;
        }
        self.period_end = now + Self::PERIOD;
        self.inbound.begin_period()
    }

    /// How many bytes of messages wait for fragments.
    pub fn waiting_bytes(&self) -> usize {
        self.inbound.waiting_bytes()
    }
}

/// Why nothing more can be received on a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// A frame is too long.
    #[error(transparent)]
    Frame(#[from] FrameTooLong),
    /// A frame cannot be taken.
    #[error(transparent)]
    Channel(#[from] ChannelError),
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// A hundred megabytes announced, none sent.
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
