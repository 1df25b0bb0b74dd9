//! Putting messages together from their fragments.
//!
//! Erlang docs: *External Term Format*, section "Distribution Header for fragmented messages".

use std::collections::{HashMap, hash_map::Entry};

use bytes::Bytes;
use peerl_term::{AtomTable, Origin, RawTerm};

use super::{ChannelError, ChannelLimits, Message};
use crate::control::{Control, ControlMessage};

/// The messages of which some fragments have come.
#[derive(Debug)]
pub(super) struct Reassembly {
    limits: ChannelLimits,
    origin: Origin,
    sequences: HashMap<u64, Sequence>,
    bytes: usize,
}

/// A message of which some fragments have come. The control message is whole in the first of them.
#[derive(Debug)]
struct Sequence {
    control: ControlMessage,
    /// Of the first fragment's header; the payload in all fragments refers to them.
    atoms: AtomTable,
    /// The number of the next fragment; they count down to 1.
    next: u64,
    payload: Vec<u8>,
}

impl Reassembly {
    pub(super) fn new(limits: ChannelLimits, origin: Origin) -> Self {
        Reassembly { limits, origin, sequences: HashMap::new(), bytes: 0 }
    }

    /// Takes the first fragment, whose number is how many there are.
    pub(super) fn start(
        &mut self,
        sequence: u64,
        fragment: u64,
        control: ControlMessage,
        atoms: AtomTable,
        payload: Bytes,
    ) -> Result<Option<Message>, ChannelError> {
        if fragment == 0 || self.sequences.contains_key(&sequence) {
            return Err(ChannelError::FragmentOrder { sequence, fragment });
        }
        if fragment == 1 {
            return finish(control, atoms, payload, &self.origin).map(Some);
        }
        if !control.has_payload() {
            return Err(ChannelError::Payload { operation: control.operation(), payload: true });
        }
        // A peer could start a message for each sequence number and finish none.
        if self.sequences.len() >= self.limits.sequences {
            return Err(ChannelError::TooManySequences { limit: self.limits.sequences });
        }
        self.claim(0, payload.len())?;
        let next = fragment - 1;
        self.sequences.insert(sequence, Sequence { control, atoms, next, payload: payload.to_vec() });
        Ok(None)
    }

    /// Takes a later fragment.
    pub(super) fn go_on(&mut self, sequence: u64, fragment: u64, data: &[u8]) -> Result<Option<Message>, ChannelError> {
        let arrived = self.sequences.get(&sequence).map_or(0, |open| open.payload.len());
        self.claim(arrived, data.len())?;
        let Entry::Occupied(mut open) = self.sequences.entry(sequence) else {
            return Err(ChannelError::FragmentOrder { sequence, fragment });
        };
        if fragment != open.get().next {
            return Err(ChannelError::FragmentOrder { sequence, fragment });
        }
        open.get_mut().append(data);
        if fragment > 1 {
            open.get_mut().next = fragment - 1;
            return Ok(None);
        }
        let whole = open.remove();
        self.bytes -= whole.payload.len();
        finish(whole.control, whole.atoms, whole.payload.into(), &self.origin).map(Some)
    }

    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn claim(&mut self, arrived: usize, more: usize) -> Result<(), ChannelError> {
        if arrived + more > self.limits.message {
            return Err(ChannelError::MessageTooLarge { limit: self.limits.message });
        }
        if self.bytes + more > self.limits.reassembly {
            return Err(ChannelError::ReassemblyFull { limit: self.limits.reassembly });
        }
        self.bytes += more;
        Ok(())
    }
}

impl Sequence {
    /// Makes room for what is still to come as far as the peer has shown that it means it: three times what has
    /// arrived at most. That spares most of the copying, and a peer that announces much and sends little gets little.
    fn append(&mut self, data: &[u8]) {
        if self.payload.capacity() - self.payload.len() < data.len() {
            let remaining = usize::try_from(self.next).unwrap_or(usize::MAX).saturating_mul(data.len());
            let arrived = self.payload.len() + data.len();
            self.payload.reserve_exact(remaining.min(3 * arrived).max(data.len()));
        }
        self.payload.extend_from_slice(data);
    }
}

fn finish(control: ControlMessage, atoms: AtomTable, payload: Bytes, origin: &Origin) -> Result<Message, ChannelError> {
    if control.has_payload() == payload.is_empty() {
        return Err(ChannelError::Payload { operation: control.operation(), payload: !payload.is_empty() });
    }
    let payload = (!payload.is_empty()).then(|| RawTerm::arrived(payload, atoms, origin.clone()));
    Ok(Message { control, payload })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        control::SendSender,
        test_support::{a, b},
    };

    fn start(
        reassembly: &mut Reassembly,
        sequence: u64,
        count: u64,
        data: &'static [u8],
    ) -> Result<bool, ChannelError> {
        let control = SendSender { from: a(1), to: b(2) }.into();
        let message = reassembly.start(sequence, count, control, AtomTable::empty(), Bytes::from_static(data))?;
        Ok(message.is_some())
    }

    fn limits() -> ChannelLimits {
        ChannelLimits { message: 10, reassembly: 15, sequences: 2 }
    }

    #[test]
    fn interleaved_sequences() {
        let mut reassembly = Reassembly::new(ChannelLimits::default(), Origin::new(|_| {}));
        assert!(!start(&mut reassembly, 7, 3, b"ab").unwrap());
        assert!(!start(&mut reassembly, 8, 2, b"xy").unwrap());
        assert!(reassembly.go_on(7, 2, b"cd").unwrap().is_none());
        let message = reassembly.go_on(8, 1, b"z").unwrap().unwrap();
        assert_eq!(message.payload.unwrap().bytes(), "xyz");
        let message = reassembly.go_on(7, 1, b"").unwrap().unwrap();
        assert_eq!(message.payload.unwrap().bytes(), "abcd");
        assert_eq!(reassembly.bytes(), 0);
        assert!(start(&mut reassembly, 7, 1, b"again").unwrap());
    }

    #[test]
    fn order() {
        let out_of_order = |sequence, fragment| Err(ChannelError::FragmentOrder { sequence, fragment });
        let mut reassembly = Reassembly::new(limits(), Origin::new(|_| {}));
        assert_eq!(start(&mut reassembly, 1, 0, b"a"), out_of_order(1, 0));
        assert!(!start(&mut reassembly, 1, 3, b"a").unwrap());
        assert_eq!(start(&mut reassembly, 1, 3, b"a"), out_of_order(1, 3));
        for (sequence, fragment) in [(1, 3), (1, 1), (1, 0), (2, 2)] {
            assert_eq!(reassembly.go_on(sequence, fragment, b"").map(|_| false), out_of_order(sequence, fragment));
        }
    }

    #[test]
    fn limits_hold() {
        let mut reassembly = Reassembly::new(limits(), Origin::new(|_| {}));
        assert!(!start(&mut reassembly, 1, u64::MAX, b"12345678").unwrap());
        let refused = reassembly.go_on(1, u64::MAX - 1, b"901").unwrap_err();
        assert_eq!(refused, ChannelError::MessageTooLarge { limit: 10 });
        let refused = start(&mut reassembly, 2, 3, b"12345678").unwrap_err();
        assert_eq!(refused, ChannelError::ReassemblyFull { limit: 15 });
        assert!(!start(&mut reassembly, 2, 2, b"").unwrap());
        let refused = start(&mut reassembly, 3, 2, b"").unwrap_err();
        assert_eq!(refused, ChannelError::TooManySequences { limit: 2 });
    }

    #[test]
    fn room_is_bounded_by_what_has_arrived() {
        let mut reassembly = Reassembly::new(ChannelLimits::default(), Origin::new(|_| {}));
        let _ = start(&mut reassembly, 1, u64::MAX, b"12345678").unwrap();
        let _ = reassembly.go_on(1, u64::MAX - 1, &[0; 1000]).unwrap();
        assert!(reassembly.sequences[&1].payload.capacity() <= 4 * 1008);
    }
}
