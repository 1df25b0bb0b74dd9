//! Any bytes of a peer cause an error or a message, never a panic, never more memory than stated.

use std::time::Instant;

use bytes::BytesMut;
use peerl_proto::{
    channel::{ChannelLimits, Message},
    connection::{ReceiveError, ReceiveHalf},
    cookie::Cookie,
    flags::DistributionFlags,
    handshake::{
        LocalNode,
        acceptor::{AfterReply, ExpectName, Introduced},
        initiator::{self, AfterStatus},
    },
};
use peerl_term::Origin;
use proptest::prelude::*;

use crate::{
    pair::{Event, Pair, Side},
    splits::{read_all, stream},
};

fn local(name: &str) -> LocalNode {
    let cookie = Cookie::new("c").unwrap();
    LocalNode::new(name.parse().unwrap(), 1, DistributionFlags::FULL_MEMBER, cookie)
}

fn half(limits: ChannelLimits) -> ReceiveHalf {
    ReceiveHalf::new(limits, Origin::new(|_| {}), Instant::now(), BytesMut::new())
}

/// Delivers a frame. Returns whether it completed a message.
fn receive(half: &mut ReceiveHalf, frame: &[u8]) -> Result<bool, ReceiveError> {
    let buffer = half.read_buffer();
    buffer.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    buffer.extend_from_slice(frame);
    half.has_read(4 + frame.len());
    half.next(&mut Message::vacant())
}

proptest! {
    #[test]
    fn random_frames(frame in prop::collection::vec(any::<u8>(), 0..200), kind in 0usize..5) {
        let start: &[u8] = [&[][..], &[131, 68], &[131, 69], &[131, 70], &[112, 131]][kind];
        let _ = receive(&mut half(ChannelLimits::default()), &[start, &frame].concat());
    }

    #[test]
    fn random_control_messages(operation in 0u8..40, arity in 0u8..9, rest in prop::collection::vec(any::<u8>(), 0..100)) {
        let frame = [&[131, 68, 0, 104, arity, 97, operation][..], &rest].concat();
        let _ = receive(&mut half(ChannelLimits::default()), &frame);
    }

    #[test]
    fn random_streams(stream in prop::collection::vec(any::<u8>(), 0..500)) {
        let _ = read_all([&stream[..]]);
    }

    #[test]
    fn mutated_streams(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut stream = stream();
        // Tests the bytes that matter; the binaries between them are long.
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

/// A peer keeps starting fragmented messages and finishes none.
#[test]
fn unfinished_fragments() {
    let mut limits = ChannelLimits::default();
    limits.reassembly = 16 << 20;
    limits.sequences = 1_000;
    let mut half = half(limits);
    let control = [
        104, 3, 97, 22, 88, 119, 3, b'a', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, //
        88, 119, 3, b'b', b'@', b'h', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1,
    ];
    let start = |sequence: u64, size: usize| {
        let ids = [sequence.to_be_bytes(), u64::MAX.to_be_bytes()].concat();
        [&[131, 69][..], &ids, &[0], &control, &vec![0; size]].concat()
    };
    for sequence in 1..5_000 {
        assert_eq!(receive(&mut half, &start(sequence, 10)), Ok(false));
        assert!(half.waiting_bytes() <= 10 * limits.sequences);
    }
    for sequence in 1..100 {
        assert_eq!(receive(&mut half, &start(sequence, 1 << 20)), Ok(false));
        assert!(half.waiting_bytes() <= limits.reassembly);
    }
}

/// An authenticated peer sends bytes that no node sends.
#[test]
fn garbage_ends_the_connection_alone() {
    let link = [&[131, 68, 0, 104, 3, 97, 1, 106, 106][..]].concat();
    for (garbage, error) in
        [(&b"\0\0\0\x02hi"[..], "unknown kind of frame"), (&[0x80, 0, 0, 0], "frame of"), (&link, "")]
    {
        let mut pair = Pair::new("a@h", "b@h");
        let _ = pair.dial(Side::A);
        pair.run(std::time::Duration::from_secs(1));
        let framed = [&(garbage.len() as u32).to_be_bytes()[..], garbage].concat();
        pair.write_raw(Side::A, if error.is_empty() { &framed } else { garbage });
        pair.run(std::time::Duration::from_secs(1));
        let [Event::Up { .. }, Event::Broken(broken), Event::Down] = &pair.b.events[..] else {
            panic!("{:?}", pair.b.events)
        };
        assert!(broken.contains(error), "{broken}");
        assert_eq!(pair.a.events[1..], [Event::Down]);
        assert!(pair.a.slot.is_idle() && pair.b.slot.is_idle());
    }
}
