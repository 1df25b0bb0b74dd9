use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use peerl_proto::channel::{ChannelLimits, Message as Received};
use peerl_proto::connection::{Batch, ReceiveHalf};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::handshake::Established;
use peerl_proto::handshake::arbitration::AttemptId;
use peerl_proto::node_name::NodeName;
use peerl_proto::tick::TickTimer;
use peerl_term::{Atom, Origin, Pid, Reference, Term};

use crate::kernel::connection::{Connection, ShortWait, Timing};
use crate::kernel::event::NodeDownReason;
use crate::kernel::identity::Identity;
use crate::kernel::limits::Limits;
use crate::kernel::process::{Core, Exits, MailboxPolicy, Message, Monitored};
use crate::kernel::reason::{self, Reason};
use crate::kernel::router::Routed;
use crate::kernel::state::Kernel;
use crate::kernel::violation::Violation;

/// A kernel, and its end of the connection to the other one.
pub(super) struct Side {
    pub(super) kernel: Arc<Kernel>,
    connection: Option<Arc<Connection>>,
    receive: Option<ReceiveHalf>,
}

/// Two kernels. Signals wait in their queues until [`deliver`](Self::deliver) carries them over.
pub(super) struct Pair {
    pub(super) a: Side,
    pub(super) b: Side,
    attempts: u64,
}

/// Which of the two.
#[derive(Clone, Copy)]
pub(super) enum Way {
    AToB,
    BToA,
}

impl Pair {
    /// Two connected kernels.
    pub(super) fn connected() -> Self {
        Self::with(Limits::default())
    }

    /// Two connected kernels with these limits.
    pub(super) fn with(limits: Limits) -> Self {
        let mut pair = Self { a: Side::new("a@h", limits), b: Side::new("b@h", limits), attempts: 0 };
        pair.connect();
        pair
    }

    pub(super) fn connect(&mut self) {
        self.attempts += 1;
        let (a, b) = (&self.a.kernel, &self.b.kernel);
        let (to_b, to_a) = (connection(self.attempts, a, b), connection(self.attempts, b, a));
        self.a.up(to_b);
        self.b.up(to_a);
    }

    /// Ends the connection. What is queued is lost.
    pub(super) fn disconnect(&mut self) {
        self.a.down();
        self.b.down();
    }

    /// Carries over all that is queued, and what that causes, until nothing is left.
    pub(super) fn deliver(&mut self) {
        while self.deliver_one_way(Way::AToB) | self.deliver_one_way(Way::BToA) {}
    }

    /// Carries over what is queued in one direction. Says whether there was anything.
    pub(super) fn deliver_one_way(&mut self, way: Way) -> bool {
        let (from, to) = match way {
            Way::AToB => (&mut self.a, &mut self.b),
            Way::BToA => (&mut self.b, &mut self.a),
        };
        let bytes = from.take();
        to.receive(&bytes).unwrap();
        !bytes.is_empty()
    }

    /// Carries over what is queued from A to B, which may find a violation in it.
    pub(super) fn deliver_to_b(&mut self) -> Result<(), Violation> {
        self.b.receive(&self.a.take())
    }

    /// The number of monitors of A's processes on B's that B's connection knows.
    pub(super) fn monitors_of_a(&self) -> usize {
        self.b.connection.as_ref().unwrap().monitors.len()
    }

    /// The number of monitors of B's processes on A's that A's connection knows.
    pub(super) fn monitors_of_b(&self) -> usize {
        self.a.connection.as_ref().unwrap().monitors.len()
    }
}

impl Side {
    fn new(name: &'static str, limits: Limits) -> Self {
        let identity = Identity::new(NodeName::new(name).unwrap(), Atom::from_static(name), 7);
        let kernel = Arc::new(Kernel::new(identity, limits));
        Self { kernel, connection: None, receive: None }
    }

    pub(super) fn name(&self) -> &NodeName {
        &self.kernel.identity.name
    }

    pub(super) fn process(&self) -> Arc<Core> {
        self.process_with(MailboxPolicy::default())
    }

    pub(super) fn process_with(&self, policy: MailboxPolicy) -> Arc<Core> {
        let process = Core::new(self.kernel.identity.next_pid(), policy);
        self.kernel.processes.insert(process.clone());
        process
    }

    pub(super) fn trapping(&self) -> Arc<Core> {
        let process = self.process();
        process.alive().unwrap().exits = Exits::Trap;
        process
    }

    pub(super) fn end(&self, process: &Arc<Core>, reason: &'static str) {
        self.kernel.end(process, &reason::atom(reason));
    }

    pub(super) fn monitor(&self, watcher: &Arc<Core>, object: Monitored) -> Reference {
        let reference = self.kernel.identity.next_reference();
        self.kernel.monitor(watcher, object, &reference);
        reference
    }

    fn up(&mut self, connection: Arc<Connection>) {
        self.kernel.connection_up(&connection);
        let origin = Origin::new(|error| panic!("malformed: {error}"));
        self.receive = Some(ReceiveHalf::new(ChannelLimits::default(), origin, Instant::now(), BytesMut::new()));
        self.connection = Some(connection);
    }

    fn down(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.kernel.connection_down(&connection, NodeDownReason::ConnectionClosed, |hide| hide());
        }
        self.receive = None;
    }

    /// Takes what is queued for the other side.
    pub(super) fn take(&self) -> Vec<u8> {
        let (mut bytes, mut batch) = (Vec::new(), Batch::default());
        while let Some(connection) = &self.connection
            && connection.outbox.take(&mut batch)
        {
            batch.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        }
        bytes
    }

    fn receive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let (Some(half), Some(connection)) = (&mut self.receive, &self.connection) else { return Ok(()) };
        half.read_buffer().extend_from_slice(bytes);
        let mut message = Received::vacant();
        while half.next(&mut message).unwrap() {
            assert!(matches!(
                self.kernel.route(connection, &mut message, &mut Vec::new())?,
                Routed::Done | Routed::Dropped(_)
            ));
        }
        Ok(())
    }
}

pub(super) fn connection(attempt: u64, from: &Kernel, to: &Kernel) -> Arc<Connection> {
    let flags = DistributionFlags::FULL_MEMBER;
    let established =
        Established { peer: to.identity.name.clone(), creation: to.identity.creation, flags, peer_flags: flags };
    let ticks = TickTimer::new(Instant::now(), TickTimer::DEFAULT_TICK_TIME, TickTimer::DEFAULT_INTENSITY);
    let timing = Timing { ticks, wait: ShortWait::Yield };
    let (peer, own) = (to.identity.atom.clone(), from.identity.name.clone());
    let side = from.side(peer.clone());
    let connection = Connection::new(AttemptId(attempt), peer, &established, own, timing, side);
    Arc::new(connection)
}

/// What a process finds in its mailbox, as terms; an exit signal or a monitor's message without its reference.
pub(super) fn mailbox(process: &Core) -> Vec<Seen> {
    std::iter::from_fn(|| process.take().unwrap())
        .map(|(message, _)| match message {
            Message::User(payload) => Seen::Message(payload.decode().unwrap()),
            Message::Exit(exit) => Seen::Exit(exit.from.clone(), exit.reason.decode().unwrap()),
            Message::Down(down) => Seen::Down(down.object.clone(), down.reason.decode().unwrap()),
            Message::NodeUp(up) => Seen::NodeUp(up.node),
            Message::NodeDown(down) => Seen::NodeDown(down.node),
        })
        .collect()
}

/// A message that a process has received.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Message(Term),
    Exit(Pid, Term),
    Down(Monitored, Term),
    NodeUp(NodeName),
    NodeDown(NodeName),
}

/// The reason with which a process has ended.
pub(super) fn ended(process: &Core) -> Option<Term> {
    match process.take() {
        Err(Reason::Term(term)) => Some(Term::clone(&term)),
        Err(Reason::Large(_)) => panic!("its encoding is kept"),
        Err(Reason::Returned { .. }) => panic!("the reason of a call"),
        Ok(_) => None,
    }
}

/// The links of a process, those included whose end has not been acknowledged.
pub(super) fn links(process: &Core) -> usize {
    process.alive().map_or(0, |state| state.links.len())
}
