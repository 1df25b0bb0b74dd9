//! Encodes messages into frames.

use bytes::Bytes;
use peerl_term::Sink;

use super::{Fragments, MessageBuffer, Rename, lead, sent_atoms::SentAtoms};
use crate::{
    control::{Content, Control, Offered},
    fault::Fault,
    flags::DistributionFlags,
};

/// Encodes the messages of a connection into frames, in the formats that the peer's flags offer. The
/// [`Forms`](crate::control::Forms) of the same flags choose the control messages.
///
/// For a peer with an atom cache, an atom is sent by name once and by its cache slot from then on; for other peers
/// always by name (in a header without entries, or without a header).
#[derive(Debug)]
pub struct MessageEncoder {
    flags: DistributionFlags,
    format: Format,
    /// The contents of the peer's cache.
    atoms: SentAtoms,
    /// Scratch space for a message whose header is not known yet.
    message: Vec<u8>,
    next_sequence: u64,
    rename: Option<Rename>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    PassThrough,
    /// A header without atoms.
    Header,
    /// A header that lists the message's atoms.
    AtomCache,
}

/// Why a message cannot be sent to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsendable {
    /// It does not fit one frame, and the peer does not accept fragments.
    #[error("a message of {length} bytes does not fit one frame, and the peer does not accept fragments")]
    TooLarge {
        /// The length of the frame.
        length: usize,
    },
    /// It contains a native record; peers before OTP 29 end the connection on one.
    #[error("a native record, which the peer does not accept")]
    NativeRecord,
}

impl Unsendable {
    /// Always of releases or capabilities: another peer may accept the message.
    pub fn fault(&self) -> Fault {
        Fault::PeerIncompatible
    }
}

impl MessageEncoder {
    /// The largest frame that a BEAM takes (`{packet, 4}` has a signed length there).
    pub const MAX_FRAME: usize = i32::MAX as usize;

    /// Scratch space up to this size is kept for the next message.
    const KEPT: usize = 4 << 10;

    /// The encoder for a connection with these negotiated flags.
    pub fn new(flags: DistributionFlags) -> Self {
        let format = if flags.contains(DistributionFlags::DIST_HDR_ATOM_CACHE) {
            Format::AtomCache
        } else if flags.contains(DistributionFlags::FRAGMENTS) {
            Format::Header
        } else {
            Format::PassThrough
        };
        MessageEncoder {
            flags,
            format,
            atoms: SentAtoms::default(),
            message: Vec::new(),
            next_sequence: 1,
            rename: None,
        }
    }

    /// Sets the name by which the peer knows this node, if it differs from the node's own.
    ///
    /// All terms encoded here use it. Terms encoded before are sent unchanged.
    pub fn with_rename(mut self, rename: Option<Rename>) -> Self {
        self.rename = rename;
        self
    }

    /// The name by which the peer knows this node, if it differs from the node's own.
    pub fn rename(&self) -> Option<&Rename> {
        self.rename.as_ref()
    }

    /// Appends the frame of a message, with its length, to `out`.
    ///
    /// `payload` appends the message's term without a version byte; it is called only if the control message has one.
    /// The message becomes one frame, however large: see [`Self::encode_or_fragment`]. After an error `out` is
    /// unchanged.
    ///
    /// Frames must be sent in the order of encoding.
    #[inline]
    pub fn encode(
        &mut self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        out: &mut Vec<u8>,
    ) -> Result<(), Unsendable> {
        if self.format == Format::AtomCache && self.put_cached(control, &payload, usize::MAX, out)? {
            return Ok(());
        }
        let start = out.len();
        self.put_inline(control, payload, out)?;
        close_frame(start, out)
    }

    /// As [`Self::encode`]; but if the payload is larger than [`Fragments::LARGE`] and the peer accepts fragments,
    /// returns fragments, which the caller sends with other messages between them, and leaves `out` unchanged.
    ///
    /// Frames must be sent in the order of encoding; fragments may be sent later. But signals from one process to
    /// another must arrive in order: while fragments of a message are being sent, later messages of the same sender
    /// to the same receiver must wait, and be encoded [apart](Self::encode_apart).
    ///
    /// `payload` may be called twice.
    pub fn encode_or_fragment(
        &mut self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        out: &mut Vec<u8>,
    ) -> Result<Option<Fragments>, Unsendable> {
        let largest = if self.supports(DistributionFlags::FRAGMENTS) { Fragments::LARGE } else { usize::MAX };
        if self.format == Format::AtomCache && self.put_cached(control, &payload, largest, out)? {
            return Ok(None);
        }
        self.encode_apart(control, payload, out)
    }

    /// Appends the frame of a message if it is small. Returns `false` for a larger one, which leaves `out` unchanged and is to be
    /// encoded [apart](Self::encode_apart).
    ///
    /// Small is a payload of up to [`Fragments::LARGE`] in a message of up to twice as much.
    #[inline]
    pub fn encode_small(
        &mut self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        out: &mut Vec<u8>,
    ) -> Result<bool, Unsendable> {
        if self.format == Format::AtomCache {
            return self.put_cached(control, payload, Fragments::LARGE, out);
        }
        let start = out.len();
        let payload_start = self.put_inline(control, payload, out)?;
        if out.len() - payload_start > Fragments::LARGE || out.len() - start > 2 * Fragments::LARGE {
            out.truncate(start);
            out.shrink_to(start + Fragments::LARGE);
            return Ok(false);
        }
        close_frame(start, out)?;
        Ok(true)
    }

    /// As [`Self::encode_or_fragment`], for a message that may be sent after messages encoded later: its atoms are
    /// inline.
    ///
    /// If `out` is empty, a large payload is not copied.
    pub fn encode_apart(
        &mut self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        out: &mut Vec<u8>,
    ) -> Result<Option<Fragments>, Unsendable> {
        let start = out.len();
        let payload_start = self.put_inline(control, payload, out)?;
        if out.len() - payload_start <= Fragments::LARGE || !self.supports(DistributionFlags::FRAGMENTS) {
            close_frame(start, out)?;
            return Ok(None);
        }
        let message = if start == 0 { std::mem::take(out) } else { out.split_off(start) };
        let head = HEADER_WITHOUT_ATOMS.len() + 4;
        Ok(Some(Fragments::new(self.sequence(), message, head, payload_start - start)))
    }

    /// The fragments of a message whose payload is what `start` writes, then `payload`, then `end`. `payload` is not
    /// copied. Requires a peer that accepts fragments.
    pub fn fragment_parts(
        &mut self,
        control: &Offered<impl Control>,
        start: impl FnOnce(&mut MessageBuffer<'_>),
        payload: Bytes,
        end: Bytes,
    ) -> Result<Fragments, Unsendable> {
        debug_assert!(control.content() == Content::Payload && self.supports(DistributionFlags::FRAGMENTS));
        let mut head = Vec::new();
        let mut buffer = MessageBuffer::inline(&mut head, self.rename.as_ref());
        control.encode(&mut buffer);
        start(&mut buffer);
        self.check(&buffer)?;
        Ok(Fragments::of_parts(self.sequence(), head, payload, end))
    }

    /// Whether both sides offered all of these capabilities.
    #[inline]
    pub fn supports(&self, flags: DistributionFlags) -> bool {
        self.flags.contains(flags)
    }

    /// Appends the frame of a message with its atoms in the header. Returns `false`, without a frame, if the payload
    /// exceeds `largest` bytes, or the message exceeds twice as many.
    #[inline]
    fn put_cached(
        &mut self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        largest: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Unsendable> {
        debug_assert!(control.control().is_offered(self.flags));
        self.message.clear();
        self.atoms.begin();
        let mut buffer = MessageBuffer::caching(&mut self.message, &mut self.atoms, self.rename.as_ref());
        control.encode(&mut buffer);
        let mut payload_start = buffer.position();
        if control.content() != Content::Empty {
            payload(&mut buffer);
        }
        if control.content() == Content::Inside {
            // The whole control message goes into the first fragment.
            payload_start = buffer.position();
        }
        if buffer.has_records() && !self.flags.contains(DistributionFlags::NATIVE_RECORDS) {
            self.atoms.take_back();
            return Err(Unsendable::NativeRecord);
        }
        if self.message.len() - payload_start > largest || self.message.len() > largest.saturating_mul(2) {
            self.atoms.take_back();
            self.message = Vec::new();
            return Ok(false);
        }
        let start = out.len();
        out.extend_from_slice(&[0, 0, 0, 0, lead::VERSION, lead::HEADER]);
        self.atoms.write_header(out);
        out.extend_from_slice(&self.message);
        if self.message.capacity() > Self::KEPT {
            self.message = Vec::new();
        }
        let fits = close_frame(start, out).is_ok();
        if !fits {
            self.atoms.take_back();
        }
        Ok(fits)
    }

    /// Appends space for the length, then the message with inline atoms. Returns the start of the payload.
    ///
    /// After an error `out` is unchanged.
    #[inline]
    fn put_inline(
        &self,
        control: &Offered<impl Control>,
        payload: impl Fn(&mut MessageBuffer<'_>),
        out: &mut Vec<u8>,
    ) -> Result<usize, Unsendable> {
        debug_assert!(control.control().is_offered(self.flags));
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.format {
            Format::Header | Format::AtomCache => out.extend_from_slice(&HEADER_WITHOUT_ATOMS),
            Format::PassThrough => out.extend_from_slice(&[lead::PASS_THROUGH, lead::VERSION]),
        }
        let mut buffer = MessageBuffer::inline(out, self.rename.as_ref());
        control.encode(&mut buffer);
        if control.content() == Content::Inside {
            payload(&mut buffer);
        }
        if control.content() == Content::Payload && self.format == Format::PassThrough {
            buffer.put_u8(lead::VERSION);
        }
        let payload_start = buffer.position();
        if control.content() == Content::Payload {
            payload(&mut buffer);
        }
        if let Err(unsendable) = self.check(&buffer) {
            out.truncate(start);
            return Err(unsendable);
        }
        Ok(payload_start)
    }

    fn check(&self, buffer: &MessageBuffer<'_>) -> Result<(), Unsendable> {
        match buffer.has_records() && !self.flags.contains(DistributionFlags::NATIVE_RECORDS) {
            true => Err(Unsendable::NativeRecord),
            false => Ok(()),
        }
    }

    /// The number of the next fragmented message. Never 0, which crashes the virtual machine of OTP 25 to 29.
    fn sequence(&mut self) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence = sequence.checked_add(1).unwrap_or(1);
        sequence
    }
}

const HEADER_WITHOUT_ATOMS: [u8; 3] = [lead::VERSION, lead::HEADER, 0];

#[inline]
fn close_frame(start: usize, out: &mut Vec<u8>) -> Result<(), Unsendable> {
    let length = out.len() - start - 4;
    if length > MessageEncoder::MAX_FRAME {
        out.truncate(start);
        return Err(Unsendable::TooLarge { length });
    }
    out[start..start + 4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use peerl_term::{Term, encode};

    use super::*;
    use crate::{
        channel::{ChannelLimits, Message, MessageDecoder},
        control::{Forms, Signal},
        frame::Frame,
        test_support::{a, atom, b, hex},
    };

    const PASS_THROUGH: DistributionFlags = DistributionFlags::MANDATORY_26;
    const CACHE: DistributionFlags = DistributionFlags::FULL_MEMBER;
    const INLINE: DistributionFlags = CACHE.difference(DistributionFlags::DIST_HDR_ATOM_CACHE);

    fn encoded(flags: DistributionFlags, payload: Term) -> Vec<u8> {
        let mut out = Vec::new();
        let control = Forms::new(flags).send(a(9), b(0x58));
        MessageEncoder::new(flags).encode(&control, |out| encode::term(&payload, out), &mut out).unwrap();
        out
    }

    /// OTP 25 to a peer that offered fragments but no atom cache.
    #[test]
    fn inline_atoms() {
        let wire = "00000042 8344006803611658770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9770568656c6c6f";
        assert_eq!(encoded(INLINE, Term::atom("hello")), hex(wire));
    }

    /// OTP 25 to a peer that offered neither.
    #[test]
    fn pass_through() {
        let wire = "0000002a 708368036102770058770b62403132372e302e302e310000005800000000000003e983770568656c6c6f";
        assert_eq!(encoded(PASS_THROUGH, Term::atom("hello")), hex(wire));
        let wire = "0000003a 70836803610158770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9";
        let mut out = Vec::new();
        MessageEncoder::new(PASS_THROUGH)
            .encode(&Forms::new(PASS_THROUGH).link(a(9), b(0x58)), |_| {}, &mut out)
            .unwrap();
        assert_eq!(out, hex(wire));
    }

    #[test]
    fn frames_are_appended() {
        let mut out = vec![1, 2, 3];
        let mut encoder = MessageEncoder::new(INLINE);
        let control = Forms::new(INLINE).reg_send(a(9), atom("sink"));
        encoder.encode(&control, |out| encode::nil(out), &mut out).unwrap();
        let end = out.len();
        encoder.encode(&control, |out| encode::nil(out), &mut out).unwrap();
        assert_eq!(out[..3], [1, 2, 3]);
        assert_eq!(out[3..end], out[end..]);
    }

    fn received(decoder: &mut MessageDecoder, frame: &[u8]) -> Message {
        decoder.receive(Frame::Data(frame[4..].to_vec().into())).unwrap().unwrap()
    }

    #[test]
    fn atoms_are_sent_once() {
        let (mut encoder, mut decoder) = (MessageEncoder::new(CACHE), MessageDecoder::new(ChannelLimits::default()));
        let control = Forms::new(CACHE).reg_send(a(9), atom("sink"));
        let payload = Term::tuple([Term::atom("hello"), Term::from(a(7)), Term::atom("")]);
        let mut lengths = Vec::new();
        for _ in 0..3 {
            let mut out = Vec::new();
            encoder.encode(&control, |out| encode::term(&payload, out), &mut out).unwrap();
            let message = received(&mut decoder, &out);
            assert_eq!(message.signal, Signal::SendToName { from: a(9), to: atom("sink") });
            assert_eq!(message.payload.unwrap().decode().unwrap(), payload);
            lengths.push(out.len());
        }
        let names = ["a@127.0.0.1", "sink", "hello", ""].map(|name| 1 + name.len()).iter().sum::<usize>();
        assert_eq!(lengths, [lengths[1] + names, lengths[1], lengths[1]]);
    }

    #[test]
    fn what_goes_out_later_leaves_the_cache_alone() {
        let (mut encoder, mut decoder) = (MessageEncoder::new(CACHE), MessageDecoder::new(ChannelLimits::default()));
        let control = Forms::new(CACHE).reg_send(a(9), atom("sink"));
        let large = Term::tuple([Term::atom("large"), Term::binary(vec![0; 100_000])]);
        let mut out = Vec::new();
        let fragments =
            encoder.encode_or_fragment(&control, |out| encode::term(&large, out), &mut out).unwrap().unwrap();
        assert!(out.is_empty());
        let mut apart = Vec::new();
        let none = encoder.encode_apart(&control, |out| encode::term(&Term::atom("apart"), out), &mut apart).unwrap();
        assert!(none.is_none());
        encoder.encode(&control, |out| encode::term(&Term::atom("small"), out), &mut out).unwrap();
        // The last message arrives first.
        let payload = |message: Message| message.payload.unwrap().decode().unwrap();
        assert_eq!(payload(received(&mut decoder, &out)), Term::atom("small"));
        let frames = fragments.map(|fragment| [fragment.head, fragment.data].concat());
        let message =
            frames.filter_map(|frame| decoder.receive(Frame::Data(frame[4..].to_vec().into())).unwrap()).last();
        assert_eq!(payload(message.unwrap()), large);
        assert_eq!(payload(received(&mut decoder, &apart)), Term::atom("apart"));
    }

    #[test]
    fn no_native_record_for_a_peer_that_does_not_take_them() {
        // `#m:r{fresh = 1}` of OTP 29.
        let record = hex("83 43 00000001 01 77016d 770172 77056672657368 6101");
        let record = Term::decode(&record.into()).unwrap();
        let payload = Term::list([Term::atom("fresh"), record]);
        let payload = &payload;
        let write = |out: &mut MessageBuffer<'_>| encode::term(payload, out);
        for flags in [CACHE, INLINE, PASS_THROUGH].map(|flags| flags.difference(DistributionFlags::NATIVE_RECORDS)) {
            let control = &Forms::new(flags).send(a(9), b(0x58));
            let mut encoder = MessageEncoder::new(flags);
            let mut out = vec![1];
            assert_eq!(encoder.encode(control, write, &mut out), Err(Unsendable::NativeRecord));
            assert_eq!(encoder.encode_or_fragment(control, write, &mut out).err(), Some(Unsendable::NativeRecord));
            assert_eq!(out, [1]);
            if flags.contains(DistributionFlags::FRAGMENTS) {
                let parts = encoder.fragment_parts(control, write, vec![0; 100_000].into(), Bytes::new());
                assert_eq!(parts.err(), Some(Unsendable::NativeRecord));
            }
            // A message that was not sent leaves the peer's cache unchanged.
            let mut decoder = MessageDecoder::new(ChannelLimits::default());
            out.clear();
            encoder.encode(control, |out| encode::term(&Term::atom("fresh"), out), &mut out).unwrap();
            assert_eq!(received(&mut decoder, &out).payload.unwrap().decode().unwrap(), Term::atom("fresh"));
        }
        let mut out = Vec::new();
        let control = Forms::new(CACHE).send(a(9), b(0x58));
        MessageEncoder::new(CACHE).encode(&control, write, &mut out).unwrap();
        assert_eq!(
            received(&mut MessageDecoder::new(ChannelLimits::default()), &out).payload.unwrap().decode(),
            Ok(payload.clone())
        );
    }

    #[test]
    fn pids_have_the_name_that_the_peer_knows() {
        let rename = Rename { own: atom("a@127.0.0.1"), on_connection: atom("c@h") };
        let payload = Term::tuple([Term::from(a(9)), Term::atom("a@127.0.0.1"), Term::from(b(1))]);
        let mut renamed = a(9);
        renamed.node = rename.on_connection.clone();
        for flags in [CACHE, INLINE] {
            let mut encoder = MessageEncoder::new(flags).with_rename(Some(rename.clone()));
            let mut out = Vec::new();
            let control = Forms::new(flags).send(a(9), b(0x58));
            encoder.encode(&control, |out| encode::term(&payload, out), &mut out).unwrap();
            let message = received(&mut MessageDecoder::new(ChannelLimits::default()), &out);
            assert_eq!(message.signal, Signal::Send { from: Some(renamed.clone()), to: b(0x58) });
            let expected = Term::tuple([Term::from(renamed.clone()), Term::atom("a@127.0.0.1"), Term::from(b(1))]);
            assert_eq!(message.payload.unwrap().decode().unwrap(), expected);
        }
    }

    #[test]
    fn no_fragments_for_a_peer_that_does_not_take_them() {
        let mut out = Vec::new();
        let large = |out: &mut MessageBuffer<'_>| encode::binary(&[0; 100_000], out);
        let control = Forms::new(PASS_THROUGH).send(a(9), b(0x58));
        let fragments = MessageEncoder::new(PASS_THROUGH).encode_or_fragment(&control, large, &mut out).unwrap();
        assert!(fragments.is_none() && out.len() > 100_000);
    }
}
