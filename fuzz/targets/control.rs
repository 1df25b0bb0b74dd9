#![no_main]
//! Control messages, with and without a distribution header: the input is the message after the length of its frame.

use std::time::Instant;

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerl_proto::channel::{ChannelLimits, Message};
use peerl_proto::connection::ReceiveHalf;
use peerl_term::Origin;

fn receive(frame: &[u8]) {
    let (limits, origin) = (ChannelLimits::default(), Origin::new(|_| {}));
    let mut half = ReceiveHalf::new(limits, origin, Instant::now(), BytesMut::new());
    let buffer = half.read_buffer();
    buffer.extend_from_slice(&(frame.len() as u32).to_be_bytes());
    buffer.extend_from_slice(frame);
    half.has_read(4 + frame.len());
    let mut message = Message::vacant();
    while let Ok(true) = half.next(&mut message) {
        let _ = (message.payload.as_ref().map(|payload| payload.decode()), format!("{:?}", message.signal));
    }
}

fuzz_target!(|input: &[u8]| {
    receive(input);
    // Both headers that have no atoms, so that the input begins with the control message.
    receive(&[&[112, 131], input].concat());
    receive(&[&[131, 68, 0], input].concat());
});
