//! Two nodes in memory: bytes move, time is simulated, nothing is random.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use peerl_proto::{
    channel::{ChannelLimits, Message},
    connection::{Batch, ReceiveHalf, SendHalf},
    control::{Forms, Signal},
    cookie::Cookie,
    flags::DistributionFlags,
    handshake::{
        Established, Handshake, HandshakeError, HandshakeReader, LocalNode, SetupTimer, Step,
        arbitration::{AttemptId, CallVerdict, DialVerdict, PeerSlot, UpVerdict},
    },
    node_name::NodeName,
    tick::{TickAction, TickTimer},
};
use peerl_term::{Atom, Origin, Pid, Term, encode};

/// What a node reports to its user.
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
    /// The most bytes per read.
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
    /// Writes are lost, and nothing arrives.
    pub(crate) unplugged: bool,
    tick_time: Duration,
    connections: BTreeMap<AttemptId, Connection>,
    /// Connections that were replaced; the peer must see them closed.
    superseded: Vec<AttemptId>,
}

enum Connection {
    Handshake(Setup),
    Up(Box<Up>),
}

struct Setup {
    buffer: BytesMut,
    reader: HandshakeReader,
    timer: SetupTimer,
    handshake: Handshake,
}

/// Both halves of a connection, as a node drives them.
struct Up {
    receive: ReceiveHalf,
    send: SendHalf,
    forms: Forms,
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

    /// `side` dials the other node.
    pub(crate) fn dial(&mut self, side: Side) -> DialVerdict {
        let attempt = AttemptId(self.next_attempt);
        let verdict = self.node(side).slot.dial(attempt);
        if verdict == DialVerdict::Dial {
            self.next_attempt += 1;
            let now = self.now;
            let peer = self.node(side.other()).local.name.clone();
            let node = self.node(side);
            let (handshake, out) = Handshake::initiate(node.local.clone(), peer);
            node.connections.insert(attempt, Connection::new(now, &node.local, handshake));
            let other = self.node(side.other());
            let handshake = Handshake::accept(other.local.clone());
            other.connections.insert(attempt, Connection::new(now, &other.local, handshake));
            self.write(side, attempt, [Some(out)]);
        }
        verdict
    }

    /// A process of `side` sends a message to the name `sink` of the other.
    pub(crate) fn send(&mut self, side: Side, message: &Term) {
        self.send_from(side, 1, message);
    }

    /// As [`send`](Self::send), from the process with this id. Messages sent at the same time are written together.
    pub(crate) fn send_from(&mut self, side: Side, id: u32, message: &Term) {
        let node = self.node(side);
        let Some(up) = node.slot.up() else { panic!("{side:?} is not connected") };
        let pid = Pid { node: node.local.name.as_atom().clone(), id, serial: 0, creation: node.local.creation };
        let Some(Connection::Up(up)) = node.connections.get_mut(&up) else { panic!("it is up") };
        let control = up.forms.reg_send(pid.clone(), Atom::from_static("sink"));
        up.send.send((&pid).into(), &control, |out| encode::term(message, out)).unwrap();
    }

    /// `side` writes arbitrary bytes to the established connection.
    pub(crate) fn write_raw(&mut self, side: Side, bytes: &[u8]) {
        let Some(up) = self.node(side).slot.up() else { panic!("{side:?} is not connected") };
        self.write(side, up, [Some(bytes.to_vec())]);
    }

    /// Advances the time.
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
            let written = self.node(to).read(connection, &peer, chunk, now);
            self.write(to, connection, written);
        }
    }

    fn poll_timers(&mut self) {
        for side in [Side::A, Side::B] {
            let now = self.now;
            for (connection, written) in self.node(side).poll(now) {
                self.write(side, connection, written);
            }
        }
    }

    /// Sends what a node has written; `None` closes the connection.
    fn write(&mut self, side: Side, connection: AttemptId, written: impl IntoIterator<Item = Option<Vec<u8>>>) {
        let at = self.now + self.latency;
        for bytes in written {
            if bytes.is_none() {
                self.node(side).connections.remove(&connection);
            }
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

    /// Forgets all state, like a node that is killed and restarted.
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

    /// Processes bytes from a connection. Returns the bytes to write; `None` closes the connection.
    fn read(&mut self, id: AttemptId, peer: &NodeName, bytes: &[u8], now: Instant) -> Vec<Option<Vec<u8>>> {
        let setup = match self.connections.remove(&id) {
            None => return Vec::new(),
            Some(Connection::Up(mut up)) => {
                up.receive.read_buffer().extend_from_slice(bytes);
                let read = up.receive.has_read(bytes.len());
                let is_tick_due = up.send.has_read(now, read);
                return self.receive(id, up, is_tick_due, now);
            }
            Some(Connection::Handshake(mut setup)) => {
                setup.buffer.extend_from_slice(bytes);
                setup
            }
        };
        let mut written = Vec::new();
        if let Err(error) = self.shake_hands(id, peer, setup, now, &mut written) {
            self.end(id, Some(error));
            written.push(None);
        }
        written
    }

    /// Processes the messages from an established connection.
    fn receive(&mut self, id: AttemptId, mut up: Box<Up>, is_tick_due: bool, now: Instant) -> Vec<Option<Vec<u8>>> {
        let mut message = Message::vacant();
        loop {
            match up.receive.next(&mut message) {
                Ok(true) => {
                    let payload = message.payload.take().map(|payload| payload.decode().unwrap());
                    self.events.push(Event::Message(message.signal.clone(), payload));
                }
                Ok(false) => break,
                Err(error) => {
                    self.events.push(Event::Broken(error.to_string()));
                    self.end(id, None);
                    return vec![None];
                }
            }
        }
        if is_tick_due {
            up.send.tick();
        }
        let written = up.write(now);
        self.connections.insert(id, Connection::Up(up));
        written
    }

    /// Advances the handshake by the messages that have arrived.
    fn shake_hands(
        &mut self,
        id: AttemptId,
        peer: &NodeName,
        mut setup: Setup,
        now: Instant,
        written: &mut Vec<Option<Vec<u8>>>,
    ) -> Result<(), HandshakeError> {
        while let Some(message) = setup.reader.next(&mut setup.buffer)? {
            setup.timer.restart(now);
            let step = match setup.handshake.receive(&message, CHALLENGE)? {
                Step::Named(caller) => {
                    assert_eq!(caller.name(), peer);
                    let verdict = self.slot.call(id, &self.local.name, peer);
                    match verdict {
                        CallVerdict::Accept { stale } => stale.into_iter().for_each(|stale| self.supersede(stale)),
                        CallVerdict::AcceptSimultaneous { ours } => {
                            self.supersede(ours);
                            self.events.push(Event::Dropped);
                        }
                        CallVerdict::Yield | CallVerdict::AskAlive | CallVerdict::Close => {}
                    }
                    caller.answer(verdict, CHALLENGE)
                }
                step => step,
            };
            match step {
                Step::Next(handshake, out) => {
                    setup.handshake = handshake;
                    written.extend(out.into_iter().map(Some));
                }
                Step::AnswerAlive(state) if self.slot.replaces(id) => {
                    let (state, out) = state.replace();
                    setup.handshake = Handshake::ExpectChallenge(state);
                    written.push(Some(out));
                }
                Step::AnswerAlive(state) => {
                    written.extend([Some(state.keep_old()), None]);
                    self.events.push(Event::Dropped);
                    self.slot.closed(id);
                    return Ok(());
                }
                Step::Yielded => {
                    self.events.push(Event::Dropped);
                    self.slot.yielded(id);
                    written.push(None);
                    return Ok(());
                }
                Step::Dismissed(reply) => {
                    self.slot.closed(id);
                    written.extend(reply.map(Some));
                    written.push(None);
                    return Ok(());
                }
                Step::Established(established, out) => {
                    match self.up(id, established, setup.buffer, now) {
                        Some(up) => {
                            written.push(Some(out));
                            written.extend(self.receive(id, up, false, now));
                        }
                        None => written.push(None),
                    }
                    return Ok(());
                }
                Step::Named(_) | Step::Nameless(_) => panic!("no dynamic names here"),
            }
        }
        self.connections.insert(id, Connection::Handshake(setup));
        Ok(())
    }

    fn up(&mut self, id: AttemptId, established: Established, buffer: BytesMut, now: Instant) -> Option<Box<Up>> {
        match self.slot.established(id) {
            UpVerdict::Superseded => return None,
            UpVerdict::Up => {}
            UpVerdict::Replaces(old) => {
                self.supersede(old);
                self.events.push(Event::Down);
            }
        }
        let flags = established.flags;
        let visible = flags.contains(DistributionFlags::PUBLISHED);
        self.events.push(Event::Up { peer: established.peer.to_string(), visible });
        let ticks = TickTimer::new(now, self.tick_time, TickTimer::DEFAULT_INTENSITY);
        Some(Box::new(Up {
            receive: ReceiveHalf::new(ChannelLimits::default(), Origin::new(|_| {}), now, buffer),
            send: SendHalf::new(flags, None, usize::MAX, ticks),
            forms: Forms::new(flags),
        }))
    }

    fn poll(&mut self, now: Instant) -> Vec<(AttemptId, Vec<Option<Vec<u8>>>)> {
        let mut done = Vec::new();
        let mut dead = Vec::new();
        for (&id, connection) in &mut self.connections {
            match connection {
                Connection::Up(up) => {
                    up.receive.give_up_idle(now);
                    match up.send.poll(now) {
                        TickAction::PeerDead => dead.push((id, Event::TickTimeout)),
                        TickAction::SendTick | TickAction::Wait => done.push((id, up.write(now))),
                    }
                }
                Connection::Handshake(setup) if setup.timer.expired(now) => {
                    let waiting_for = setup.handshake.waiting_for();
                    dead.push((id, Event::Failed(HandshakeError::Timeout { waiting_for })));
                }
                Connection::Handshake(_) => {}
            }
        }
        for (id, event) in dead {
            self.events.push(event);
            self.end(id, None);
            done.push((id, vec![None]));
        }
        done
    }

    fn deadlines(&self) -> impl Iterator<Item = Instant> {
        self.connections.values().flat_map(|connection| {
            match connection {
                Connection::Up(up) => [Some(up.send.ticks().deadline()), up.receive.deadline()],
                Connection::Handshake(setup) => [Some(setup.timer.deadline()), None],
            }
            .into_iter()
            .flatten()
        })
    }

    fn closed_by_peer(&mut self, id: AttemptId) {
        let error = match self.connections.remove(&id) {
            None => return,
            Some(Connection::Handshake(setup)) => Some(setup.handshake.closed()),
            Some(Connection::Up(_)) => None,
        };
        self.end(id, error);
    }

    /// A connection or attempt is over.
    fn end(&mut self, id: AttemptId, error: Option<HandshakeError>) {
        self.connections.remove(&id);
        let was_up = self.slot.up() == Some(id);
        self.slot.closed(id);
        self.events.extend(if was_up { Some(Event::Down) } else { error.map(Event::Failed) });
    }

    /// Ends a connection that another one replaces.
    fn supersede(&mut self, id: AttemptId) {
        self.connections.remove(&id);
        self.superseded.push(id);
    }
}

impl Connection {
    fn new(now: Instant, local: &LocalNode, handshake: Handshake) -> Connection {
        Connection::Handshake(Setup {
            buffer: BytesMut::new(),
            reader: HandshakeReader::new(local.framing),
            timer: SetupTimer::start(now, SetupTimer::DEFAULT_STEP),
            handshake,
        })
    }
}

impl Up {
    /// Writes all that is queued.
    fn write(&mut self, now: Instant) -> Vec<Option<Vec<u8>>> {
        let mut written = Vec::new();
        let mut batch = Batch::default();
        loop {
            self.send.take(&mut batch);
            if batch.is_empty() {
                return written;
            }
            written.push(Some(batch.pieces().flatten().copied().collect()));
            self.send.has_written(now, batch.traffic());
        }
    }
}

/// A predictable challenge.
const CHALLENGE: u32 = 0x1234_5678;
