//! Two nodes in memory: bytes move, time is simulated, nothing is random.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use peerl_proto::{
    channel::{ChannelLimits, Inbound, Outbound},
    control::{Forms, Signal},
    cookie::Cookie,
    flags::DistributionFlags,
    frame::{Frame, FrameReader, TICK},
    handshake::{
        Established, Framing, HandshakeError, HandshakeReader, LocalNode, SetupTimer,
        acceptor::{self, AfterReply, AliveAnswer, Introduced},
        arbitration::{AttemptId, CallVerdict, ClosedVerdict, DialVerdict, PeerSlot, UpVerdict},
        initiator::{self, AfterStatus},
    },
    node_name::NodeName,
    tick::{TickAction, TickTimer, Traffic},
};
use peerl_term::{Atom, Pid, Term, encode};

/// What a node tells its user.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Up {
        peer: String,
        visible: bool,
    },
    Down,
    Failed(HandshakeError),
    /// An attempt gave way to another.
    Dropped,
    Message(Signal, Option<Term>),
    Broken(String),
    TickTimeout,
}

/// One of the two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    A,
    B,
}

impl Side {
    pub(crate) fn other(self) -> Side {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

/// Two nodes and the wires between them.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) latency: Duration,
    /// How many bytes a read gives at most.
    pub(crate) read_size: usize,
    pub(crate) a: Node,
    pub(crate) b: Node,
    in_flight: Vec<Delivery>,
    next_attempt: u64,
}

struct Delivery {
    at: Instant,
    to: Side,
    connection: AttemptId,
    /// `None` is the end of the stream.
    bytes: Option<Vec<u8>>,
}

/// One node.
pub(crate) struct Node {
    pub(crate) local: LocalNode,
    pub(crate) events: Vec<Event>,
    pub(crate) slot: PeerSlot,
    /// Bytes written to the wire are lost, and nothing arrives.
    pub(crate) unplugged: bool,
    tick_time: Duration,
    connections: BTreeMap<AttemptId, Connection>,
    /// Connections that another one took the place of; the peer is to see them closed.
    superseded: Vec<AttemptId>,
}

struct Connection {
    buffer: BytesMut,
    reader: HandshakeReader,
    setup: SetupTimer,
    phase: Phase,
}

enum Phase {
    ExpectStatus(initiator::ExpectStatus),
    ExpectChallenge(initiator::ExpectChallenge),
    ExpectAck(initiator::ExpectAck),
    ExpectName(acceptor::ExpectName),
    ExpectAliveAnswer(acceptor::ExpectAliveAnswer),
    ExpectReply(acceptor::ExpectReply),
    Up(Box<Channel>),
}

struct Channel {
    inbound: Inbound,
    outbound: Outbound,
    forms: Forms,
    ticks: TickTimer,
}

/// What a node does to a connection.
enum Action {
    Write(Vec<u8>),
    Close,
}

impl Pair {
    /// Full members with the same cookie, 1 ms apart.
    pub(crate) fn new(a: &str, b: &str) -> Pair {
        Pair {
            now: Instant::now(),
            latency: Duration::from_millis(1),
            read_size: usize::MAX,
            a: Node::new(a),
            b: Node::new(b),
            in_flight: Vec::new(),
            next_attempt: 1,
        }
    }

    /// `side` wants a connection to the other.
    pub(crate) fn dial(&mut self, side: Side) -> DialVerdict {
        let attempt = AttemptId(self.next_attempt);
        let verdict = self.node(side).slot.dial(attempt);
        if verdict == DialVerdict::Dial {
            self.next_attempt += 1;
            let now = self.now;
            let peer = self.node(side.other()).local.name.clone();
            let node = self.node(side);
            let (state, out) = initiator::start(node.local.clone(), peer);
            node.connections.insert(attempt, Connection::new(now, node.local.framing, Phase::ExpectStatus(state)));
            let other = self.node(side.other());
            let state = Phase::ExpectName(acceptor::ExpectName::new(other.local.clone()));
            other.connections.insert(attempt, Connection::new(now, other.local.framing, state));
            self.act(side, attempt, vec![Action::Write(out)]);
        }
        verdict
    }

    /// `side` sends a message to the name `sink` of the other.
    pub(crate) fn send(&mut self, side: Side, message: &Term) {
        let now = self.now;
        let node = self.node(side);
        let Some(up) = node.slot.up() else { panic!("{side:?} is not connected") };
        let mut out = Vec::new();
        if let Some(Connection { phase: Phase::Up(channel), .. }) = node.connections.get_mut(&up) {
            channel.ticks.wrote(now, Traffic::Message);
            let control = channel.forms.reg_send(pid(&node.local), Atom::from_static("sink"));
            let encoded = channel.outbound.encode_or_fragment(&control, |out| encode::term(message, out), &mut out);
            for fragment in encoded.unwrap().into_iter().flatten() {
                out.extend_from_slice(&fragment.head);
                out.extend_from_slice(&fragment.data);
            }
        }
        self.act(side, up, vec![Action::Write(out)]);
    }

    /// Lets `time` pass.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.poll_timers();
            let deliveries = self.in_flight.iter().map(|delivery| delivery.at);
            let timers = [&self.a, &self.b].into_iter().flat_map(Node::deadlines);
            let Some(next) = deliveries.chain(timers).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(i) = self.in_flight.iter().position(|delivery| delivery.at <= self.now) {
                let delivery = self.in_flight.remove(i);
                self.deliver(delivery);
            }
        }
        self.now = end;
        self.poll_timers();
    }

    pub(crate) fn node(&mut self, side: Side) -> &mut Node {
        match side {
            Side::A => &mut self.a,
            Side::B => &mut self.b,
        }
    }

    fn deliver(&mut self, Delivery { to, connection, bytes, .. }: Delivery) {
        let (now, size) = (self.now, self.read_size);
        let peer = self.node(to.other()).local.name.clone();
        let node = self.node(to);
        if node.unplugged || !node.connections.contains_key(&connection) {
            return;
        }
        let Some(bytes) = bytes else {
            node.closed_by_peer(connection);
            return;
        };
        for chunk in bytes.chunks(size) {
            let actions = self.node(to).read(connection, &peer, chunk, now);
            self.act(to, connection, actions);
        }
    }

    fn poll_timers(&mut self) {
        for side in [Side::A, Side::B] {
            let now = self.now;
            for (connection, actions) in self.node(side).poll(now) {
                self.act(side, connection, actions);
            }
        }
    }

    fn act(&mut self, side: Side, connection: AttemptId, actions: Vec<Action>) {
        let at = self.now + self.latency;
        for action in actions {
            let bytes = match action {
                Action::Write(bytes) => Some(bytes),
                Action::Close => {
                    self.node(side).connections.remove(&connection);
                    None
                }
            };
            if !self.node(side).unplugged {
                self.in_flight.push(Delivery { at, to: side.other(), connection, bytes });
            }
        }
        for connection in std::mem::take(&mut self.node(side).superseded) {
            self.in_flight.push(Delivery { at, to: side.other(), connection, bytes: None });
        }
    }
}

impl Node {
    fn new(name: &str) -> Node {
        let name = NodeName::new(name).unwrap();
        let cookie = Cookie::new("c").unwrap();
        Node {
            local: LocalNode::new(name, 5, DistributionFlags::FULL_MEMBER, cookie),
            events: Vec::new(),
            slot: PeerSlot::new(),
            unplugged: false,
            tick_time: TickTimer::DEFAULT_TICK_TIME,
            connections: BTreeMap::new(),
            superseded: Vec::new(),
        }
    }

    /// Must be set before a connection is up.
    pub(crate) fn set_tick_time(&mut self, tick_time: Duration) {
        self.tick_time = tick_time;
    }

    /// Forgets everything, as a node that was killed and started again.
    pub(crate) fn restart(&mut self) {
        self.connections.clear();
        self.slot = PeerSlot::new();
        self.local.creation += 1;
    }

    /// Messages received.
    pub(crate) fn received(&self) -> Vec<Term> {
        let payload = |event: &Event| match event {
            Event::Message(_, payload) => payload.clone(),
            _ => None,
        };
        self.events.iter().filter_map(payload).collect()
    }

    fn read(&mut self, id: AttemptId, peer: &NodeName, bytes: &[u8], now: Instant) -> Vec<Action> {
        let Some(connection) = self.connections.get_mut(&id) else { return Vec::new() };
        connection.buffer.extend_from_slice(bytes);
        let mut actions = Vec::new();
        while let Some(connection) = self.connections.get_mut(&id) {
            if let Phase::Up(_) = connection.phase {
                match self.read_frame(id, now) {
                    Ok(true) => continue,
                    Ok(false) => break,
                    Err(error) => {
                        self.events.push(Event::Broken(error));
                        self.end(id, None);
                        actions.push(Action::Close);
                        break;
                    }
                }
            }
            let message = match connection.reader.next(&mut connection.buffer) {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => {
                    self.end(id, Some(error));
                    actions.push(Action::Close);
                    break;
                }
            };
            connection.setup.restart(now);
            let connection = self.connections.remove(&id).unwrap();
            match self.step(id, peer, connection.phase, &message, now, &mut actions) {
                Ok(Some(phase)) => {
                    self.connections.insert(id, Connection { phase, ..connection });
                }
                Ok(None) => actions.push(Action::Close),
                Err(error) => {
                    self.end(id, Some(error));
                    actions.push(Action::Close);
                }
            }
        }
        actions
    }

    /// One step of the handshake; `None` when the attempt has given way.
    fn step(
        &mut self,
        id: AttemptId,
        peer: &NodeName,
        phase: Phase,
        message: &[u8],
        now: Instant,
        actions: &mut Vec<Action>,
    ) -> Result<Option<Phase>, HandshakeError> {
        const CHALLENGE: u32 = 0x1234_5678;
        let mut write = |out| actions.push(Action::Write(out));
        Ok(match phase {
            Phase::ExpectStatus(state) => match state.receive(message)? {
                AfterStatus::Proceed(state) => Some(Phase::ExpectChallenge(state)),
                AfterStatus::Alive(state) if self.slot.replaces(id) => {
                    let (state, out) = state.replace();
                    write(out);
                    Some(Phase::ExpectChallenge(state))
                }
                AfterStatus::Alive(state) => {
                    write(state.keep_old());
                    self.events.push(Event::Dropped);
                    let _ = self.slot.closed(id);
                    None
                }
                AfterStatus::Yield => {
                    self.events.push(Event::Dropped);
                    self.slot.yielded(id);
                    None
                }
            },
            Phase::ExpectChallenge(state) => {
                let (state, out) = state.receive(message, CHALLENGE)?;
                write(out);
                Some(Phase::ExpectAck(state))
            }
            Phase::ExpectAck(state) => self.up(id, state.receive(message)?, now),
            Phase::ExpectName(state) => {
                let Introduced::Named(caller) = state.receive(message)? else { panic!("no dynamic names here") };
                assert_eq!(caller.name(), peer);
                match self.slot.call(id, &self.local.name, peer) {
                    CallVerdict::Accept { stale } => {
                        stale.into_iter().for_each(|stale| self.supersede(stale));
                        let (state, out) = caller.accept(CHALLENGE);
                        out.into_iter().for_each(write);
                        Some(Phase::ExpectReply(state))
                    }
                    CallVerdict::AcceptSimultaneous { ours } => {
                        self.supersede(ours);
                        self.events.push(Event::Dropped);
                        let (state, out) = caller.accept_simultaneous(CHALLENGE);
                        out.into_iter().for_each(write);
                        Some(Phase::ExpectReply(state))
                    }
                    CallVerdict::Yield => {
                        write(caller.yield_to_ours());
                        None
                    }
                    CallVerdict::AskAlive => {
                        let (state, out) = caller.ask_alive();
                        write(out);
                        Some(Phase::ExpectAliveAnswer(state))
                    }
                    CallVerdict::Close => None,
                }
            }
            Phase::ExpectAliveAnswer(state) => match state.receive(message, CHALLENGE)? {
                AliveAnswer::Replace(state, out) => {
                    write(out);
                    Some(Phase::ExpectReply(state))
                }
                AliveAnswer::KeepOld => {
                    let _ = self.slot.closed(id);
                    None
                }
            },
            Phase::ExpectReply(state) => match state.receive(message)? {
                AfterReply::Complemented(state) => Some(Phase::ExpectReply(state)),
                AfterReply::Established(established, out) => {
                    let up = self.up(id, established, now);
                    if up.is_some() {
                        write(out);
                    }
                    up
                }
            },
            Phase::Up(_) => unreachable!(),
        })
    }

    fn up(&mut self, id: AttemptId, established: Established, now: Instant) -> Option<Phase> {
        match self.slot.established(id) {
            UpVerdict::Superseded => return None,
            UpVerdict::Up => {}
            UpVerdict::Replaces(old) => {
                self.supersede(old);
                self.events.push(Event::Down);
            }
        }
        self.events.push(Event::Up { peer: established.peer.to_string(), visible: established.is_visible() });
        Some(Phase::Up(Box::new(Channel {
            inbound: Inbound::new(ChannelLimits::default()),
            outbound: Outbound::new(established.flags),
            forms: Forms::new(established.flags),
            ticks: TickTimer::new(now, self.tick_time, TickTimer::DEFAULT_INTENSITY),
        })))
    }

    fn read_frame(&mut self, id: AttemptId, now: Instant) -> Result<bool, String> {
        let Some(Connection { buffer, phase: Phase::Up(channel), .. }) = self.connections.get_mut(&id) else {
            return Ok(false);
        };
        let Some(frame) = FrameReader::default().next(buffer).map_err(|error| error.to_string())? else {
            return Ok(false);
        };
        channel.ticks.read(now, if frame == Frame::Tick { Traffic::Tick } else { Traffic::Message });
        let message = channel.inbound.receive(frame).map_err(|error| error.to_string())?;
        if let Some(message) = message {
            let payload = message.payload.map(|payload| payload.decode().unwrap());
            self.events.push(Event::Message(message.signal, payload));
        }
        Ok(true)
    }

    fn poll(&mut self, now: Instant) -> Vec<(AttemptId, Vec<Action>)> {
        let mut done = Vec::new();
        let mut dead = Vec::new();
        for (&id, connection) in &mut self.connections {
            match &mut connection.phase {
                Phase::Up(channel) => match channel.ticks.poll(now) {
                    TickAction::Wait => {}
                    TickAction::SendTick => {
                        channel.ticks.wrote(now, Traffic::Tick);
                        done.push((id, vec![Action::Write(TICK.to_vec())]));
                    }
                    TickAction::PeerDead => dead.push(id),
                },
                _ if connection.setup.expired(now) => dead.push(id),
                _ => {}
            }
        }
        for id in dead {
            let connection = self.connections.remove(&id).unwrap();
            if let Phase::Up(_) = connection.phase {
                self.events.push(Event::TickTimeout);
                self.end(id, None);
            } else {
                let waiting_for = "next handshake message";
                self.end(id, Some(HandshakeError::Timeout { waiting_for }));
            }
            done.push((id, vec![Action::Close]));
        }
        done
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.connections.values().map(|connection| match &connection.phase {
            Phase::Up(channel) => channel.ticks.deadline(),
            _ => connection.setup.deadline(),
        })
    }

    fn closed_by_peer(&mut self, id: AttemptId) {
        let Some(connection) = self.connections.remove(&id) else { return };
        let error = match connection.phase {
            Phase::ExpectStatus(state) => Some(state.closed()),
            Phase::ExpectChallenge(state) => Some(state.closed()),
            Phase::ExpectAck(state) => Some(state.closed()),
            Phase::ExpectName(state) => Some(state.closed()),
            Phase::ExpectAliveAnswer(state) => Some(state.closed()),
            Phase::ExpectReply(state) => Some(state.closed()),
            Phase::Up(_) => None,
        };
        self.end(id, error);
    }

    /// A connection or attempt is over.
    fn end(&mut self, id: AttemptId, error: Option<HandshakeError>) {
        self.connections.remove(&id);
        match self.slot.closed(id) {
            ClosedVerdict::NodeDown => self.events.push(Event::Down),
            ClosedVerdict::Failed | ClosedVerdict::Nothing => self.events.extend(error.map(Event::Failed)),
        }
    }

    /// Ends a connection that another one takes the place of.
    fn supersede(&mut self, id: AttemptId) {
        self.connections.remove(&id);
        self.superseded.push(id);
    }
}

impl Connection {
    fn new(now: Instant, framing: Framing, phase: Phase) -> Connection {
        Connection {
            buffer: BytesMut::new(),
            reader: HandshakeReader::new(framing),
            setup: SetupTimer::start(now, SetupTimer::DEFAULT_STEP),
            phase,
        }
    }
}

fn pid(local: &LocalNode) -> Pid {
    Pid { node: local.name.as_atom().clone(), id: 1, serial: 0, creation: local.creation }
}
