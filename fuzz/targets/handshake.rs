#![no_main]
//! Handshakes in both roles and with both framings: the bytes of the other side.

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::acceptor::{AfterReply, AliveAnswer, ExpectName, ExpectReply, Introduced};
use peerl_proto::handshake::initiator::{self, AfterStatus, ExpectStatus};
use peerl_proto::handshake::{Framing, HandshakeError, HandshakeReader, LocalNode};

/// The messages of the other side.
struct Peer {
    reader: HandshakeReader,
    bytes: BytesMut,
}

impl Peer {
    fn next(&mut self) -> Result<Option<bytes::Bytes>, HandshakeError> {
        let message = self.reader.next(&mut self.bytes)?;
        if message.is_none() {
            let _ = self.reader.incomplete(&self.bytes);
        }
        Ok(message)
    }
}

fn local(framing: Framing) -> LocalNode {
    let name = "fuzz@127.0.0.1".parse().expect("a name");
    let cookie = Cookie::new("secret").expect("a cookie");
    LocalNode { framing, ..LocalNode::new(name, 7, DistributionFlags::FULL_MEMBER, cookie) }
}

fn accept(mut peer: Peer, framing: Framing, way: u8) -> Result<(), HandshakeError> {
    let Some(name) = peer.next()? else { return Ok(()) };
    let reply = match ExpectName::new(local(framing)).receive(&name).map_err(HandshakeError::from)? {
        Introduced::Named(caller) => match way % 4 {
            0 => caller.accept(1).0,
            1 => caller.accept_simultaneous(1).0,
            2 => {
                let Some(answer) = peer.next()? else { return Ok(()) };
                match caller.ask_alive().0.receive(&answer, 1)? {
                    AliveAnswer::Replace(reply, _) => reply,
                    AliveAnswer::KeepOld => return Ok(()),
                }
            }
            _ => {
                caller.yield_to_ours();
                return Ok(());
            }
        },
        Introduced::Dynamic(caller) => match caller.give_name("G1", 3, 1) {
            Ok((reply, _)) => reply,
            Err(_) => return Ok(()),
        },
    };
    finish(peer, reply)
}

fn finish(mut peer: Peer, mut reply: ExpectReply) -> Result<(), HandshakeError> {
    while let Some(message) = peer.next()? {
        match reply.receive(&message)? {
            AfterReply::Established(..) => return Ok(()),
            AfterReply::Complemented(next) => reply = next,
        }
    }
    Ok(())
}

fn initiate(mut peer: Peer, state: ExpectStatus, replaces: bool) -> Result<(), HandshakeError> {
    let Some(status) = peer.next()? else { return Ok(()) };
    let challenge = match state.receive(&status)? {
        AfterStatus::Proceed(state) => state,
        AfterStatus::Alive(answer) if replaces => answer.replace().0,
        AfterStatus::Alive(answer) => {
            answer.keep_old();
            return Ok(());
        }
        AfterStatus::Yield => return Ok(()),
    };
    let Some(message) = peer.next()? else { return Ok(()) };
    let (state, _) = challenge.receive(&message, 2)?;
    if let Some(acknowledged) = peer.next()? {
        state.receive(&acknowledged)?;
    }
    Ok(())
}

fuzz_target!(|input: &[u8]| {
    let Some((way, bytes)) = input.split_first() else { return };
    let framing = if way & 0x80 == 0 { Framing::Short } else { Framing::Long };
    let peer = || Peer { reader: HandshakeReader::new(framing), bytes: BytesMut::from(bytes) };
    let other = || "peer@127.0.0.1".parse().expect("a name");
    let errors = [
        accept(peer(), framing, *way),
        initiate(peer(), initiator::start(local(framing), other()).0, way & 1 == 0),
        initiate(peer(), initiator::start_dynamic(local(framing), other()).0, way & 1 == 0),
    ];
    for error in errors.into_iter().filter_map(Result::err) {
        let _ = error.to_string();
    }
});
