//! Assembles messages from their fragments.
//!
//! Erlang docs: *External Term Format*, section "Distribution Header for fragmented messages".
//!
//! A BEAM lets all senders of large messages write in turn: 120 senders have 120 incomplete messages at once, whose
//! last fragments arrive at about the same time. To stop reading when memory is used up would deadlock, because only
//! unread fragments complete a message. So the bound applies to the connection and is large enough for usual loads.
//! When it is reached, the message whose last fragment is oldest loses its payload and fails alone, like one that is
//! too large. A sender that dies part-way sends no notice: a message without a new fragment is dropped after a while.
//!
//! A dropped message stays in the table without its payload, because its fragments still arrive.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;
use peerl_term::{AtomTable, Origin, RawTerm};

use super::payload::{Payload, on_heap};
use super::{ChannelError, ChannelLimits, Loss, Message};
use crate::budget::{Lease, Share};

/// The incomplete messages.
#[derive(Debug)]
pub(super) struct Reassembly {
    limits: ChannelLimits,
    /// What the peer may have kept.
    memory: Arc<Share>,
    origin: Origin,
    sequences: HashMap<u64, Sequence>,
    /// How many bytes of payload are held.
    bytes: usize,
    /// A logical clock: it counts fragments and losses.
    clock: u64,
    /// The sequences with a payload, by the clock of their last fragment.
    kept: BTreeMap<u64, u64>,
    /// The sequences whose payload was dropped, by the clock of the loss.
    lost: BTreeMap<u64, u64>,
    /// The clock at the start of the current period.
    period: u64,
    /// What was taken for the message that was completed last.
    completed: Option<Lease>,
}

/// An incomplete message. Its control message is complete: it is in the first fragment.
#[derive(Debug)]
struct Sequence {
    /// The message without its payload.
    message: Message,
    /// The number of the next fragment; numbers count down to 1.
    next: u64,
    content: Content,
    /// What is taken for it.
    lease: Lease,
    /// Its key in [`Reassembly::kept`] or [`Reassembly::lost`].
    clock: u64,
}

#[derive(Debug)]
enum Content {
    /// The atoms of the first fragment's header; all fragments of the payload refer to them.
    Kept {
        atoms: AtomTable,
        payload: Payload,
    },
    Lost {
        why: Loss,
        bytes: usize,
    },
}

/// The beginning of a message, in its first fragment.
pub(super) struct First {
    /// The message without its payload.
    pub(super) message: Message,
    /// The size of the control message, encoded.
    pub(super) control: usize,
    pub(super) atoms: AtomTable,
}

impl Reassembly {
    /// What an entry of the table takes, besides the payload and the control message.
    const ENTRY: usize = 1 << 10;

    /// What a control message takes for each of its bytes, when it is decoded.
    const CONTROL: usize = 24;

    /// So many incomplete messages may be there in any case. They take less than the connection itself.
    const FEW: usize = 8;

    pub(super) fn new(limits: ChannelLimits, memory: Arc<Share>, origin: Origin) -> Self {
        Reassembly {
            limits,
            memory,
            origin,
            sequences: HashMap::new(),
            bytes: 0,
            clock: 0,
            kept: BTreeMap::new(),
            lost: BTreeMap::new(),
            period: 0,
            completed: None,
        }
    }

    /// What was taken for the message that was completed last.
    pub(super) fn take_lease(&mut self) -> Option<Lease> {
        self.completed.take()
    }

    /// Takes the first fragment, whose number is the count of fragments. If the sequence is in the table already, its
    /// sender has died, and it begins anew.
    pub(super) fn start(
        &mut self,
        sequence: u64,
        fragment: u64,
        first: First,
        payload: Bytes,
    ) -> Result<Option<Message>, ChannelError> {
        if fragment == 0 {
            return Err(ChannelError::FragmentOrder { sequence, fragment });
        }
        self.forget(sequence);
        if self.sequences.len() >= self.limits.sequences {
            self.forget_oldest();
        }
        let First { message, control, atoms } = first;
        let content = Content::Kept { atoms, payload: Payload::new(&[]) };
        let lease = self.lease_entry(Self::ENTRY + control * Self::CONTROL);
        let clock = self.tick();
        self.kept.insert(clock, sequence);
        self.sequences.insert(sequence, Sequence { message, next: fragment, content, lease, clock });
        self.go_on(sequence, fragment, &payload)
    }

    /// Takes a first fragment above the frame limit.
    pub(super) fn start_lost(
        &mut self,
        sequence: u64,
        fragment: u64,
        first: First,
        (why, bytes): (Loss, usize),
    ) -> Result<Option<Message>, ChannelError> {
        if fragment > 1 {
            let none = self.start(sequence, fragment, first, Bytes::new())?;
            self.lose(sequence, why);
            if let Some(Sequence { content: Content::Lost { bytes: lost, .. }, .. }) = self.sequences.get_mut(&sequence)
            {
                *lost = bytes;
            }
            return Ok(none);
        }
        self.forget(sequence);
        let lost = Some((why, bytes));
        finish(first.message, AtomTable::empty(), Bytes::new(), lost, &self.origin).map(Some)
    }

    /// Takes a further fragment of a sequence.
    pub(super) fn go_on(&mut self, sequence: u64, fragment: u64, data: &[u8]) -> Result<Option<Message>, ChannelError> {
        self.advance(sequence, fragment, data.len())?;
        if let Some(Sequence { next, lease, content: Content::Kept { payload, .. }, .. }) =
            self.sequences.get_mut(&sequence)
        {
            let more = usize::try_from(*next).unwrap_or(usize::MAX).saturating_mul(data.len());
            let more = more.min(self.limits.message - payload.len());
            let spare = payload.spare(data.len(), more);
            // There is none for the fragments to come where that would leave little for other messages.
            let is_given = spare > 0 && lease.share().has_room(8 * spare) && lease.grow(on_heap(spare));
            let leased = payload.kept().max(payload.kept_with(data.len())) + if is_given { on_heap(spare) } else { 0 };
            payload.append(data, if is_given || spare == 0 { more } else { 0 });
            lease.shrink(leased.saturating_sub(payload.kept()));
            self.bytes += data.len();
        }
        self.complete(sequence, fragment)
    }

    /// Takes a further fragment above the frame limit.
    pub(super) fn pass(&mut self, sequence: u64, fragment: u64, bytes: usize) -> Result<Option<Message>, ChannelError> {
        self.advance(sequence, fragment, bytes)?;
        self.complete(sequence, fragment)
    }

    /// Begins a period: drops the payloads of messages without a fragment in the last one. Returns their number.
    pub(super) fn begin_period(&mut self) -> usize {
        let idle: Vec<u64> = self.kept.range(..self.period).map(|(_, sequence)| *sequence).collect();
        for sequence in &idle {
            self.lose(*sequence, Loss::GivenUp);
        }
        self.period = self.clock + 1;
        idle.len()
    }

    /// How many bytes are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Checks that a fragment is the next of its sequence, and makes room for it.
    fn advance(&mut self, sequence: u64, fragment: u64, more: usize) -> Result<(), ChannelError> {
        let clock = self.tick();
        let open = self.sequences.get_mut(&sequence).filter(|open| fragment > 0 && open.next == fragment);
        let Some(open) = open else { return Err(ChannelError::FragmentOrder { sequence, fragment }) };
        open.next = fragment - 1;
        let arrived = match &open.content {
            Content::Kept { payload, .. } => {
                self.kept.remove(&open.clock);
                self.kept.insert(clock, sequence);
                open.clock = clock;
                payload.len()
            }
            Content::Lost { .. } => 0,
        };
        if arrived.saturating_add(more) > self.limits.message {
            self.lose(sequence, Loss::TooLarge);
        }
        while self.is_kept(sequence) && !self.has_room(sequence, more) {
            // The oldest may be this sequence itself.
            let Some(oldest) = self.kept.values().next().copied() else { break };
            self.lose(oldest, Loss::NoRoom);
        }
        if let Some(Sequence { content: Content::Lost { bytes, .. }, .. }) = self.sequences.get_mut(&sequence) {
            *bytes = bytes.saturating_add(more);
        }
        Ok(())
    }

    /// Takes what a fragment of a kept sequence needs. Returns whether there is that much.
    fn has_room(&mut self, sequence: u64, more: usize) -> bool {
        let Some(open) = self.sequences.get_mut(&sequence) else { return true };
        let needed = match &open.content {
            Content::Kept { payload, .. } => payload.kept_with(more).saturating_sub(payload.kept()),
            Content::Lost { .. } => 0,
        };
        self.bytes.saturating_add(more) <= self.limits.reassembly && open.lease.grow(needed)
    }

    /// What the entry of a new sequence takes. Without room for it, older ones lose their payloads; without any payload left, they
    /// go: a further fragment of them is an error.
    fn lease_entry(&mut self, bytes: usize) -> Lease {
        let mut lease = Lease::nothing(self.memory.clone());
        while !lease.grow(bytes) {
            match self.kept.values().next().copied() {
                Some(oldest) => self.lose(oldest, Loss::NoRoom),
                None if self.sequences.len() >= Self::FEW => self.forget_oldest(),
                None => break,
            }
        }
        lease
    }

    fn is_kept(&self, sequence: u64) -> bool {
        matches!(self.sequences.get(&sequence), Some(Sequence { content: Content::Kept { .. }, .. }))
    }

    /// Returns the message, if this was its last fragment.
    fn complete(&mut self, sequence: u64, fragment: u64) -> Result<Option<Message>, ChannelError> {
        let Entry::Occupied(open) = self.sequences.entry(sequence) else { return Ok(None) };
        if fragment > 1 {
            return Ok(None);
        }
        let Sequence { message, content, lease, clock, .. } = open.remove();
        let (atoms, payload, lost) = match content {
            Content::Kept { atoms, payload } => {
                self.kept.remove(&clock);
                self.bytes -= payload.len();
                self.completed = Some(lease);
                (atoms, payload.into_bytes(), None)
            }
            Content::Lost { why, bytes } => {
                self.lost.remove(&clock);
                (AtomTable::empty(), Bytes::new(), Some((why, bytes)))
            }
        };
        finish(message, atoms, payload, lost, &self.origin).map(Some)
    }

    /// Drops a payload.
    fn lose(&mut self, sequence: u64, why: Loss) {
        let clock = self.tick();
        let Some(open) = self.sequences.get_mut(&sequence) else { return };
        let Content::Kept { payload, .. } = &open.content else { return };
        let (bytes, kept) = (payload.len(), payload.kept());
        self.bytes -= bytes;
        self.kept.remove(&open.clock);
        self.lost.insert(clock, sequence);
        (open.clock, open.content) = (clock, Content::Lost { why, bytes });
        open.lease.shrink(kept);
    }

    /// Removes a sequence whose sender has died; another sender uses its number.
    pub(super) fn forget(&mut self, sequence: u64) {
        let Some(open) = self.sequences.remove(&sequence) else { return };
        self.kept.remove(&open.clock);
        self.lost.remove(&open.clock);
        if let Content::Kept { payload, .. } = &open.content {
            self.bytes -= payload.len();
        }
    }

    /// Removes the oldest sequence, one without a payload first. A further fragment of it is an error.
    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.lost.values().chain(self.kept.values()).next().copied() {
            self.forget(oldest);
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

fn finish(
    message: Message,
    atoms: AtomTable,
    payload: Bytes,
    lost: Option<(Loss, usize)>,
    origin: &Origin,
) -> Result<Message, ChannelError> {
    if lost.is_some() {
        return Ok(Message { lost, ..message });
    }
    if payload.is_empty() {
        return Err(ChannelError::Payload { operation: message.operation, payload: false });
    }
    Ok(Message { payload: Some(RawTerm::arrived(payload, atoms, origin.clone())), lost: None, ..message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        budget::Budget,
        control::Signal,
        test_support::{a, b},
    };

    fn first() -> First {
        let message = Message { signal: Signal::Send { from: Some(a(1)), to: b(2) }, ..Message::vacant() };
        First { message, control: 0, atoms: AtomTable::empty() }
    }

    fn start(
        reassembly: &mut Reassembly,
        sequence: u64,
        count: u64,
        data: &'static [u8],
    ) -> Result<bool, ChannelError> {
        let message = reassembly.start(sequence, count, first(), Bytes::from_static(data))?;
        Ok(message.is_some())
    }

    fn limits() -> ChannelLimits {
        ChannelLimits { message: 10, reassembly: 15, sequences: 3 }
    }

    fn reassembly() -> Reassembly {
        Reassembly::new(limits(), Arc::new(Share::unlimited()), Origin::new(|_| {}))
    }

    /// Takes the next fragment; returns the message once it is complete.
    fn go_on(
        reassembly: &mut Reassembly,
        sequence: u64,
        fragment: u64,
        data: &[u8],
    ) -> Option<Result<Bytes, (Loss, usize)>> {
        let message = reassembly.go_on(sequence, fragment, data).unwrap()?;
        Some(message.lost.map_or_else(|| Ok(message.payload.unwrap().bytes().clone()), Err))
    }

    /// What is allocated for fragments to come is taken from the share as well.
    #[test]
    fn all_that_is_allocated_is_taken() {
        const PIECE: &[u8] = &[7; 10_000];
        let budget = Budget::new(4 << 20, 1);
        let share = Arc::new(budget.share());
        let mut reassembly = Reassembly::new(ChannelLimits::default(), share.clone(), Origin::new(|_| {}));
        for (sequence, round) in (0..10).flat_map(|round| (1..=100).map(move |sequence| (sequence, round))) {
            match round {
                0 => assert!(!start(&mut reassembly, sequence, 1000, PIECE).unwrap()),
                _ => assert!(go_on(&mut reassembly, sequence, 1000 - round, PIECE).is_none()),
            }
            let kept = reassembly.sequences.values().map(|open| match &open.content {
                Content::Kept { payload, .. } => Reassembly::ENTRY + payload.kept(),
                Content::Lost { .. } => Reassembly::ENTRY,
            });
            assert_eq!(share.taken(), kept.sum::<usize>());
            assert!(share.taken() <= 2 << 20);
        }
        assert_eq!(reassembly.sequences.len(), 100);
        let is_kept = |open: &&Sequence| matches!(open.content, Content::Kept { .. });
        assert!(reassembly.sequences.values().filter(is_kept).count() > 10);
        drop(reassembly);
        assert_eq!(share.taken(), 0);
    }

    #[test]
    fn interleaved_sequences() {
        let mut reassembly =
            Reassembly::new(ChannelLimits::default(), Arc::new(Share::unlimited()), Origin::new(|_| {}));
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
        let mut reassembly = reassembly();
        assert_eq!(start(&mut reassembly, 1, 0, b"a"), out_of_order(1, 0));
        assert!(!start(&mut reassembly, 1, 3, b"a").unwrap());
        for (sequence, fragment) in [(1, 3), (1, 1), (1, 0), (2, 2)] {
            assert_eq!(reassembly.go_on(sequence, fragment, b"").map(|_| false), out_of_order(sequence, fragment));
        }
    }

    #[test]
    fn a_sequence_that_begins_anew_is_another_message() {
        let mut reassembly = reassembly();
        assert!(!start(&mut reassembly, 1, 3, b"abcdefgh").unwrap());
        assert!(!start(&mut reassembly, 1, 2, b"x").unwrap());
        assert_eq!(reassembly.bytes(), 1);
        assert_eq!(go_on(&mut reassembly, 1, 1, b"yz").unwrap().unwrap(), "xyz");
        assert!(!start(&mut reassembly, 1, 3, b"a").unwrap());
        assert!(start(&mut reassembly, 1, 1, b"whole").unwrap());
        assert_eq!((reassembly.bytes(), reassembly.kept.len()), (0, 0));
    }

    #[test]
    fn a_message_that_is_too_large_fails_alone() {
        let mut reassembly = reassembly();
        assert!(!start(&mut reassembly, 1, 4, b"12345678").unwrap());
        assert!(!start(&mut reassembly, 2, 2, b"ab").unwrap());
        assert_eq!(go_on(&mut reassembly, 1, 3, b"901"), None);
        assert_eq!(reassembly.bytes(), 2);
        assert_eq!(go_on(&mut reassembly, 2, 1, b"cd").unwrap().unwrap(), "abcd");
        assert_eq!(go_on(&mut reassembly, 1, 2, &[0; 100]), None);
        assert_eq!(go_on(&mut reassembly, 1, 1, b"2"), Some(Err((Loss::TooLarge, 112))));
        assert!(reassembly.sequences.is_empty() && reassembly.kept.is_empty() && reassembly.lost.is_empty());
        let message = reassembly.start(5, 1, first(), Bytes::from_static(&[0; 11])).unwrap();
        assert_eq!(message.unwrap().lost, Some((Loss::TooLarge, 11)));
    }

    #[test]
    fn without_room_the_message_is_given_up_that_went_on_least_lately() {
        let mut reassembly = reassembly();
        assert!(!start(&mut reassembly, 1, 3, b"1234").unwrap());
        assert!(!start(&mut reassembly, 2, 2, b"abcde").unwrap());
        assert_eq!(go_on(&mut reassembly, 1, 2, b"5678"), None);
        assert!(!start(&mut reassembly, 3, 2, b"xyz").unwrap());
        assert_eq!(reassembly.bytes(), 11);
        assert_eq!(go_on(&mut reassembly, 2, 1, b"fg"), Some(Err((Loss::NoRoom, 7))));
        assert_eq!(go_on(&mut reassembly, 1, 1, b"9").unwrap().unwrap(), "123456789");
        assert_eq!(go_on(&mut reassembly, 3, 1, b"").unwrap().unwrap(), "xyz");
    }

    #[test]
    fn incomplete_messages_take_from_a_share() {
        let memory = Arc::new(Budget::new(300 << 10, 1).share());
        let mut reassembly = Reassembly::new(ChannelLimits::default(), memory.clone(), Origin::new(|_| {}));
        let mut begin = |sequence| start(&mut reassembly, sequence, 3, &[7; 30 << 10]).unwrap();
        assert!(!begin(1) && !begin(2) && !begin(3));
        assert_eq!(memory.taken(), 3 * (46 << 10));
        assert!(!begin(4), "the oldest makes room");
        assert_eq!(memory.taken(), 3 * (46 << 10) + Reassembly::ENTRY);
        assert_eq!(go_on(&mut reassembly, 1, 2, b"8"), None);
        assert_eq!(go_on(&mut reassembly, 1, 1, b"9"), Some(Err((Loss::NoRoom, (30 << 10) + 2))));
        assert_eq!(go_on(&mut reassembly, 2, 2, b"8"), None);
        assert_eq!(go_on(&mut reassembly, 2, 1, b"9").unwrap().unwrap().len(), (30 << 10) + 2);
        let completed = reassembly.take_lease().unwrap();
        assert!(completed.amount() >= (30 << 10) + 2);
        reassembly.forget(3);
        drop((completed, reassembly));
        assert_eq!(memory.taken(), 0);
    }

    #[test]
    fn of_many_messages_that_are_only_begun_the_oldest_are_forgotten() {
        let memory = Arc::new(Budget::new(200 << 10, 1).share());
        let mut reassembly = Reassembly::new(ChannelLimits::default(), memory.clone(), Origin::new(|_| {}));
        for sequence in 0..10_000 {
            assert!(!start(&mut reassembly, sequence, 3, b"x").unwrap());
        }
        assert!(reassembly.sequences.len() <= 100 && memory.taken() <= 100 << 10);
        assert!(reassembly.go_on(1, 2, b"y").is_err());
    }

    /// Each connection of a peer that has used up all its memory may have these.
    #[test]
    fn without_memory_a_few_messages_are_kept_without_their_payloads() {
        let memory = Arc::new(Budget::new(200 << 10, 1).share());
        let mut all = Lease::nothing(memory.clone());
        while all.grow(1) {}
        let mut reassembly = Reassembly::new(ChannelLimits::default(), memory, Origin::new(|_| {}));
        for sequence in 1..=Reassembly::FEW as u64 {
            assert!(!start(&mut reassembly, sequence, 2, b"x").unwrap());
        }
        for sequence in 1..=Reassembly::FEW as u64 {
            assert_eq!(go_on(&mut reassembly, sequence, 1, b"y"), Some(Err((Loss::NoRoom, 2))));
        }
        for sequence in 0..1000 {
            assert!(!start(&mut reassembly, sequence, 2, b"x").unwrap());
            assert!(reassembly.sequences.len() <= Reassembly::FEW);
        }
    }

    #[test]
    fn what_does_not_go_on_is_given_up() {
        let mut reassembly = reassembly();
        assert!(!start(&mut reassembly, 1, 3, b"1234").unwrap());
        assert!(!start(&mut reassembly, 2, 4, b"abc").unwrap());
        assert_eq!(reassembly.begin_period(), 0);
        assert_eq!(go_on(&mut reassembly, 2, 3, b"d"), None);
        assert_eq!(reassembly.begin_period(), 1);
        assert_eq!(reassembly.bytes(), 4);
        assert_eq!(go_on(&mut reassembly, 2, 2, b"e"), None);
        // It was only slow.
        assert_eq!(go_on(&mut reassembly, 1, 2, b"5"), None);
        assert_eq!(go_on(&mut reassembly, 1, 1, b"6"), Some(Err((Loss::GivenUp, 6))));
        assert_eq!(go_on(&mut reassembly, 2, 1, b"f").unwrap().unwrap(), "abcdef");
    }

    #[test]
    fn of_too_many_sequences_the_oldest_is_forgotten() {
        let mut reassembly = reassembly();
        for sequence in 1..=3 {
            assert!(!start(&mut reassembly, sequence, 3, b"abc").unwrap());
        }
        assert_eq!(reassembly.pass(3, 2, 100).unwrap().map(|_| ()), None);
        for sequence in 4..=5 {
            assert!(!start(&mut reassembly, sequence, 2, b"d").unwrap());
        }
        // The one without a payload goes first, then the oldest.
        assert_eq!(reassembly.sequences.keys().min(), Some(&2));
        assert_eq!(reassembly.sequences.len(), 3);
        assert_eq!(reassembly.bytes(), 5);
        assert!(reassembly.go_on(3, 1, b"").is_err());
    }
}
