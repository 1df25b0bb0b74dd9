//! A plain blocking socket: it sends prebuilt frames, and only counts the replies. It is an upper bound for clients
//! of the same peer.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use peerl_proto::channel::MessageEncoder;
use peerl_proto::control::{BorrowedSpawnRequest, Forms, SpawnOptions};
use peerl_proto::cookie::Cookie;
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::initiator::{self, AfterStatus};
use peerl_proto::handshake::{HandshakeReader, LocalNode};
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid, Reference, Term, encode};
use peerl_test_support::{COOKIE, unique_name};

pub(crate) struct Raw {
    socket: TcpStream,
    calls: Frames,
    messages: Frames,
    counter: FrameCounter,
    chunk: Vec<u8>,
}

/// Frames of the same length, one after another.
struct Frames {
    bytes: Vec<u8>,
    length: usize,
    next: usize,
}

/// The number of different calls: more than are ever pending at once.
const CALLS: usize = 1024;
const MESSAGES: usize = 512;

impl Raw {
    /// Connects, as a hidden node, to the node that listens on this port.
    pub(crate) fn connect(peer: &NodeName, port: u16) -> Self {
        let name = NodeName::new(&format!("{}@127.0.0.1", unique_name("raw"))).expect("a name");
        let cookie = Cookie::new(COOKIE).expect("a cookie");
        let local = LocalNode::new(name, 7, DistributionFlags::HIDDEN, cookie);
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the peer listens");
        socket.set_nodelay(true).expect("nodelay");
        let flags = shake_hands(&mut socket, &local, peer);
        let (mut encoder, forms) = (MessageEncoder::new(flags), Forms::new(flags));
        // The first call has all the atoms: the peer then knows them, and the other calls are as short as possible.
        let first = call(&mut encoder, forms, &local, u32::MAX, Term::atom("sink"));
        let calls =
            Frames::new((0..CALLS).map(|number| call(&mut encoder, forms, &local, number as u32, Term::from(1))));
        let messages = Frames::new((0..MESSAGES).map(|_| message(&mut encoder, forms, &local)));
        let mut raw = Self { socket, calls, messages, counter: FrameCounter::default(), chunk: vec![0; 256 << 10] };
        raw.socket.write_all(&first).expect("the peer reads");
        let mut answers = 0;
        while answers < 2 {
            answers += raw.read();
        }
        raw
    }

    /// Calls one after another; microseconds a call.
    pub(crate) fn per_call(&mut self, slice: Duration) -> f64 {
        let (calls, time) = self.calls(1, slice);
        time.as_secs_f64() * 1e6 / calls as f64
    }

    /// Keeps this many calls pending; calls a second.
    pub(crate) fn call_rate(&mut self, window: u64, slice: Duration) -> f64 {
        let (calls, time) = self.calls(window, slice);
        calls as f64 / time.as_secs_f64()
    }

    /// A call has two answers: the process has started, and it has ended.
    fn calls(&mut self, window: u64, slice: Duration) -> (u64, Duration) {
        let start = Instant::now();
        self.calls.write(window, &mut self.socket);
        let (mut frames, mut sent) = (0, window);
        loop {
            frames += self.read();
            let answered = frames / 2;
            if start.elapsed() < slice {
                let more = answered + window - sent;
                self.calls.write(more, &mut self.socket);
                sent += more;
            } else if answered == sent {
                return (answered, start.elapsed());
            }
        }
    }

    /// Sends this many messages to `sink`.
    pub(crate) fn send(&mut self, messages: u64) {
        self.messages.write(messages, &mut self.socket);
    }

    /// Reads the available bytes; returns the number of frames that they complete.
    fn read(&mut self) -> u64 {
        let count = self.socket.read(&mut self.chunk).expect("the peer answers");
        assert!(count > 0, "the peer has closed the connection");
        self.counter.count(&self.chunk[..count])
    }
}

impl Frames {
    fn new(frames: impl Iterator<Item = Vec<u8>>) -> Self {
        let frames: Vec<_> = frames.collect();
        Self { length: frames[0].len(), bytes: frames.concat(), next: 0 }
    }

    /// Writes the next frames, with one system call for all up to the end of the buffer.
    fn write(&mut self, count: u64, socket: &mut TcpStream) {
        let mut count = count as usize;
        let all = self.bytes.len() / self.length;
        while count > 0 {
            let now = count.min(all - self.next);
            let range = self.next * self.length..(self.next + now) * self.length;
            socket.write_all(&self.bytes[range]).expect("the peer reads");
            self.next = (self.next + now) % all;
            count -= now;
        }
    }
}

/// Counts the ends of frames in a stream. Ticks are not counted.
#[derive(Default)]
struct FrameCounter {
    /// The missing bytes of the current frame's body.
    body: usize,
    /// The received bytes of its length.
    head: [u8; 4],
    head_len: usize,
}

impl FrameCounter {
    fn count(&mut self, mut bytes: &[u8]) -> u64 {
        let mut frames = 0;
        while !bytes.is_empty() {
            if self.body > 0 {
                let now = self.body.min(bytes.len());
                self.body -= now;
                bytes = &bytes[now..];
                frames += u64::from(self.body == 0);
                continue;
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            if self.head_len == 4 {
                self.body = u32::from_be_bytes(self.head) as usize;
                self.head_len = 0;
            }
        }
        frames
    }
}

/// `erpc:call(Peer, bench, echo, [Argument])`.
fn call(encoder: &mut MessageEncoder, forms: Forms, local: &LocalNode, number: u32, argument: Term) -> Vec<u8> {
    let atom = |name: &str| Atom::new(name).expect("an atom");
    let reference = Reference::new(local.name.as_atom().clone(), local.creation, &[number, 1, 0]).expect("three words");
    let request = BorrowedSpawnRequest {
        reference: &reference,
        from: &pid(local),
        group_leader: &pid(local),
        module: &atom("erpc"),
        function: &atom("execute_call"),
        arity: 4,
        options: SpawnOptions { link: false, monitor: true },
    };
    let request = forms.offer(request).expect("the peer spawns");
    let arguments =
        Term::list([reference.clone().into(), Term::atom("bench"), Term::atom("echo"), Term::list([argument])]);
    let mut frame = Vec::new();
    encoder.encode(&request, |out| encode::term(&arguments, out), &mut frame).expect("it is small");
    frame
}

/// `{sink, Peer} ! {bench, 42}`.
fn message(encoder: &mut MessageEncoder, forms: Forms, local: &LocalNode) -> Vec<u8> {
    let control = forms.reg_send(pid(local), Atom::new("sink").expect("an atom"));
    let message = Term::tuple([Term::atom("bench"), Term::from(42)]);
    let mut frame = Vec::new();
    encoder.encode(&control, |out| encode::term(&message, out), &mut frame).expect("it is small");
    frame
}

fn pid(local: &LocalNode) -> Pid {
    Pid { node: local.name.as_atom().clone(), id: 1, serial: 0, creation: local.creation }
}

fn shake_hands(socket: &mut TcpStream, local: &LocalNode, peer: &NodeName) -> DistributionFlags {
    let mut buffer = BytesMut::new();
    let (state, out) = initiator::start(local.clone(), peer.clone());
    socket.write_all(&out).expect("the peer reads");
    let AfterStatus::Proceed(state) = state.receive(&next(socket, &mut buffer)).expect("a status") else {
        panic!("nobody else has this name")
    };
    let (state, out) = state.receive(&next(socket, &mut buffer), 4711).expect("a challenge");
    socket.write_all(&out).expect("the peer reads");
    let established = state.receive(&next(socket, &mut buffer)).expect("an acknowledgement");
    assert!(buffer.is_empty(), "a hidden node is not spoken to first");
    established.flags
}

fn next(socket: &mut TcpStream, buffer: &mut BytesMut) -> bytes::Bytes {
    loop {
        if let Some(message) = HandshakeReader::default().next(buffer).expect("a handshake message") {
            return message;
        }
        // Byte by byte, to leave the bytes after the handshake in the socket.
        let mut byte = [0];
        socket.read_exact(&mut byte).expect("the peer goes on with the handshake");
        buffer.extend_from_slice(&byte);
    }
}
