//! Splits large messages into fragments.

use bytes::Bytes;

use super::lead;
use crate::budget::Lease;

/// The frames of one large message, in sending order. Frames of other messages may go between them.
///
/// Erlang docs: *External Term Format*, section "Distribution Header for fragmented messages".
#[derive(Clone, Debug)]
pub struct Fragments {
    sequence: u64,
    remaining: u64,
    /// The control message and the part of the payload written with it; `None` once the first fragment has taken it.
    control: Option<Bytes>,
    payload: Bytes,
    /// The end of the payload: the last fragment, if not empty.
    end: Bytes,
}

/// One frame of a large message: the bytes of `head`, then those of `data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The frame's length and header; in the first frame also the control message.
    pub head: Bytes,
    /// A slice of the payload; it shares the payload's memory.
    pub data: Bytes,
}

impl Fragments {
    /// A larger payload is sent in fragments. OTP's fragments have this size.
    pub const LARGE: usize = 64 << 10;

    /// Payload bytes per fragment. A BEAM accepts any size, and few large fragments cost it less than many small
    /// ones.
    pub const SIZE: usize = 256 << 10;

    /// `message` holds the control message in `control_start..payload_start`, then the payload.
    pub(super) fn new(sequence: u64, message: Vec<u8>, control_start: usize, payload_start: usize) -> Self {
        let mut control = Bytes::from(message);
        let payload = control.split_off(payload_start);
        let remaining = payload.len().div_ceil(Self::SIZE) as u64;
        Fragments { sequence, remaining, control: Some(control.slice(control_start..)), payload, end: Bytes::new() }
    }

    /// The payload is the part of `start` after the control message, then `payload`, then `end`. Nothing is copied.
    pub(super) fn of_parts(sequence: u64, start: Vec<u8>, payload: Bytes, end: Bytes) -> Self {
        let remaining = payload.len().div_ceil(Self::SIZE).max(1) as u64 + u64::from(!end.is_empty());
        Fragments { sequence, remaining, control: Some(start.into()), payload, end }
    }

    /// With a lease that lasts until the last fragment has been dropped: until then, the whole payload is in memory.
    pub fn with_lease(self, lease: Lease) -> Self {
        Fragments { payload: lease.hold_for(self.payload), ..self }
    }

    /// How many bytes are still to be sent, headers excluded.
    pub fn remaining_bytes(&self) -> usize {
        self.control.as_ref().map_or(0, Bytes::len) + self.payload.len() + self.end.len()
    }
}

impl Iterator for Fragments {
    type Item = Fragment;

    fn next(&mut self) -> Option<Fragment> {
        if self.remaining == 0 {
            return None;
        }
        let control = self.control.take();
        let data = match self.payload.len() {
            0 if control.is_none() => std::mem::take(&mut self.end),
            left => self.payload.split_to(left.min(Self::SIZE)),
        };
        let mut head = Vec::with_capacity(4 + 2 + 16 + 1 + control.as_ref().map_or(0, Bytes::len));
        head.extend_from_slice(&[0; 4]);
        let kind = if control.is_some() { lead::FIRST_FRAGMENT } else { lead::FRAGMENT };
        head.extend_from_slice(&[lead::VERSION, kind]);
        head.extend_from_slice(&self.sequence.to_be_bytes());
        head.extend_from_slice(&self.remaining.to_be_bytes());
        if let Some(control) = control {
            head.push(0);
            head.extend_from_slice(&control);
        }
        // 256 KiB and a control message.
        let length = (head.len() - 4 + data.len()) as u32;
        head[..4].copy_from_slice(&length.to_be_bytes());
        self.remaining -= 1;
        Some(Fragment { head: head.into(), data })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let remaining = usize::try_from(self.remaining).unwrap_or(usize::MAX);
        (remaining, Some(remaining))
    }
}

impl ExactSizeIterator for Fragments {}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use peerl_term::{Term, encode};

    use super::*;
    use crate::{
        channel::{ChannelLimits, Message, MessageBuffer, MessageDecoder, MessageEncoder},
        control::{Forms, Signal},
        flags::DistributionFlags,
        frame::FrameReader,
        test_support::{a, atom, hex},
    };

    fn fragments(before: &[u8]) -> Fragments {
        let message = Term::tuple([Term::atom("big"), Term::binary(vec![b'x'; 800_000])]);
        let control = Forms::new(DistributionFlags::FULL_MEMBER).reg_send(a(9), atom("sink"));
        let mut out = before.to_vec();
        let fragments = MessageEncoder::new(DistributionFlags::FULL_MEMBER)
            .encode_or_fragment(&control, |out| encode::term(&message, out), &mut out)
            .unwrap()
            .unwrap();
        assert_eq!(out, before);
        fragments
    }

    /// The heads of OTP 25's fragments, except for the sequence number and the sizes. OTP's first fragment has 64 KiB
    /// of control message and payload together; ours has 256 KiB of payload.
    #[test]
    fn heads() {
        for before in [&b""[..], b"earlier"] {
            let fragments: Vec<Fragment> = fragments(before).collect();
            let head = "8345 0000000000000001 0000000000000004 00\
                        6804610658770b61403132372e302e302e310000000900000000000003ea7700770473696e6b";
            assert_eq!(fragments[0].head[4..], hex(head));
            assert_eq!(fragments[0].data[..13], hex("680277036269676d000c350078"));
            assert_eq!(fragments[1].head, hex("00040012 8346 0000000000000001 0000000000000003"));
            assert_eq!(fragments[3].head[4..], hex("8346 0000000000000001 0000000000000001"));
            assert_eq!(fragments.iter().map(|f| f.data.len()).sum::<usize>(), 800_012);
            for Fragment { head, data } in fragments {
                let length = u32::from_be_bytes(*head.first_chunk().unwrap()) as usize;
                assert_eq!(length + 4, head.len() + data.len());
            }
        }
    }

    #[test]
    fn parts_come_together_again() {
        let control = Forms::new(DistributionFlags::FULL_MEMBER).reg_send(a(9), atom("sink"));
        let large = Bytes::from(vec![b'x'; 800_000]);
        for size in [0, 1, Fragments::SIZE, 800_000] {
            let mut encoder = MessageEncoder::new(DistributionFlags::FULL_MEMBER);
            let start = |out: &mut MessageBuffer<'_>| {
                encode::list_header(1, out);
                encode::binary_header(size, out);
            };
            let fragments =
                encoder.fragment_parts(&control, start, large.slice(..size), Bytes::from_static(&[106])).unwrap();
            assert_eq!(fragments.len(), size.div_ceil(Fragments::SIZE).max(1) + 1);
            let bytes = fragments.remaining_bytes();
            let frames: Vec<Fragment> = fragments.collect();
            assert_eq!(frames.len(), size.div_ceil(Fragments::SIZE).max(1) + 1);
            let mut decoder = MessageDecoder::new(ChannelLimits::default());
            let mut buffer = BytesMut::new();
            for Fragment { head, data } in frames {
                buffer.extend_from_slice(&head);
                buffer.extend_from_slice(&data);
            }
            assert!(bytes < buffer.len() && bytes > size);
            let (mut message, mut reader) = (None, FrameReader::default());
            while let Some(frame) = reader.next(&mut buffer).unwrap() {
                message = decoder.receive(frame).unwrap();
            }
            let payload = message.unwrap().payload.unwrap().decode().unwrap();
            assert_eq!(payload, Term::list([Term::binary(vec![b'x'; size])]));
        }
    }

    #[test]
    fn come_together_again() {
        let mut buffer = BytesMut::new();
        for Fragment { head, data } in fragments(b"") {
            buffer.extend_from_slice(&head);
            buffer.extend_from_slice(&data);
        }
        let mut decoder = MessageDecoder::new(ChannelLimits::default());
        let mut reader = FrameReader::default();
        let mut messages: Vec<Message> = Vec::new();
        while let Some(frame) = reader.next(&mut buffer).unwrap() {
            messages.extend(decoder.receive(frame).unwrap());
        }
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].signal, Signal::SendToName { from: a(9), to: atom("sink") });
        let payload = messages[0].payload.as_ref().unwrap().decode().unwrap();
        assert_eq!(payload.as_tuple().unwrap()[1].as_binary().unwrap().len(), 800_000);
    }
}
