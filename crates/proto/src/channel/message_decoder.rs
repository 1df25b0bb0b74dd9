//! Decodes frames into messages.

use std::{mem, sync::Arc};

use bytes::{Buf, Bytes};
use peerl_term::{AtomTable, Decoder, Limits, Origin, RawTerm};

use super::{
    ChannelError, ChannelLimits, Loss, Message, lead,
    reassembly::{First, Reassembly},
    received_atoms::ReceivedAtoms,
};
use crate::{
    budget::{Lease, Share},
    control::{Content, ControlError, Head},
    frame::Frame,
};

/// Decodes the frames of a connection into messages.
///
/// Its memory holds the peer's cached atoms and the messages that wait for fragments; when idle, it takes less than 1
/// KiB.
#[derive(Debug)]
pub struct MessageDecoder {
    atoms: ReceivedAtoms,
    reassembly: Reassembly,
    origin: Origin,
    /// The largest payload in bytes.
    most: usize,
}

impl MessageDecoder {
    /// The decoder of a connection that has just come up.
    pub fn new(limits: ChannelLimits) -> Self {
        Self::with_memory(limits, Arc::new(Share::unlimited()), Origin::new(|_| {}))
    }

    /// As [`Self::new`]; what is kept of incomplete messages is taken from `memory`, and `origin` is notified when a payload
    /// turns out to be malformed on decoding, once.
    pub fn with_memory(limits: ChannelLimits, memory: Arc<Share>, origin: Origin) -> Self {
        let atoms = ReceivedAtoms::with_memory(memory.clone());
        let reassembly = Reassembly::new(limits, memory, origin.clone());
        MessageDecoder { atoms, reassembly, origin, most: limits.message }
    }

    /// Takes the next frame. Returns a message, except for a tick and for a fragment that is not the last.
    ///
    /// All three kinds of frames (pass-through, with a header, fragment) are accepted, whatever was negotiated.
    pub fn receive(&mut self, frame: Frame) -> Result<Option<Message>, ChannelError> {
        let mut message = Message::vacant();
        Ok(self.receive_into(frame, &mut message)?.then_some(message))
    }

    /// As [`Self::receive`], but overwrites `to` in place, which saves a move. Returns whether there is a message.
    pub fn receive_into(&mut self, frame: Frame, to: &mut Message) -> Result<bool, ChannelError> {
        let frame = match frame {
            Frame::Data(frame) => frame,
            Frame::Tick => return Ok(false),
            Frame::Oversize { head, length } => return self.receive_head(head, length, to),
        };
        match *frame {
            [lead::VERSION, lead::HEADER, ref header @ ..] => {
                let (atoms, length) = self.atoms.read_header(header)?;
                self.read(frame, 2 + length, atoms, to)?;
                Ok(true)
            }
            [lead::PASS_THROUGH, lead::VERSION, ..] => {
                self.read_pass_through(frame, to)?;
                Ok(true)
            }
            [lead::VERSION, lead::FIRST_FRAGMENT, ref rest @ ..] => {
                let (sequence, fragment, header) = fragment_ids(rest)?;
                let (atoms, length) = self.atoms.read_header(header)?;
                let control = read_control(&frame, frame.len(), 2 + 16 + length, &atoms, to)?;
                if fragment == 1 {
                    // A single fragment is the whole message.
                    self.reassembly.forget(sequence);
                    self.put_payload(control.payload(frame.len())?, frame, atoms, to);
                    return Ok(true);
                }
                control.may_be_fragmented()?;
                let message = mem::replace(to, Message::vacant());
                let first = First { message, control: control.end - (2 + 16 + length), atoms };
                let complete = self.reassembly.start(sequence, fragment, first, from(frame, control.end))?;
                Ok(put(complete, to))
            }
            [lead::VERSION, lead::FRAGMENT, ref rest @ ..] => {
                let (sequence, fragment, _) = fragment_ids(rest)?;
                let message = self.reassembly.go_on(sequence, fragment, &frame[2 + 16..])?;
                Ok(put(message, to))
            }
            _ => Err(ChannelError::UnknownFrame),
        }
    }

    /// Takes the head of a frame above the limit. Later messages need its atoms, and its control message must not be
    /// lost.
    #[cold]
    fn receive_head(&mut self, head: Bytes, length: usize, to: &mut Message) -> Result<bool, ChannelError> {
        let (start, atoms) = match *head {
            [lead::VERSION, lead::HEADER, ref header @ ..] => {
                let (atoms, header) = self.atoms.read_header(header)?;
                (2 + header, atoms)
            }
            [lead::PASS_THROUGH, lead::VERSION, ..] => (2, AtomTable::empty()),
            [lead::VERSION, lead::FIRST_FRAGMENT, ref rest @ ..] => {
                let (sequence, fragment, header) = fragment_ids(rest)?;
                let (atoms, header) = self.atoms.read_header(header)?;
                let control = read_control(&head, length, 2 + 16 + header, &atoms, to)?;
                control.may_be_fragmented()?;
                let message = mem::replace(to, Message::vacant());
                let lost = self.loss(length - control.end);
                let first = First { message, control: control.end - (2 + 16 + header), atoms: AtomTable::empty() };
                let complete = self.reassembly.start_lost(sequence, fragment, first, lost)?;
                return Ok(put(complete, to));
            }
            [lead::VERSION, lead::FRAGMENT, ref rest @ ..] => {
                let (sequence, fragment, _) = fragment_ids(rest)?;
                return Ok(put(self.reassembly.pass(sequence, fragment, length - 2 - 16)?, to));
            }
            _ => return Err(ChannelError::UnknownFrame),
        };
        let control = read_control(&head, length, start, &atoms, to)?;
        control.payload(length)?;
        (to.payload, to.lost) = (None, Some(self.loss(length - control.tail)));
        Ok(true)
    }

    /// Why so many bytes were not kept, and their number.
    fn loss(&self, bytes: usize) -> (Loss, usize) {
        (if bytes > self.most { Loss::TooLarge } else { Loss::NoRoom }, bytes)
    }

    /// Begins a period. Drops the payloads of messages that received no fragment in the last one; each is reported as
    /// lost when its last fragment arrives. Returns their number.
    pub fn begin_period(&mut self) -> usize {
        self.reassembly.begin_period()
    }

    /// What has been taken for the last message, if it came in fragments.
    pub fn take_lease(&mut self) -> Option<Lease> {
        self.reassembly.take_lease()
    }

    /// How many bytes of incomplete messages are held.
    pub fn waiting_bytes(&self) -> usize {
        self.reassembly.bytes()
    }

    /// Reads the message in a frame from `start` on.
    #[inline(always)]
    fn read(&self, frame: Bytes, start: usize, atoms: AtomTable, to: &mut Message) -> Result<(), ChannelError> {
        let control = read_control(&frame, frame.len(), start, &atoms, to)?;
        self.put_payload(control.payload(frame.len())?, frame, atoms, to);
        Ok(())
    }

    /// Reads a message without a header. Both terms begin with a version byte.
    fn read_pass_through(&self, frame: Bytes, to: &mut Message) -> Result<(), ChannelError> {
        let control = read_control(&frame, frame.len(), 2, &AtomTable::empty(), to)?;
        let mut start = control.payload(frame.len())?;
        if control.head.content == Content::Payload {
            if frame[control.end] != lead::VERSION || frame.len() == control.end + 1 {
                return Err(ChannelError::UnknownFrame);
            }
            start = Some(control.end + 1);
        }
        self.put_payload(start, frame, AtomTable::empty(), to);
        Ok(())
    }

    #[inline(always)]
    fn put_payload(&self, start: Option<usize>, frame: Bytes, atoms: AtomTable, to: &mut Message) {
        (to.payload, to.lost) = (None, None);
        let Some(start) = start else { return };
        let payload = from(frame, start);
        if payload.len() > self.most {
            to.lost = Some((Loss::TooLarge, payload.len()));
        } else {
            to.payload = Some(RawTerm::arrived(payload, atoms, self.origin.clone()));
        }
    }
}

fn put(message: Option<Message>, to: &mut Message) -> bool {
    let is_there = message.is_some();
    if let Some(message) = message {
        *to = message;
    }
    is_there
}

/// The largest control message: a trace token may have any label.
const LARGEST_CONTROL: usize = 1 << 20;

/// The largest exit reason inside a control message that is looked through on arrival. OTP 22 and later send reasons as payloads.
const LARGEST_INSIDE: usize = 1 << 20;

/// A control message in its frame.
#[derive(Clone, Copy)]
struct ControlPart {
    head: Head,
    /// The start of the term inside the control message, else the end of the control message.
    tail: usize,
    end: usize,
}

impl ControlPart {
    /// The start of the message's term in a frame of this length, if the operation has a term.
    #[inline(always)]
    fn payload(self, length: usize) -> Result<Option<usize>, ChannelError> {
        match (self.head.content, length > self.end) {
            (Content::Empty, false) => Ok(None),
            (Content::Payload, true) | (Content::Inside, false) => Ok(Some(self.tail)),
            (_, payload) => Err(ChannelError::Payload { operation: self.head.operation, payload }),
        }
    }

    /// Only a payload may span several fragments.
    fn may_be_fragmented(self) -> Result<(), ChannelError> {
        match self.head.content {
            Content::Payload => Ok(()),
            _ => Err(ChannelError::Payload { operation: self.head.operation, payload: true }),
        }
    }
}

/// Reads the control message at `start` of a frame of this length, of which only the first bytes may be there.
#[inline(always)]
fn read_control(
    frame: &Bytes,
    length: usize,
    start: usize,
    atoms: &AtomTable,
    to: &mut Message,
) -> Result<ControlPart, ChannelError> {
    // Identifiers, a name, the options of a spawn request, a trace token.
    const LIMITS: Limits = Limits { bytes: usize::MAX, elements: 1 << 12, decompressed: 0 };
    let control = &frame[start..frame.len().min(start.saturating_add(LARGEST_CONTROL))];
    let mut decoder = Decoder::from_slice(control, atoms, &LIMITS);
    let head = to.signal.read(&mut to.token, &mut decoder).map_err(ChannelError::from)?;
    to.operation = head.operation;
    let tail = start + decoder.position();
    if !head.content.is_inside() {
        return Ok(ControlPart { head, tail, end: tail });
    }
    if length - tail > LARGEST_INSIDE || length > frame.len() {
        // To pass over it would take long, or it is not kept. A malformed one is found when it is decoded.
        return Ok(ControlPart { head, tail, end: length });
    }
    // Decoded later, like a payload; but a malformed control message must be rejected now.
    let mut decoder = Decoder::from_slice(&frame[tail..], atoms, &LIMITS);
    decoder.skip_term().map_err(ControlError::from)?;
    Ok(ControlPart { head, tail, end: tail + decoder.position() })
}

#[inline]
fn from(mut frame: Bytes, start: usize) -> Bytes {
    frame.advance(start);
    frame
}

fn fragment_ids(bytes: &[u8]) -> Result<(u64, u64, &[u8]), ChannelError> {
    let (sequence, rest) = bytes.split_first_chunk().ok_or(ChannelError::Header)?;
    let (fragment, rest) = rest.split_first_chunk().ok_or(ChannelError::Header)?;
    Ok((u64::from_be_bytes(*sequence), u64::from_be_bytes(*fragment), rest))
}

#[cfg(test)]
mod tests {
    use peerl_term::Term;

    use super::*;
    use crate::{
        control::Signal,
        test_support::{a, atom, b, hex},
    };

    fn receive(decoder: &mut MessageDecoder, frame: &str) -> Result<Option<Message>, ChannelError> {
        decoder.receive(Frame::Data(hex(frame).into()))
    }

    /// OTP 25 to OTP 25, frames of one connection.
    #[test]
    fn captured_with_atom_cache() {
        let mut decoder = MessageDecoder::new(ChannelLimits::default());
        let first = "8344048fa900420b61403132372e302e302e3105006c0473696e6bab046d61726b6804610658520000000009\
                     00000000000003ea52015202680252036b0005737061776e";
        let message = receive(&mut decoder, first).unwrap().unwrap();
        assert_eq!(message.signal, Signal::SendToName { from: a(9), to: atom("sink") });
        let payload = message.payload.unwrap().decode().unwrap();
        assert_eq!(payload, Term::tuple([Term::atom("mark"), Term::charlist("spawn")]));

        let fourth = "83440407210042056cab680461065852000000000900000000000003ea52015202680252036b000473656e64";
        let message = receive(&mut decoder, fourth).unwrap().unwrap();
        assert_eq!(message.signal, Signal::SendToName { from: a(9), to: atom("sink") });
        let payload = message.payload.unwrap().decode().unwrap();
        assert_eq!(payload, Term::tuple([Term::atom("mark"), Term::charlist("send")]));
    }

    /// OTP 25 to a peer that offered fragments but no atom cache.
    #[test]
    fn captured_with_inline_atoms() {
        let mut decoder = MessageDecoder::new(ChannelLimits::default());
        let frame = "8344006803611658770b61403132372e302e302e310000000900000000000003ea58770b62403132372e302e302e31\
                     0000005800000000000003e9770568656c6c6f";
        let message = receive(&mut decoder, frame).unwrap().unwrap();
        assert_eq!(message.signal, Signal::Send { from: Some(a(9)), to: b(0x58) });
        assert_eq!(message.payload.unwrap().decode().unwrap(), Term::atom("hello"));
    }

    /// OTP 25 to a peer that offered neither.
    #[test]
    fn captured_pass_through() {
        let mut decoder = MessageDecoder::new(ChannelLimits::default());
        let frame = "70836804610658770b61403132372e302e302e310000000900000000000003ea7700770473696e6b83770568656c6c6f";
        let message = receive(&mut decoder, frame).unwrap().unwrap();
        assert_eq!(message.signal, Signal::SendToName { from: a(9), to: atom("sink") });
        assert_eq!(message.payload.unwrap().decode().unwrap(), Term::atom("hello"));

        let frame = "70836805611f5a0003770b61403132372e302e302e31000003ea00035b1d9fb40001f32d45d558770b614031\
                     32372e302e302e310000000900000000000003ea610058770b62403132372e302e302e310000005800000000000003e9";
        let message = receive(&mut decoder, frame).unwrap().unwrap();
        assert!(matches!(message.signal, Signal::SpawnReply { result: Ok(_), .. }));
        assert!(message.payload.is_none());
    }

    /// A reason inside the control message is the payload of the signal, in both framings.
    #[test]
    fn a_reason_inside() {
        let exit = "6804610358770b62403132372e302e302e310000005900000000000003e9\
                    58770b61403132372e302e302e310000000900000000000003ea7703627965";
        for frame in [format!("834400{exit}"), format!("7083{exit}")] {
            let message = receive(&mut MessageDecoder::new(ChannelLimits::default()), &frame).unwrap().unwrap();
            assert_eq!(message.signal, Signal::Exit { from: b(0x59), to: a(9) });
            assert_eq!(message.payload.unwrap().decode().unwrap(), Term::atom("bye"));
            let followed = receive(&mut MessageDecoder::new(ChannelLimits::default()), &format!("{frame}6a"));
            assert_eq!(followed.unwrap_err(), ChannelError::Payload { operation: 3, payload: true });
        }
    }

    /// Of a frame that is not kept, the reason inside is lost, and nothing else.
    #[test]
    fn a_reason_inside_of_which_only_the_beginning_is_there() {
        let exit = "834400\
                    6804610358770b62403132372e302e302e310000005900000000000003e9\
                    58770b61403132372e302e302e310000000900000000000003ea6d000c3500aabb";
        let frame = Frame::Oversize { head: hex(exit).into(), length: 800_100 };
        let message = MessageDecoder::new(ChannelLimits::default()).receive(frame).unwrap().unwrap();
        assert_eq!(message.signal, Signal::Exit { from: b(0x59), to: a(9) });
        assert!(message.payload.is_none() && matches!(message.lost, Some((Loss::NoRoom, 800_000..))));
    }

    #[test]
    fn ticks_are_no_messages() {
        assert!(MessageDecoder::new(ChannelLimits::default()).receive(Frame::Tick).unwrap().is_none());
    }

    #[test]
    fn refusals() {
        let link = "6803610158770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9";
        let send = "6803611658770b61403132372e302e302e310000000900000000000003ea\
                    58770b62403132372e302e302e310000005800000000000003e9";
        let refused = |frame: String| receive(&mut MessageDecoder::new(ChannelLimits::default()), &frame).unwrap_err();
        assert_eq!(refused("83".into()), ChannelError::UnknownFrame);
        assert_eq!(refused("8350".into()), ChannelError::UnknownFrame);
        assert_eq!(refused("7084".into()), ChannelError::UnknownFrame);
        assert_eq!(refused(format!("7083{send}84")), ChannelError::UnknownFrame);
        assert_eq!(refused(format!("7083{send}83")), ChannelError::UnknownFrame);
        assert_eq!(refused(format!("834400{link}6a")), ChannelError::Payload { operation: 1, payload: true });
        assert_eq!(refused(format!("834400{send}")), ChannelError::Payload { operation: 22, payload: false });
        assert!(matches!(refused("834400680161636a".into()), ChannelError::Control(_)));
        assert_eq!(refused("834500".into()), ChannelError::Header);
        assert_eq!(refused("834600".into()), ChannelError::Header);
    }

    #[test]
    fn an_idle_one_is_small() {
        assert!(size_of::<MessageDecoder>() < 1024);
    }
}
