//! A hidden node with any flags, which records the control messages that it receives.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use peerl_epmd::{Client, Lease, Registration};
use peerl_node::{Atom, NodeName, Pid, Term};
use peerl_proto::channel::{ChannelLimits, MessageDecoder, MessageEncoder};
use peerl_proto::control::{Forms, Signal};
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::frame::{Frame, FrameReader, TICK};
use peerl_proto::handshake::acceptor::{AfterReply, ExpectName, Introduced};
use peerl_proto::handshake::{HandshakeReader, LocalNode};
use peerl_term::{Reference, encode};
use peerl_test_support::{COOKIE, unique_name};

use crate::stage::{Stage, eventually};

pub(crate) struct Recorder {
    local: LocalNode,
    peers: Peers,
    _lease: Lease,
}

type Peers = Arc<Mutex<HashMap<String, Record>>>;

/// The messages of one peer.
struct Record {
    operations: Vec<u8>,
    payloads: Vec<Term>,
    socket: TcpStream,
    flags: DistributionFlags,
}

impl Recorder {
    /// Starts a node that offers these flags, and answers nothing. The message `watch` makes it monitor `watched`,
    /// and an unknown name, at the sending node.
    pub(crate) async fn start(stage: &Stage, flags: DistributionFlags) -> Self {
        let alive = unique_name("recorder");
        let name: NodeName = format!("{alive}@127.0.0.1").parse().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let registration = Registration::new(alive.parse().unwrap(), listener.local_addr().unwrap().port());
        let lease = Client::new(stage.epmd.address()).register(registration).await.unwrap();
        let local = LocalNode::new(name, 7, flags, Cookie::new(COOKIE).unwrap());
        let peers = Peers::default();
        let (mine, shared) = (local.clone(), peers.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (local, peers) = (mine.clone(), shared.clone());
                std::thread::spawn(move || serve(&local, socket, &peers));
            }
        });
        Self { local, peers, _lease: lease }
    }

    pub(crate) fn name(&self) -> NodeName {
        self.local.name.clone()
    }

    /// A process of this node.
    pub(crate) fn pid(&self) -> Pid {
        pid(&self.local)
    }

    /// An alias of this node.
    pub(crate) fn alias(&self) -> Reference {
        reference(&self.local, 5)
    }

    /// The operations of a peer's messages.
    pub(crate) fn operations(&self, peer: &str) -> Vec<u8> {
        self.peers.lock().unwrap()[peer].operations.clone()
    }

    /// The payloads of a peer's messages.
    pub(crate) fn payloads(&self, peer: &str) -> Vec<Term> {
        self.peers.lock().unwrap()[peer].payloads.clone()
    }

    /// Sends a message to a name at a connected peer.
    pub(crate) async fn send(&self, peer: &str, to: &'static str, message: &Term) {
        eventually("a connection", || self.peers.lock().unwrap().contains_key(peer)).await;
        let peers = self.peers.lock().unwrap();
        let Record { socket, flags, .. } = &peers[peer];
        let mut out = Vec::new();
        let control = Forms::new(*flags).reg_send(self.pid(), Atom::from_static(to));
        MessageEncoder::new(*flags).encode(&control, |out| encode::term(message, out), &mut out).unwrap();
        let mut socket = socket;
        socket.write_all(&out).unwrap();
    }

    /// Waits for a message `stop`, and for the ends of monitored processes if the flags include monitors.
    pub(crate) async fn wait_for_stop(&self, peer: &str) {
        let stop = Term::atom("stop");
        let monitors = DistributionFlags::DIST_MONITOR | DistributionFlags::DIST_MONITOR_NAME;
        let ends = if self.local.flags.contains(monitors) { 2 } else { 0 };
        let is_whole = |record: &Record| {
            let ended = record.operations.iter().filter(|operation| matches!(operation, 21 | 28)).count();
            record.payloads.contains(&stop) && ended == ends
        };
        let has_stopped = || self.peers.lock().unwrap().get(peer).is_some_and(is_whole);
        eventually("a message that ends the record", has_stopped).await;
    }
}

fn pid(local: &LocalNode) -> Pid {
    Pid { node: local.name.as_atom().clone(), id: 9, serial: 0, creation: local.creation }
}

fn reference(local: &LocalNode, word: u32) -> Reference {
    Reference::new(local.name.as_atom().clone(), local.creation, &[word, 2, 3]).unwrap()
}

/// Accepts a connection, and records its messages until it ends.
fn serve(local: &LocalNode, mut socket: TcpStream, peers: &Peers) {
    let mut buffer = BytesMut::new();
    let Some(message) = next(&mut socket, &mut buffer) else { return };
    let Ok(Introduced::Named(caller)) = ExpectName::new(local.clone()).receive(&message) else { return };
    let (state, out) = caller.accept(0xfeed_face);
    socket.write_all(&out.concat()).unwrap();
    let Some(message) = next(&mut socket, &mut buffer) else { return };
    let Ok(AfterReply::Established(established, out)) = state.receive(&message) else { return };
    socket.write_all(&out).unwrap();
    let peer = established.peer.to_string();
    let record = Record {
        operations: Vec::new(),
        payloads: Vec::new(),
        socket: socket.try_clone().unwrap(),
        flags: established.flags,
    };
    peers.lock().unwrap().insert(peer.clone(), record);
    let mut decoder = MessageDecoder::new(ChannelLimits::default());
    let mut chunk = [0; 64 << 10];
    loop {
        while let Some(frame) = FrameReader::default().next(&mut buffer).unwrap() {
            if frame == Frame::Tick {
                socket.write_all(&TICK).unwrap();
            }
            let Some(message) = decoder.receive(frame).unwrap() else { continue };
            let payload = message.payload.map(|payload| payload.decode().unwrap());
            if payload.as_ref().is_some_and(|payload| payload.is_atom("watch")) {
                watch(local, &socket, established.flags);
            }
            // A node's automatic messages are ignored: `rex` is asked for features.
            let is_automatic = matches!(&message.signal, Signal::SendToName { to, .. } if *to == "rex");
            let mut peers = peers.lock().unwrap();
            let record = peers.get_mut(&peer).unwrap();
            if !is_automatic {
                record.operations.push(message.operation);
                record.payloads.extend(payload);
            }
        }
        match socket.read(&mut chunk) {
            Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
            _ => return,
        }
    }
}

/// Monitors an existing process and an unknown one, regardless of the flags; then tells the first.
fn watch(local: &LocalNode, mut socket: &TcpStream, flags: DistributionFlags) {
    let monitor = |name, word| {
        let name = Term::Atom(Atom::from_static(name));
        Term::tuple([Term::from(19), pid(local).into(), name, reference(local, word).into()])
    };
    let send = Term::tuple([Term::from(6), pid(local).into(), Term::atom(""), Term::atom("watched")]);
    let message = Term::atom("watching");
    for (control, payload) in
        [(monitor("nobody_at_all", 2), None), (monitor("watched", 1), None), (send, Some(message))]
    {
        let has_header = flags.intersects(DistributionFlags::DIST_HDR_ATOM_CACHE | DistributionFlags::FRAGMENTS);
        let mut body = if has_header { vec![131, 68, 0] } else { vec![112] };
        for term in std::iter::once(control).chain(payload) {
            body.extend_from_slice(&term.encode()[usize::from(has_header)..]);
        }
        socket.write_all(&u32::try_from(body.len()).unwrap().to_be_bytes()).unwrap();
        socket.write_all(&body).unwrap();
    }
}

fn next(socket: &mut TcpStream, buffer: &mut BytesMut) -> Option<bytes::Bytes> {
    let mut chunk = [0; 4096];
    loop {
        if let Some(message) = HandshakeReader::default().next(buffer).ok()? {
            return Some(message);
        }
        match socket.read(&mut chunk) {
            Ok(count) if count > 0 => buffer.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}
