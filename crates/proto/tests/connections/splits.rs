//! Splitting a byte stream into reads of any size does not change the result.

use std::time::Instant;

use bytes::BytesMut;
use peerl_proto::{
    channel::{ChannelLimits, Message, MessageEncoder},
    connection::ReceiveHalf,
    control::{Forms, ProcessId, Signal},
    flags::DistributionFlags,
    frame::TICK,
    handshake::{Framing, HandshakeReader},
};
use peerl_term::{Atom, Origin, Pid, Reference, Term, encode};
use proptest::prelude::*;

use crate::pair::{Pair, Side};

pub(crate) fn pid(id: u32) -> Pid {
    Pid { node: Atom::from_static("a@127.0.0.1"), id, serial: 0, creation: 1002 }
}

/// Frames of all kinds, as one stream: our own, and some captured from OTP 25 with its atom cache.
pub(crate) fn stream() -> Vec<u8> {
    let mut out = Vec::new();
    for flags in [DistributionFlags::FULL_MEMBER, DistributionFlags::MANDATORY_26] {
        let (mut encoder, forms) = (MessageEncoder::new(flags), Forms::new(flags));
        let message = Term::tuple([Term::atom("msg"), Term::from(7), Term::charlist("text")]);
        let reference = Reference::new(Atom::from_static("a@127.0.0.1"), 1002, &[1, 2, 3]).unwrap();
        let (from, to) = (pid(1), pid(2));
        encoder.encode(&forms.link(from.clone(), to.clone()), |_| {}, &mut out).unwrap();
        out.extend_from_slice(&TICK);
        let send = forms.send(from.clone(), to.clone());
        encoder.encode(&send, |out| encode::term(&message, out), &mut out).unwrap();
        let to = ProcessId::Name(Atom::from_static("rex"));
        if let Some(monitor) = forms.monitor(from.clone(), to, reference) {
            encoder.encode(&monitor, |_| {}, &mut out).unwrap();
        }
        let large = Term::binary(vec![b'x'; 150_000]);
        let send = forms.reg_send(from, Atom::from_static("sink"));
        let fragments = encoder.encode_or_fragment(&send, |out| encode::term(&large, out), &mut out).unwrap();
        for (i, fragment) in fragments.into_iter().flatten().enumerate() {
            out.extend_from_slice(&fragment.head);
            out.extend_from_slice(&fragment.data);
            if i == 0 {
                out.extend_from_slice(&TICK);
            }
        }
    }
    for captured in CAPTURED {
        let digit = |digit: &u8| (*digit as char).to_digit(16).unwrap() as u8;
        out.extend(captured.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])));
    }
    out
}

/// OTP 25 to OTP 25: `{sink, b} ! {mark, "spawn"}`, a spawn request, and the next mark, from the atom cache.
const CAPTURED: [&str; 3] = [
    "000000448344048fa900420b61403132372e302e302e3105006c0473696e6bab046d61726b680461065852000000000900000000000003ea\
     52015202680252036b0005737061776e",
    "0000004c834403b70142e10273636c6806611d5a00035200000003ea00016179afc000019e4a79005852000000000900000000000003ea58\
     52000000004700000000000003ea68035201520261006a6a",
    "0000003183440407210042056cab680461065852000000000900000000000003ea52015202680252036b0009737061776e5f6f7074",
];

/// The result of a stream: a signal with its term.
pub(crate) type Read = (Signal, Option<Term>);

pub(crate) fn read_all<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Read>, String> {
    let mut half = ReceiveHalf::new(ChannelLimits::default(), Origin::new(|_| {}), Instant::now(), BytesMut::new());
    let mut message = Message::vacant();
    let mut all = Vec::new();
    for chunk in chunks {
        half.read_buffer().extend_from_slice(chunk);
        half.has_read(chunk.len());
        while half.next(&mut message).map_err(|error| error.to_string())? {
            let payload = message.payload.take().map(|payload| payload.decode()).transpose();
            all.push((message.signal.clone(), payload.map_err(|error| error.to_string())?));
        }
    }
    Ok(all)
}

#[test]
fn the_whole_stream_at_once() {
    let all = read_all([&stream()[..]]).unwrap();
    // The peer with the fewest flags is sent no monitor.
    assert_eq!(all.len(), 4 + 3 + 3);
    let (Signal::SendToName { to, .. }, Some(payload)) = &all[all.len() - 1] else { panic!() };
    assert_eq!(*to, "sink");
    assert_eq!(*payload, Term::tuple([Term::atom("mark"), Term::charlist("spawn_opt")]));
}

#[test]
fn byte_by_byte() {
    let stream = stream();
    assert_eq!(read_all(stream.chunks(1)), read_all([&stream[..]]));
}

#[test]
fn handshakes_byte_by_byte() {
    let mut whole = Pair::new("a@h", "b@h");
    let mut split = Pair::new("a@h", "b@h");
    split.read_size = 1;
    for pair in [&mut whole, &mut split] {
        let _ = pair.dial(Side::B);
        pair.run(std::time::Duration::from_secs(1));
        pair.send(Side::A, &Term::atom("hello"));
        pair.run(std::time::Duration::from_secs(1));
    }
    assert_eq!(whole.a.events, split.a.events);
    assert_eq!(whole.b.events, split.b.events);
    assert_eq!(whole.b.events.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec(0usize..400_000, 0..40)) {
        let stream = stream();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % stream.len()).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let chunks = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        prop_assert_eq!(read_all(chunks), read_all([&stream[..]]));
    }

    #[test]
    fn any_split_of_handshake_messages_gives_the_same(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10),
        size in 1usize..50,
        long in any::<bool>(),
    ) {
        let framing = if long { Framing::Long } else { Framing::Short };
        let mut stream = Vec::new();
        for message in &messages {
            let length = (message.len() as u32).to_be_bytes();
            stream.extend_from_slice(if long { &length } else { &length[2..] });
            stream.extend_from_slice(message);
        }
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        for chunk in stream.chunks(size) {
            buffer.extend_from_slice(chunk);
            while let Some(message) = HandshakeReader::new(framing).next(&mut buffer).unwrap() {
                read.push(message.to_vec());
            }
        }
        prop_assert_eq!(read, messages);
    }
}
