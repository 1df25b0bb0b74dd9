//! Whatever a peer sends: an error or a message, never a panic, never more memory than stated.

use bytes::{Bytes, BytesMut};
use peerl_proto::{
    channel::{ChannelLimits, Inbound},
    cookie::Cookie,
    flags::DistributionFlags,
    frame::{Frame, FrameReader},
    handshake::{
        LocalNode,
        acceptor::{AfterReply, ExpectName, Introduced},
        initiator::{self, AfterStatus},
    },
};
use proptest::prelude::*;

use crate::splits::{read_all, stream};

fn local(name: &str) -> LocalNode {
    let cookie = Cookie::new("c").unwrap();
    LocalNode::new(name.parse().unwrap(), 1, DistributionFlags::FULL_MEMBER, cookie)
}

proptest! {
    #[test]
    fn random_frames(frame in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..5) {
        let start: &[u8] = [&[][..], &[131, 68], &[131, 69], &[131, 70], &[112, 131]][kind];
        let frame = Bytes::from([start, &frame].concat());
        let _ = Inbound::new(ChannelLimits::default()).receive(Frame::Data(frame));
    }

    #[test]
    fn random_control_messages(operation in 0u8..40, arity in 0u8..9, rest in prop::collection::vec(any::<u8>(), 0..100)) {
        let frame = Bytes::from([&[131, 68, 0, 104, arity, 97, operation][..], &rest].concat());
        let _ = Inbound::new(ChannelLimits::default()).receive(Frame::Data(frame));
    }

    #[test]
    fn random_streams(stream in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = read_all([&stream[..]]);
    }

    #[test]
    fn mutated_streams(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut stream = stream();
        // The interesting bytes are few; the binaries in the middle are long.
        let interesting: Vec<usize> =
            (0..stream.len()).filter(|i| stream[*i] != b'x').collect();
        for (place, byte) in changes {
            stream[*place.get(&interesting)] = byte;
        }
        let _ = read_all([&stream[..]]);
    }

    #[test]
    fn random_handshake_messages(tag in prop::sample::select(&b"Nnscra"[..]), rest in prop::collection::vec(any::<u8>(), 0..80)) {
        let message = [&[tag][..], &rest].concat();
        let (state, _) = initiator::start(local("a@h"), "b@h".parse().unwrap());
        let _ = state.receive(&message);
        let (state, _) = initiator::start(local("a@h"), "b@h".parse().unwrap());
        let Ok(AfterStatus::Proceed(state)) = state.receive(b"sok") else { panic!() };
        let _ = state.receive(&message, 1);
        let _ = ExpectName::new(local("b@h")).receive(&message);
        let name = b"N\0\0\0\x6d\x07\xdf\x7f\xbd\0\0\0\x01\0\x03a@h";
        let Ok(Introduced::Named(caller)) = ExpectName::new(local("b@h")).receive(name) else { panic!() };
        let proved = matches!(caller.accept(1).0.receive(&message), Ok(AfterReply::Established(..)));
        prop_assert!(!proved);
    }
}

/// A hundred megabytes announced, none sent.
#[test]
fn an_announced_frame_takes_no_memory() {
    let mut buffer = BytesMut::new();
    let mut reader = FrameReader::default();
    for byte in (100u32 << 20).to_be_bytes() {
        reader.reserve(&mut buffer);
        buffer.extend_from_slice(&[byte]);
        assert_eq!(reader.next(&mut buffer), Ok(None));
    }
    assert!(buffer.capacity() <= 2 * FrameReader::READ_STEP);
}

/// A peer starts ever more messages in fragments and finishes none.
#[test]
fn unfinished_fragments() {
    let mut limits = ChannelLimits::default();
    limits.reassembly = 16 << 20;
    limits.sequences = 1_000;
    let mut inbound = Inbound::new(limits);
    let control = [
        104, 3, 97, 22, 88, 119, 3, b'a', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, //
        88, 119, 3, b'b', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let start = |sequence: u64, size: usize| {
        let ids = [sequence.to_be_bytes(), u64::MAX.to_be_bytes()].concat();
        Frame::Data([&[131, 69][..], &ids, &[0], &control, &vec![0; size]].concat().into())
    };
    for sequence in 1..5_000 {
        assert!(inbound.receive(start(sequence, 10)).unwrap().is_none());
        assert!(inbound.waiting_bytes() <= 10 * limits.sequences);
    }
    for sequence in 1..100 {
        assert!(inbound.receive(start(sequence, 1 << 20)).unwrap().is_none());
        assert!(inbound.waiting_bytes() <= limits.reassembly);
    }
}
