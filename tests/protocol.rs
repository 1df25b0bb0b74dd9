//! The protocol crate against a real BEAM, without the node crate: a blocking socket and the state machines.
#![allow(missing_docs)]

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    time::Duration,
};

use bytes::BytesMut;
use peerl_proto::{
    channel::{ChannelLimits, Message, MessageDecoder, MessageEncoder},
    control::{BorrowedSpawnRequest, Forms, ProcessId, Signal, SpawnOptions, SpawnReplyFlags},
    cookie::Cookie,
    flags::DistributionFlags,
    frame::{Frame, FrameReader, TICK},
    handshake::{
        Established, HandshakeError, HandshakeReader, LocalNode,
        acceptor::{AfterReply, ExpectName, Introduced},
        initiator::{self, AfterStatus},
    },
    node_name::NodeName,
};
use peerl_term::{Atom, Pid, Reference, Term, encode};
use peerl_test_support::{Beam, COOKIE, conformance, free_port, matrix, unique_name};

/// The other end of a BEAM's connection.
struct Peer {
    local: LocalNode,
    socket: TcpStream,
    buffer: BytesMut,
    established: Established,
    decoder: MessageDecoder,
    encoder: MessageEncoder,
}

/// A node that is not connected yet, and the BEAM's port.
struct Stage {
    beam: Beam,
    beam_port: u16,
    local: LocalNode,
    listener: TcpListener,
}

/// A BEAM that uses no EPMD: it finds every node on its own port, on the node's host. The test's is 127.0.0.2.
fn stage(otp: peerl_test_support::Otp) -> Stage {
    let beam_port = free_port();
    let beam = Beam::erlang(otp).without_epmd(beam_port).start();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), beam_port)).unwrap();
    let name = NodeName::new(&format!("{}@127.0.0.2", unique_name("peer"))).unwrap();
    let local = LocalNode::new(name, 77, DistributionFlags::HIDDEN, Cookie::new(COOKIE).unwrap());
    Stage { beam, beam_port, local, listener }
}

impl Stage {
    fn beam_name(&self) -> NodeName {
        self.beam.name().parse().unwrap()
    }

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.beam_port)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
    }

    fn dial(&self) -> Result<Peer, HandshakeError> {
        self.dial_with(|state| match state {
            AfterStatus::Proceed(state) => (state, Vec::new()),
            AfterStatus::Alive(state) => state.replace(),
            AfterStatus::Yield => panic!("nobody else is connecting"),
        })
    }

    fn dial_with(
        &self,
        after_status: impl FnOnce(AfterStatus) -> (initiator::ExpectChallenge, Vec<u8>),
    ) -> Result<Peer, HandshakeError> {
        let (mut socket, mut buffer) = (self.connect(), BytesMut::new());
        let (state, out) = initiator::start(self.local.clone(), self.beam_name());
        socket.write_all(&out).unwrap();
        let Some(message) = handshake_message(&mut socket, &mut buffer) else { return Err(state.closed()) };
        let (state, out) = after_status(state.receive(&message)?);
        socket.write_all(&out).unwrap();
        let Some(message) = handshake_message(&mut socket, &mut buffer) else { return Err(state.closed()) };
        let (state, out) = state.receive(&message, 0xdead_beef)?;
        socket.write_all(&out).unwrap();
        let Some(message) = handshake_message(&mut socket, &mut buffer) else { return Err(state.closed()) };
        Ok(Peer::new(self.local.clone(), socket, buffer, state.receive(&message)?))
    }

    fn accept(&self) -> Peer {
        let mut socket = self.listener.accept().unwrap().0;
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut buffer = BytesMut::new();
        let message = handshake_message(&mut socket, &mut buffer).unwrap();
        let introduced = ExpectName::new(self.local.clone()).receive(&message).unwrap();
        let Introduced::Named(caller) = introduced else { panic!("the BEAM has a name") };
        assert_eq!(caller.name().as_str(), self.beam.name());
        let (state, out) = caller.accept(0xfeed_face);
        socket.write_all(&out.concat()).unwrap();
        let message = handshake_message(&mut socket, &mut buffer).unwrap();
        let AfterReply::Established(established, out) = state.receive(&message).unwrap() else { panic!() };
        socket.write_all(&out).unwrap();
        Peer::new(self.local.clone(), socket, buffer, established)
    }

    /// Waits until the BEAM has the test as a connected node, or no longer.
    fn wait_for_connected(&self, connected: bool) {
        let expression = format!("lists:member('{}', nodes(connected))", self.local.name);
        self.beam.wait_for(&expression, &connected.to_string(), Duration::from_secs(20));
    }
}

fn handshake_message(socket: &mut TcpStream, buffer: &mut BytesMut) -> Option<bytes::Bytes> {
    loop {
        if let Some(message) = HandshakeReader::default().next(buffer).unwrap() {
            return Some(message);
        }
        let mut chunk = [0; 4096];
        let count = socket.read(&mut chunk).unwrap_or(0);
        if count == 0 {
            return None;
        }
        buffer.extend_from_slice(&chunk[..count]);
    }
}

impl Peer {
    fn new(local: LocalNode, socket: TcpStream, buffer: BytesMut, established: Established) -> Peer {
        let encoder = MessageEncoder::new(established.flags);
        Peer { local, socket, buffer, established, decoder: MessageDecoder::new(ChannelLimits::default()), encoder }
    }

    fn forms(&self) -> Forms {
        Forms::new(self.established.flags)
    }

    fn pid(&self) -> Pid {
        Pid { node: self.local.name.as_atom().clone(), id: 9, serial: 0, creation: self.local.creation }
    }

    fn reference(&self, word: u32) -> Reference {
        Reference::new(self.local.name.as_atom().clone(), self.local.creation, &[word, 2, 3]).unwrap()
    }

    /// Sends to a registered name, as fragments if it is large.
    fn send(&mut self, name: &'static str, message: &Term) {
        let control = self.forms().reg_send(self.pid(), Atom::from_static(name));
        let mut out = Vec::new();
        let fragments = self.encoder.encode_or_fragment(&control, |out| encode::term(message, out), &mut out).unwrap();
        self.socket.write_all(&out).unwrap();
        for fragment in fragments.into_iter().flatten() {
            self.socket.write_all(&fragment.head).unwrap();
            self.socket.write_all(&fragment.data).unwrap();
            // Other frames may arrive between fragments.
            self.socket.write_all(&TICK).unwrap();
        }
    }

    fn write(&mut self, encode: impl FnOnce(&mut MessageEncoder, &mut Vec<u8>)) {
        let mut out = Vec::new();
        encode(&mut self.encoder, &mut out);
        self.socket.write_all(&out).unwrap();
    }

    /// The next message, or `None` when the BEAM has closed the connection.
    fn receive(&mut self) -> Option<Message> {
        let mut reader = FrameReader::default();
        loop {
            while let Some(frame) = reader.next(&mut self.buffer).unwrap() {
                if frame == Frame::Tick {
                    self.socket.write_all(&TICK).unwrap();
                }
                if let Some(message) = self.decoder.receive(frame).unwrap() {
                    return Some(message);
                }
            }
            let mut chunk = vec![0; 64 << 10];
            let count = self.socket.read(&mut chunk).expect("a message in time");
            if count == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    /// The payload of the next message.
    fn payload(&mut self) -> Term {
        self.receive().expect("the connection is up").payload.expect("a payload").decode().unwrap()
    }

    /// `net_adm:ping/1` from the test.
    fn ping(&mut self) -> Term {
        let tag = Term::from(self.reference(1));
        let from = Term::tuple([self.pid().into(), tag]);
        let is_auth = Term::tuple([Term::atom("is_auth"), Term::Atom(self.local.name.as_atom().clone())]);
        self.send("net_kernel", &Term::tuple([Term::atom("$gen_call"), from, is_auth]));
        self.payload()
    }

    fn assert_pings(&mut self) {
        let yes = Term::tuple([self.reference(1).into(), Term::atom("yes")]);
        assert_eq!(self.ping(), yes);
    }
}

/// An echo on the BEAM: `{From, Message}` to `echo`, `Message` back.
const ECHO: &str = "register(echo, spawn(fun Loop() -> receive {From, M} -> From ! M, Loop() end end))";

#[test]
fn we_dial() {
    for otp in matrix() {
        let stage = stage(otp);
        let mut peer = stage.dial().unwrap();
        assert_eq!(peer.established.peer.as_str(), stage.beam.name());
        assert_eq!(peer.established.flags.contains(DistributionFlags::ALTACT_SIG), otp.number() >= 28);
        peer.assert_pings();
        stage.wait_for_connected(true);
        drop(peer);
        stage.wait_for_connected(false);
    }
}

#[test]
fn we_are_dialled() {
    for otp in matrix() {
        let stage = stage(otp);
        let connect = format!("spawn(fun() -> net_kernel:connect_node('{}') end)", stage.local.name);
        stage.beam.eval(&connect).unwrap();
        let mut peer = stage.accept();
        peer.assert_pings();
        stage.wait_for_connected(true);
    }
}

#[test]
fn another_cookie() {
    for otp in matrix() {
        let mut stage = stage(otp);
        stage.local.cookie = Cookie::new("another").unwrap();
        let error = stage.dial().map(|_| ()).unwrap_err();
        assert_eq!(error, HandshakeError::CookieMismatch { peer: stage.beam_name() });
    }
}

/// The test reconnects while the BEAM still has its old connection: the BEAM asks which one is valid.
#[test]
fn alive() {
    for otp in matrix() {
        let stage = stage(otp);
        let mut old = stage.dial().unwrap();
        old.assert_pings();

        let mut socket = stage.connect();
        let (state, out) = initiator::start(stage.local.clone(), stage.beam_name());
        socket.write_all(&out).unwrap();
        let message = handshake_message(&mut socket, &mut BytesMut::new()).unwrap();
        let AfterStatus::Alive(state) = state.receive(&message).unwrap() else { panic!("no alive") };
        socket.write_all(&state.keep_old()).unwrap();
        assert_eq!(handshake_message(&mut socket, &mut BytesMut::new()), None);
        old.assert_pings();

        let mut asked = false;
        let mut new = stage
            .dial_with(|state| {
                let AfterStatus::Alive(state) = state else { panic!("no alive") };
                asked = true;
                state.replace()
            })
            .unwrap();
        assert!(asked);
        new.assert_pings();
        assert!(old.receive().is_none());
        conformance::holds(otp, [11, 12]);
    }
}

/// A node without a name gets one.
#[test]
fn dynamic_name() {
    for otp in matrix() {
        let stage = stage(otp);
        let (mut socket, mut buffer) = (stage.connect(), BytesMut::new());
        let (state, out) = initiator::start_dynamic(stage.local.clone(), stage.beam_name());
        socket.write_all(&out).unwrap();
        let message = handshake_message(&mut socket, &mut buffer).unwrap();
        let AfterStatus::Proceed(state) = state.receive(&message).unwrap() else { panic!() };
        let name = state.local_name().clone();
        assert!(name != stage.local.name && name.host() == "127.0.0.2");
        let (state, out) = state.receive(&handshake_message(&mut socket, &mut buffer).unwrap(), 1).unwrap();
        socket.write_all(&out).unwrap();
        state.receive(&handshake_message(&mut socket, &mut buffer).unwrap()).unwrap();
        let expression = format!("lists:member('{name}', nodes(hidden))");
        stage.beam.wait_for(&expression, "true", Duration::from_secs(20));
    }
}

/// Large and small terms there and back, in every framing.
#[test]
fn echo() {
    let hidden = DistributionFlags::HIDDEN;
    let framings = [
        hidden,
        hidden.difference(DistributionFlags::DIST_HDR_ATOM_CACHE),
        hidden.difference(DistributionFlags::FRAGMENTS),
        hidden.difference(DistributionFlags::DIST_HDR_ATOM_CACHE | DistributionFlags::FRAGMENTS),
        DistributionFlags::MANDATORY_26,
    ];
    for otp in matrix() {
        let mut stage = stage(otp);
        stage.beam.eval(ECHO).unwrap();
        for flags in framings {
            stage.local.flags = flags;
            stage.local.creation += 1;
            let mut peer = stage.dial().unwrap();
            let atoms = (0..300).map(|i| Term::Atom(Atom::new(&format!("atom_{i}")).unwrap()));
            let messages = [
                Term::atom("hello"),
                Term::list(atoms),
                Term::binary(vec![7; 1 << 20]),
                Term::list((0..100_000).map(|i| Term::tuple([Term::atom("element"), Term::from(i)]))),
                Term::Atom(Atom::new(&"€".repeat(255)).unwrap()),
                Term::binary(vec![8; 64 << 10]),
            ];
            for _ in 0..2 {
                for message in &messages {
                    let from = Term::from(peer.pid());
                    peer.send("echo", &Term::tuple([from, message.clone()]));
                }
                for message in &messages {
                    assert_eq!(peer.payload(), *message);
                }
            }
        }
        conformance::holds(otp, [18, 19]);
    }
}

/// A process spawned, linked and monitored over the wire, and ended by an exit signal.
#[test]
fn spawn_and_exit() {
    for otp in matrix() {
        let stage = stage(otp);
        let mut peer = stage.dial().unwrap();
        let (me, request) = (peer.pid(), peer.reference(5));
        let control = BorrowedSpawnRequest {
            reference: &request,
            from: &me,
            group_leader: &me,
            module: &Atom::from_static("timer"),
            function: &Atom::from_static("sleep"),
            arity: 1,
            options: SpawnOptions { link: true, monitor: true },
        };
        let control = peer.forms().offer(control).unwrap();
        let arguments = Term::list([Term::atom("infinity")]);
        peer.write(|encoder, out| encoder.encode(&control, |out| encode::term(&arguments, out), out).unwrap());
        let reply = peer.receive().unwrap();
        let Signal::SpawnReply { reference, flags, result, .. } = reply.signal else { panic!("no reply") };
        assert_eq!(reference, request);
        assert_eq!(flags, SpawnReplyFlags::LINK | SpawnReplyFlags::MONITOR);
        let spawned = result.unwrap();
        // An exit signal with a compound reason that arrives before the monitored process has first run sometimes
        // ends the whole VM of OTP 27 and 29.
        let sleeps = "[P || P <- processes(), process_info(P, current_function) =:= {current_function, {timer, sleep, 1}}] =/= []";
        stage.beam.wait_for(sleeps, "true", Duration::from_secs(20));

        let reason = Term::tuple([Term::atom("enough"), Term::from(1)]);
        let control = peer.forms().exit2(me.clone(), spawned.clone());
        peer.write(|encoder, out| encoder.encode(&control, |out| encode::term(&reason, out), out).unwrap());
        let exit = peer.receive().unwrap();
        assert_eq!(exit.signal, Signal::Exit { from: spawned.clone(), to: me.clone() });
        assert_eq!(exit.payload.unwrap().decode().unwrap(), reason);
        let down = peer.receive().unwrap();
        let from = ProcessId::Pid(spawned);
        assert_eq!(down.signal, Signal::MonitorExit { from, to: me.clone(), reference: request.clone() });
        assert_eq!(down.payload.unwrap().decode().unwrap(), reason);
        peer.assert_pings();
        conformance::holds(otp, [39]);
    }
}

/// A message to an alias of the test, in the form of the release.
#[test]
fn alias() {
    for otp in matrix() {
        let stage = stage(otp);
        stage.beam.eval(ECHO).unwrap();
        let mut peer = stage.dial().unwrap();
        let alias = peer.reference(6);
        peer.send("echo", &Term::tuple([alias.clone().into(), Term::atom("hello")]));
        let message = peer.receive().unwrap();
        assert_eq!(message.payload.unwrap().decode().unwrap(), Term::atom("hello"));
        let Signal::SendToAlias { to, .. } = message.signal else { panic!("{:?}", message.signal) };
        let operation = if otp.number() < 28 { 33 } else { 37 };
        assert_eq!((to, message.operation), (alias, operation));
        conformance::holds(otp, [37]);
    }
}
