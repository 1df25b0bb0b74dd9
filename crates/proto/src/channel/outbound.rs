//! From messages to frames.

use bytes::Bytes;

use super::{Fragments, lead};
use crate::{control::Control, flags::DistributionFlags};

/// The sending side of a connection.
///
/// Atoms are sent inline (a header without entries), which every peer understands.
#[derive(Debug)]
pub struct Outbound {
    flags: DistributionFlags,
    format: Format,
    next_sequence: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    PassThrough,
    Header,
}

/// A message doesn't fit a frame, and the peer doesn't take fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes doesn't fit a frame, and the peer doesn't take fragments")]
pub struct MessageTooLarge {
    /// The length of the frame that it would be.
    pub length: usize,
}

impl Outbound {
    /// The largest frame that a BEAM takes (`{packet, 4}` has a signed length there).
    pub const MAX_FRAME: usize = i32::MAX as usize;

    /// The sending side of a connection with these negotiated flags.
    pub fn new(flags: DistributionFlags) -> Self {
        let headers = DistributionFlags::DIST_HDR_ATOM_CACHE | DistributionFlags::FRAGMENTS;
        let format = if flags.intersects(headers) { Format::Header } else { Format::PassThrough };
        Outbound { flags, format, next_sequence: 1 }
    }

    /// Appends the frame of a message, with its length, to `out`.
    ///
    /// `payload` appends the payload without a version byte; it is called if the control message has one, else not.
    /// The frame is one, however large: see [`Self::encode_or_fragment`]. After an error `out` is as it was.
    #[inline]
    pub fn encode(
        &mut self,
        control: &impl Control,
        payload: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), MessageTooLarge> {
        let start = out.len();
        self.put(control, payload, out);
        close_frame(start, out)
    }

    /// Appends the frame of a message that has no payload.
    ///
    /// # Panics
    /// In debug builds, if it must have one.
    #[inline]
    pub fn encode_control(&mut self, control: &impl Control, out: &mut Vec<u8>) -> Result<(), MessageTooLarge> {
        debug_assert!(!control.has_payload());
        self.encode(control, |_| {}, out)
    }

    /// Appends the frame of a message to `out`, unless its payload is larger than [`Fragments::SIZE`] and the peer
    /// takes fragments. Then it gives the fragments instead, for the caller to send with other messages between them,
    /// and leaves `out` as it was.
    ///
    /// Signals from one process to another must arrive in the order in which they were sent: while a message's
    /// fragments are being sent, later ones of the same sender to the same receiver have to wait.
    ///
    /// If `out` is empty, the payload isn't copied.
    pub fn encode_or_fragment(
        &mut self,
        control: &impl Control,
        payload: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<Option<Fragments>, MessageTooLarge> {
        let start = out.len();
        let payload_start = self.put(control, payload, out);
        if out.len() - payload_start <= Fragments::SIZE || !self.supports(DistributionFlags::FRAGMENTS) {
            close_frame(start, out)?;
            return Ok(None);
        }
        let message = if start == 0 { std::mem::take(out) } else { out.split_off(start) };
        let head = HEADER_WITHOUT_ATOMS.len() + 4;
        Ok(Some(Fragments::new(self.sequence(), message, head, payload_start - start)))
    }

    /// The fragments of a message whose payload is what `start` writes, then `payload`, then `end`. `payload` is not
    /// copied. Only for a peer that takes fragments.
    pub fn fragment_parts(
        &mut self,
        control: &impl Control,
        start: impl FnOnce(&mut Vec<u8>),
        payload: Bytes,
        end: Bytes,
    ) -> Fragments {
        debug_assert!(control.has_payload() && self.supports(DistributionFlags::FRAGMENTS));
        let mut head = Vec::new();
        control.encode(&mut head);
        start(&mut head);
        Fragments::of_parts(self.sequence(), head, payload, end)
    }

    /// Whether the peer and we have all of these capabilities.
    #[inline]
    pub fn supports(&self, flags: DistributionFlags) -> bool {
        self.flags.contains(flags)
    }

    /// The negotiated flags.
    pub fn flags(&self) -> DistributionFlags {
        self.flags
    }

    /// Appends a gap for the length, and the message. Gives where the payload starts.
    #[inline]
    fn put(&mut self, control: &impl Control, payload: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&[0; 4]);
        match self.format {
            Format::Header => out.extend_from_slice(&HEADER_WITHOUT_ATOMS),
            Format::PassThrough => out.extend_from_slice(&[lead::PASS_THROUGH, lead::VERSION]),
        }
        control.encode(out);
        if !control.has_payload() {
            return out.len();
        }
        if self.format == Format::PassThrough {
            out.push(lead::VERSION);
        }
        let payload_start = out.len();
        payload(out);
        payload_start
    }

    /// The number of the next fragmented message. Never 0: that crashes the virtual machine of OTP 25 to 29.
    fn sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.checked_add(1).unwrap_or(1);
        sequence
    }
}

const HEADER_WITHOUT_ATOMS: [u8; 3] = [lead::VERSION, lead::HEADER, 0];

#[inline]
fn close_frame(start: usize, out: &mut Vec<u8>) -> Result<(), MessageTooLarge> {
    let length = out.len() - start - 4;
    if length > Outbound::MAX_FRAME {
        out.truncate(start);
        return Err(MessageTooLarge { length });
    }
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use peerl_term::{Term, encode};

    use super::*;
    use crate::{
        control::{Link, RegSend, Send, SendSender},
        test_support::{a, atom, b, hex},
    };

    const PASS_THROUGH: DistributionFlags = DistributionFlags::MANDATORY_26;
    const INLINE: DistributionFlags = DistributionFlags::FULL_MEMBER;

    fn encoded(flags: DistributionFlags, control: impl Control, payload: Term) -> Vec<u8> {
        let mut out = Vec::new();
        Outbound::new(flags).encode(&control, |out| encode::term(&payload, out), &mut out).unwrap();
        out
    }

    /// What OTP 25 sends to a peer that has no atom cache but takes fragments.
    #[test]
    fn inline_atoms() {
        let wire = "00000042 8344006803611658770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9770568656c6c6f";
        let control = SendSender { from: a(9), to: b(0x58) };
        assert_eq!(encoded(INLINE, control, Term::atom("hello")), hex(wire));
    }

    /// What OTP 25 sends to a peer that has neither.
    #[test]
    fn pass_through() {
        let wire = "0000002a 708368036102770058770b62403132372e302e302e310000005800000000000003e983770568656c6c6f";
        assert_eq!(encoded(PASS_THROUGH, Send { to: b(0x58) }, Term::atom("hello")), hex(wire));
        let wire = "0000003a 70836803610158770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9";
        let mut out = Vec::new();
        Outbound::new(PASS_THROUGH).encode_control(&Link { from: a(9), to: b(0x58) }, &mut out).unwrap();
        assert_eq!(out, hex(wire));
    }

    #[test]
    fn frames_are_appended() {
        let mut out = vec![1, 2, 3];
        let mut outbound = Outbound::new(INLINE);
        let control = RegSend { from: a(9), to: atom("sink") };
        outbound.encode(&control, encode::nil, &mut out).unwrap();
        let end = out.len();
        outbound.encode(&control, encode::nil, &mut out).unwrap();
        assert_eq!(out[..3], [1, 2, 3]);
        assert_eq!(out[3..end], out[end..]);
    }

    #[test]
    fn no_fragments_for_a_peer_that_does_not_take_them() {
        let mut out = Vec::new();
        let large = |out: &mut Vec<u8>| encode::binary(&[0; 100_000], out);
        let control = SendSender { from: a(9), to: b(0x58) };
        let fragments = Outbound::new(PASS_THROUGH).encode_or_fragment(&control, large, &mut out).unwrap();
        assert!(fragments.is_none() && out.len() > 100_000);
    }
}
