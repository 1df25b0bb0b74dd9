//! Frames: the units of a connection after the handshake.
//!
//! Erlang docs: *Distribution Protocol*, section "Protocol between Connected Nodes".

use bytes::{Buf, Bytes, BytesMut};

use crate::fault::Fault;

/// The bytes of a tick: a frame of length zero.
pub const TICK: [u8; 4] = [0; 4];

/// One frame, without its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An empty frame, sent to show that the sender is alive.
    Tick,
    /// A message, or a fragment of one.
    Data(Bytes),
    /// A frame above the limit: only its first bytes.
    Oversize {
        /// The first [`FrameReader::HEAD`] bytes.
        head: Bytes,
        /// The length of the frame.
        length: usize,
    },
}

/// Cuts a byte stream into frames: `u32` length, then that many bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameReader {
    limit: usize,
    /// How many bytes of a frame above the limit are still to be skipped.
    passing: usize,
    /// There is no room for the frame that has begun.
    gives_up: bool,
}

impl FrameReader {
    /// The default limit: 256 MiB. A BEAM with the `FRAGMENTS` capability cuts messages into frames of 64 KiB; other
    /// peers send a message as one frame of any size.
    pub const DEFAULT_LIMIT: usize = 256 << 20;

    /// The largest frame of a BEAM.
    pub const LARGEST: usize = i32::MAX as usize;

    /// How much is kept of a frame above the limit: enough for the largest header and a control message.
    pub const HEAD: usize = 512 << 10;

    /// A reader that holds frames of up to `limit` bytes, and [`Self::HEAD`] of larger ones.
    pub fn new(limit: usize) -> Self {
        FrameReader { limit: limit.saturating_add(Self::HEAD), passing: 0, gives_up: false }
    }

    /// Treats the frame that has begun as one above the limit, if more than its head has not come yet: there is no room for it.
    pub fn give_up(&mut self) {
        self.gives_up = true;
    }

    /// Whether the frame at the front of `buffer` cannot be given up: all of it has to be kept.
    pub fn keeps_all(&self, buffer: &BytesMut) -> bool {
        self.announced(buffer).is_some_and(|length| length <= Self::HEAD)
    }

    /// Whether the rest of a frame above the limit is being skipped.
    pub fn is_passing(&self) -> bool {
        self.passing > 0
    }

    fn is_oversize(&self, length: usize) -> bool {
        length > self.limit || (self.gives_up && length > Self::HEAD)
    }

    /// Takes the next complete frame off the front of `buffer`; `None` while bytes are missing.
    ///
    /// A frame shares the buffer's memory. The bytes of a frame above the limit are skipped as they arrive, except
    /// for its head. A length above [`Self::LARGEST`] is an error at once: no BEAM sends it, and the stream cannot be
    /// parsed further, so the connection is to be closed.
    #[inline]
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameTooLong> {
        if self.passing > 0 {
            let passed = self.passing.min(buffer.len());
            buffer.advance(passed);
            self.passing -= passed;
        }
        let Some(length) = self.announced(buffer) else {
            return Ok(None);
        };
        if self.is_oversize(length) {
            return self.head(length, buffer);
        }
        if buffer.len() - 4 < length {
            return Ok(None);
        }
        self.gives_up = false;
        if length == 0 {
            buffer.advance(4);
            return Ok(Some(Frame::Tick));
        }
        let mut frame = buffer.split_to(4 + length).freeze();
        frame.advance(4);
        Ok(Some(Frame::Data(frame)))
    }

    /// How many bytes are still missing before the frame at the front of `buffer` can be taken.
    pub fn missing(&self, buffer: &BytesMut) -> usize {
        let length = if self.passing > 0 { None } else { self.announced(buffer) };
        let wanted = length.map_or(0, |length| if self.is_oversize(length) { Self::HEAD } else { length });
        (wanted + 4).saturating_sub(buffer.len())
    }

    /// When so much of a large frame has arrived, there is space for all of it: what was there before is not copied again.
    pub const WHOLE: usize = 1 << 20;

    /// Makes space in `buffer` for the next read: at least `least` bytes, more for a large frame.
    ///
    /// The announced length alone allocates nothing: the buffer grows to at most twice the bytes that have arrived, until
    /// that is [`Self::WHOLE`]. So a peer that announces 100 MB and sends nothing costs nothing.
    pub fn reserve(&self, buffer: &mut BytesMut, least: usize) {
        let missing = self.missing(buffer);
        let large = if buffer.len() < Self::WHOLE { missing.min(buffer.len()) } else { missing };
        buffer.reserve(large.max(least));
    }

    /// Whether `buffer` holds only ticks, or parts of one.
    pub fn are_ticks(&self, buffer: &BytesMut) -> bool {
        // A tick is a length of 0; a message has another length.
        self.passing == 0 && buffer.iter().all(|byte| *byte == 0)
    }

    #[cold]
    fn head(&mut self, length: usize, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameTooLong> {
        if length > Self::LARGEST {
            return Err(FrameTooLong { length });
        }
        if buffer.len() - 4 < Self::HEAD {
            return Ok(None);
        }
        let mut head = buffer.split_to(4 + Self::HEAD).freeze();
        head.advance(4);
        self.passing = length - Self::HEAD;
        self.gives_up = false;
        Ok(Some(Frame::Oversize { head, length }))
    }

    #[inline]
    fn announced(&self, buffer: &BytesMut) -> Option<usize> {
        buffer.first_chunk::<4>().map(|prefix| u32::from_be_bytes(*prefix) as usize)
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader::new(Self::DEFAULT_LIMIT)
    }
}

/// A peer announced a frame larger than any BEAM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer announced a frame of {length} bytes")]
pub struct FrameTooLong {
    /// The announced length.
    pub length: usize,
}

impl FrameTooLong {
    /// Always the peer's.
    pub fn fault(&self) -> Fault {
        Fault::PeerMisbehaved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_ticks() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02hi\0\0\0\0\0\0\0\x03wor"[..]);
        let mut reader = FrameReader::default();
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Data(Bytes::from_static(b"hi")))));
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Tick)));
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Data(Bytes::from_static(b"wor")))));
        assert_eq!(reader.next(&mut buffer), Ok(None));
        buffer.extend_from_slice(b"\0\0\0\x02h");
        assert_eq!(reader.next(&mut buffer), Ok(None));
        assert_eq!(buffer.len(), 5);
    }

    #[test]
    fn a_frame_above_the_limit_is_passed_over() {
        let length = FrameReader::HEAD + 10_000;
        let mut reader = FrameReader::new(9_999);
        let mut stream = (length as u32).to_be_bytes().to_vec();
        stream.extend((0..length).map(|index| index as u8));
        stream.extend_from_slice(b"\0\0\0\x02hi");
        let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(1_000) {
            buffer.extend_from_slice(piece);
            while let Some(frame) = reader.next(&mut buffer).unwrap() {
                frames.push(frame);
            }
            assert!(buffer.len() <= 4 + FrameReader::HEAD);
        }
        let head = Bytes::copy_from_slice(&stream[4..4 + FrameReader::HEAD]);
        assert_eq!(frames, [Frame::Oversize { head, length }, Frame::Data(Bytes::from_static(b"hi"))]);
        let mut all = FrameReader::new(10_000);
        let mut buffer = BytesMut::from(&stream[..]);
        assert!(matches!(all.next(&mut buffer), Ok(Some(Frame::Data(frame))) if frame.len() == length));
    }

    #[test]
    fn a_frame_that_no_beam_sends_is_refused_by_its_length() {
        let mut buffer = BytesMut::from(&[0x80, 0, 0, 0][..]);
        let refused = FrameTooLong { length: 1 << 31 };
        assert_eq!(FrameReader::new(256).next(&mut buffer), Err(refused));
    }

    #[test]
    fn room_grows_with_what_has_arrived() {
        const STEP: usize = 64 << 10;
        let reader = FrameReader::default();
        let mut buffer = BytesMut::from(&[0x07, 0, 0, 0][..]); // 112 MiB announced
        reader.reserve(&mut buffer, STEP);
        assert!(buffer.capacity() <= 2 * STEP);
        buffer.extend_from_slice(&vec![0; 900 << 10]);
        reader.reserve(&mut buffer, STEP);
        assert!(buffer.capacity() <= 4 << 20);
        buffer.extend_from_slice(&vec![0; 200 << 10]);
        reader.reserve(&mut buffer, STEP);
        let whole = buffer.capacity();
        assert!((112 << 20..120 << 20).contains(&whole), "{whole}");
        buffer.extend_from_slice(&vec![0; 100 << 20]);
        reader.reserve(&mut buffer, STEP);
        assert_eq!(buffer.capacity(), whole);
    }
}
