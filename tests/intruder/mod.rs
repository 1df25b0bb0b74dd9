//! A hostile peer that knows the cookie.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use peerl_node::{Node, NodeName, Term};
use peerl_proto::channel::{ChannelLimits, Message, MessageDecoder};
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::frame::FrameReader;
use peerl_proto::handshake::initiator::{self, AfterStatus};
use peerl_proto::handshake::{HandshakeReader, LocalNode};
use peerl_term::{Atom, Pid};
use peerl_test_support::{COOKIE, unique_name};

/// Longer than a node takes for any answer, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A hostile peer that knows the cookie, and sends arbitrary bytes. It is hidden: `global` sends it nothing.
pub struct Intruder {
    pub socket: TcpStream,
    pub name: String,
    buffer: BytesMut,
    decoder: MessageDecoder,
}

impl Intruder {
    pub fn connect(node: &Node) -> Self {
        Self::connect_as(&format!("{}@127.0.0.1", unique_name("intruder")), node)
    }

    pub fn connect_as(name: &str, node: &Node) -> Self {
        Self::connect_to(name, node.name(), node.port())
    }

    pub fn connect_to(name: &str, peer: &NodeName, port: u16) -> Self {
        Self::connect_at(name, peer, (Ipv4Addr::LOCALHOST, port).into())
    }

    pub fn connect_at(name: &str, peer: &NodeName, address: SocketAddr) -> Self {
        let cookie = Cookie::new(COOKIE).unwrap();
        let local = LocalNode::new(name.parse().unwrap(), 9, DistributionFlags::HIDDEN, cookie);
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut buffer = BytesMut::new();
        let (state, out) = initiator::start(local, peer.clone());
        socket.write_all(&out).unwrap();
        let state = match state.receive(&next(&mut socket, &mut buffer)).unwrap() {
            AfterStatus::Proceed(state) => state,
            // It takes the place of one of the same name.
            AfterStatus::Alive(state) => {
                let (state, out) = state.replace();
                socket.write_all(&out).unwrap();
                state
            }
            AfterStatus::Yield => panic!("nobody else is connecting"),
        };
        let (state, out) = state.receive(&next(&mut socket, &mut buffer), 1).unwrap();
        socket.write_all(&out).unwrap();
        state.receive(&next(&mut socket, &mut buffer)).unwrap();
        let (name, decoder) = (name.to_owned(), MessageDecoder::new(ChannelLimits::default()));
        Self { socket, name, buffer, decoder }
    }

    pub fn pid(&self) -> Pid {
        Pid { node: Atom::new(&self.name).unwrap(), id: 1, serial: 0, creation: 9 }
    }

    /// A frame with a control message and an optional payload, as OTP writes it without an atom cache.
    pub fn frame(&mut self, control: Term, payload: Option<Term>) {
        let mut body = vec![131, 68, 0];
        body.extend_from_slice(&control.encode()[1..]);
        if let Some(payload) = payload {
            body.extend_from_slice(&payload.encode()[1..]);
        }
        self.bytes(&body);
    }

    /// Frames with these control messages, in one write. Returns whether the node took them.
    pub fn frames(&mut self, controls: impl Iterator<Item = Term>) -> bool {
        let mut bytes = Vec::new();
        for control in controls {
            let control = control.encode();
            bytes.extend_from_slice(&u32::try_from(control.len() + 2).unwrap().to_be_bytes());
            bytes.extend_from_slice(&[131, 68, 0]);
            bytes.extend_from_slice(&control[1..]);
        }
        self.socket.write_all(&bytes).is_ok()
    }

    /// A frame with a control message and any bytes.
    pub fn raw(&mut self, control: Term, payload: &[u8]) {
        let mut body = vec![131, 68, 0];
        body.extend_from_slice(&control.encode()[1..]);
        body.extend_from_slice(payload);
        self.bytes(&body);
    }

    /// The next message of the node.
    pub fn message(&mut self) -> Message {
        self.next_message().expect("the node closed the connection, or sent nothing")
    }

    /// The next message of the node; `None` if it has closed the connection, or sends nothing for long.
    pub fn next_message(&mut self) -> Option<Message> {
        loop {
            if let Some(frame) = FrameReader::default().next(&mut self.buffer).unwrap() {
                if let Some(message) = self.decoder.receive(frame).unwrap() {
                    return Some(message);
                }
                continue;
            }
            let mut chunk = [0; 4096];
            match self.socket.read(&mut chunk) {
                Ok(count @ 1..) => self.buffer.extend_from_slice(&chunk[..count]),
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// One that reads what this one has not read yet, while this one writes.
    pub fn reader(&mut self) -> Self {
        Self {
            socket: self.socket.try_clone().unwrap(),
            name: self.name.clone(),
            buffer: std::mem::take(&mut self.buffer),
            decoder: std::mem::replace(&mut self.decoder, MessageDecoder::new(ChannelLimits::default())),
        }
    }

    pub fn bytes(&mut self, body: &[u8]) {
        // The node may have closed already.
        let _ = self.socket.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes());
        let _ = self.socket.write_all(body);
    }

    /// Waits until the node has closed the connection.
    pub fn assert_closed(&mut self, what: &str) {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
                Err(error) => panic!("{what}: {error}"),
            }
        }
    }
}

fn next(socket: &mut TcpStream, buffer: &mut BytesMut) -> Bytes {
    loop {
        if let Some(message) = HandshakeReader::default().next(buffer).unwrap() {
            return message;
        }
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).unwrap();
        assert!(count > 0, "the node closed the connection in the handshake");
        buffer.extend_from_slice(&chunk[..count]);
    }
}

/// The frame of a fragment.
pub fn fragment(kind: u8, sequence: u64, number: u64, rest: &[u8]) -> Vec<u8> {
    let mut body = vec![131, kind];
    body.extend_from_slice(&sequence.to_be_bytes());
    body.extend_from_slice(&number.to_be_bytes());
    body.extend_from_slice(rest);
    body
}
