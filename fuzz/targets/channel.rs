#![no_main]
//! The frames of a connection: the same bytes are the same messages, in whatever pieces they come, as long as there is memory for
//! them, and nothing that was taken from the peer's share is kept in the end.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerl_proto::budget::{Budget, Share};
use peerl_proto::channel::{ChannelLimits, Message};
use peerl_proto::connection::ReceiveHalf;
use peerl_term::Origin;

/// What a connection gives for pieces of these sizes, over and over, if its peer has this share.
fn receive(bytes: &[u8], sizes: &[u8], memory: &Arc<Share>) -> (Vec<String>, Option<String>) {
    let mut limits = ChannelLimits::default();
    limits.message = 4096;
    limits.reassembly = 16_384;
    limits.sequences = 16;
    let (memory, origin) = (memory.clone(), Origin::new(|_| {}));
    let mut half = ReceiveHalf::with_memory(limits, memory, origin, Instant::now(), BytesMut::new());
    let (mut message, mut messages) = (Message::vacant(), Vec::new());
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| usize::from(*size) + 1).min(rest.len());
        half.read_buffer().extend_from_slice(&rest[..size]);
        half.has_read(size);
        rest = &rest[size..];
        loop {
            match half.next(&mut message) {
                Ok(true) => {
                    let payload = message.payload.as_ref().map(|payload| payload.decode());
                    let Message { signal, lost, token, operation, .. } = &message;
                    messages.push(format!("{operation} {signal:?} {payload:?} {lost:?} {token:?}"));
                }
                Ok(false) => break,
                Err(error) => return (messages, Some(error.to_string())),
            }
        }
    }
    (messages, None)
}

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (sizes, bytes) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let [unlimited, small] = [usize::MAX, 12_000].map(|memory| Arc::new(Budget::new(memory, 1).share()));
    assert_eq!(receive(bytes, sizes, &unlimited), receive(bytes, &[], &unlimited));
    // Which message loses its payload depends on the buffers, and so on the pieces.
    receive(bytes, sizes, &small);
    receive(bytes, &[], &small);
    assert_eq!((unlimited.taken(), small.taken()), (0, 0));
});
