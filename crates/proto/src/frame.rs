//! Frames: what a connection carries once the handshake is done.
//!
//! Erlang docs: *Distribution Protocol*, section "Protocol between Connected Nodes".

use bytes::{Buf, Bytes, BytesMut};

/// The bytes of a tick: a frame of length zero.
pub const TICK: [u8; 4] = [0; 4];

/// One frame, without its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// An empty frame, sent to show that the sender lives.
    Tick,
    /// A message, or a fragment of one.
    Data(Bytes),
}

/// Cuts a byte stream into frames: `u32` length, then that many bytes.
#[derive(Clone, Copy, Debug)]
pub struct FrameReader {
    limit: usize,
}

impl FrameReader {
    /// The frame size accepted by default: 128 MiB. A BEAM with the `FRAGMENTS` capability cuts messages into frames
    /// of 64 KiB; other peers send a message as one frame, however large.
    pub const DEFAULT_LIMIT: usize = 128 << 20;

    /// The smallest step in which the buffer grows, see [`Self::reserve`].
    pub const READ_STEP: usize = 64 << 10;

    /// A reader that refuses frames larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        FrameReader { limit }
    }

    /// Takes the next whole frame from the front of `buffer`, or `None` while it is incomplete.
    ///
    /// A frame shares the buffer's memory. An announced frame above the limit is an error at once, before its bytes
    /// arrive; the connection is then to be closed, since the stream can't be read on.
    #[inline]
    pub fn next(&self, buffer: &mut BytesMut) -> Result<Option<Frame>, FrameTooLong> {
        let Some(length) = self.announced(buffer)? else {
            return Ok(None);
        };
        if buffer.len() - 4 < length {
            return Ok(None);
        }
        if length == 0 {
            buffer.advance(4);
            return Ok(Some(Frame::Tick));
        }
        let mut frame = buffer.split_to(4 + length).freeze();
        frame.advance(4);
        Ok(Some(Frame::Data(frame)))
    }

    /// Makes room in `buffer` for the next read.
    ///
    /// A length on the wire doesn't make us allocate: the room grows at most to twice the bytes that have arrived (or
    /// by [`Self::READ_STEP`]), so a peer that announces 100 MB and sends nothing costs us nothing.
    pub fn reserve(&self, buffer: &mut BytesMut) {
        let arrived = buffer.len();
        let missing = match self.announced(buffer) {
            Ok(Some(length)) => (length + 4).saturating_sub(arrived),
            _ => 0,
        };
        buffer.reserve(missing.min(arrived).max(Self::READ_STEP));
    }

    #[inline]
    fn announced(&self, buffer: &BytesMut) -> Result<Option<usize>, FrameTooLong> {
        let Some(&prefix) = buffer.first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(prefix) as usize;
        if length > self.limit {
            return Err(FrameTooLong { length, limit: self.limit });
        }
        Ok(Some(length))
    }
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader::new(Self::DEFAULT_LIMIT)
    }
}

/// A peer announced a frame larger than this node takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer announced a frame of {length} bytes, the limit is {limit}")]
pub struct FrameTooLong {
    /// The length announced.
    pub length: usize,
    /// The limit.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_and_ticks() {
        let mut buffer = BytesMut::from(&b"\0\0\0\x02hi\0\0\0\0\0\0\0\x03wor"[..]);
        let reader = FrameReader::default();
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Data(Bytes::from_static(b"hi")))));
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Tick)));
        assert_eq!(reader.next(&mut buffer), Ok(Some(Frame::Data(Bytes::from_static(b"wor")))));
        assert_eq!(reader.next(&mut buffer), Ok(None));
        buffer.extend_from_slice(b"\0\0\0\x02h");
        assert_eq!(reader.next(&mut buffer), Ok(None));
        assert_eq!(buffer.len(), 5);
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_by_its_length() {
        let mut buffer = BytesMut::from(&[0, 0, 1, 1][..]);
        let refused = FrameTooLong { length: 257, limit: 256 };
        assert_eq!(FrameReader::new(256).next(&mut buffer), Err(refused));
    }

    #[test]
    fn room_grows_with_what_has_arrived() {
        let reader = FrameReader::default();
        let mut buffer = BytesMut::from(&[0x07, 0, 0, 0][..]); // 112 MiB announced
        reader.reserve(&mut buffer);
        assert!(buffer.capacity() <= 2 * FrameReader::READ_STEP);
        buffer.extend_from_slice(&vec![0; 1 << 20]);
        reader.reserve(&mut buffer);
        assert!(buffer.capacity() <= 4 << 20);
    }
}
