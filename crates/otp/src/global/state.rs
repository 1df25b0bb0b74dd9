use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use peerl_node::{Budget, Lease};
use peerl_term::{Atom, Pid, Term};

use super::action::Action;
use super::event::{Event, LocalRequest};
use super::ids::{CallId, RequestId};
use super::lock::LockId;
use super::locker::{Locker, Outcome};
use super::locks::Locks;
use super::lost_connections::LostConnections;
use super::mesh::Mesh;
use super::message::{Message, Received};
use super::names::Names;
use super::outbox::Outbox;
use super::random::Random;
use super::registrar::{Change, Registrar};
use super::registration::Registration;
use super::session::Session;
use super::syncs::{Asker, Requester, Syncs};
use super::unreachable::Unreachable;
use super::warnings::Warnings;
use crate::node_shares::NodeShares;

mod calls;
mod exchange;
mod membership;
mod partitions;
mod sessions;
mod suspects;

/// The version of the protocol, that of OTP 25 to 29.
const VERSION: u32 = 8;

/// The whole of `global` at one node, without I/O, clock and randomness.
///
/// Give it what happens with [`handle`](Self::handle), then do all that [`next_action`](Self::next_action) gives; give it
/// [`Event::Timeout`] at [`deadline`](Self::deadline), which each event may change.
#[derive(Debug)]
pub struct State {
    mesh: Mesh,
    sessions: BTreeMap<Atom, Session>,
    last_tag: i64,
    locker: Locker,
    registrar: Registrar,
    names: Names,
    synced: BTreeSet<Atom>,
    syncs: Syncs,
    /// What each node keeps here until it is answered takes of the memory.
    shares: NodeShares,
    /// Nodes that learn, when they are connected, that this one knows them.
    joining: BTreeSet<Atom>,
    lost_connections: LostConnections,
    /// Nodes whose connection is about to end, of which nobody is to be told.
    removing: BTreeSet<Atom>,
    /// Nodes that know this one but are not known, and until when that is not strange.
    doubts: BTreeMap<Atom, Instant>,
    /// Nodes that are connected anew when their connection has ended.
    rejoining: BTreeSet<Atom>,
    /// Nodes that were asked for those that were lost.
    questions: HashMap<CallId, Arc<[Atom]>>,
    leaving: Vec<Leaving>,
    /// Nodes that could not be connected, of which the log does not tell yet.
    unreachable: Unreachable,
}

/// A request to leave the cluster, which is answered when all nodes are gone.
#[derive(Debug)]
struct Leaving {
    requester: Requester,
    _lease: Lease,
    left: Vec<Atom>,
    remaining: BTreeSet<Atom>,
}

/// Who a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The node's name.
    pub node: Atom,
    /// The process that is registered as `global_name_server`.
    pub server: Pid,
    /// A random number: what the node does by chance follows from it.
    pub seed: u64,
}

impl State {
    /// Begins, connected to nobody. The names and the locks of the cluster take of this memory.
    pub fn new(identity: Identity, memory: Arc<Budget>) -> Self {
        let Identity { node, server, seed } = identity;
        let random = Random::new(seed);
        let mesh = Mesh {
            server,
            known: BTreeMap::new(),
            suspects: BTreeMap::new(),
            locks: Locks::new(memory.clone()),
            outbox: Outbox::new(node),
            random,
            warnings: Warnings::default(),
        };
        Self {
            mesh,
            sessions: BTreeMap::new(),
            last_tag: 0,
            locker: Locker::default(),
            registrar: Registrar::default(),
            names: Names::new(&memory),
            shares: NodeShares::new(memory),
            synced: BTreeSet::new(),
            syncs: Syncs::default(),
            joining: BTreeSet::new(),
            lost_connections: LostConnections::default(),
            removing: BTreeSet::new(),
            doubts: BTreeMap::new(),
            rejoining: BTreeSet::new(),
            questions: HashMap::new(),
            leaving: Vec::new(),
            unreachable: Unreachable::default(),
        }
    }

    /// Enters names of processes of this node, which is connected to nobody yet.
    pub fn restore(&mut self, names: Vec<Registration>) {
        for name in names {
            self.names.insert(name, None, &mut self.mesh.outbox);
        }
    }

    /// Takes what has happened.
    pub fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::NodeUp(node, visibility) => self.node_up(&node, visibility, now),
            Event::NodeDown(node, end) => self.node_down(&node, end, now),
            Event::ConnectFailed(node) => self.connect_failed(&node, now),
            // Nobody speaks for others: their locks would not go with who has set them, and answers would go to them.
            Event::Received(from, received) if !received.is_of(&from) => {
                tracing::debug!(node = %from, "global has got a message in the name of another node");
            }
            Event::Received(sender, received) => match *received {
                Received::Call(from, request) => self.call(from, request, now),
                Received::Message(message) => self.message(&sender, *message, now),
            },
            Event::Answered(call, reply) => self.answered(call, reply.as_ref(), now),
            Event::Down(monitor) => {
                if !self.mesh.locks.down(monitor) {
                    self.names.down(monitor);
                }
            }
            Event::Returned(resolution, answer) => self.returned(resolution, answer.as_ref(), now),
            Event::Request(request, wanted) => self.request(request, wanted, now),
            Event::GivenUp(request) => self.syncs.given_up(&Asker::Local(request)),
            Event::Timeout => self.tick(now),
        }
        let refused = self.names.take_refused();
        if refused > 0 {
            let kind = "the global names take too much memory: some are not entered";
            self.mesh.warnings.refused_names.warn(kind, || format!("{kind}: {refused}"));
        }
    }

    /// About how many steps it takes to handle an event, and to do what comes of it, beside those for what the event brings.
    pub(super) fn steps(&self, event: &Event) -> usize {
        let all = self.names.len() + self.mesh.locks.len() + self.syncs.len() + self.mesh.known.len();
        match event {
            Event::Down(_) | Event::GivenUp(_) => 0,
            Event::Request(_, wanted) if wanted.is_about_one() => 0,
            Event::Received(_, received) if received.is_about_one() => 0,
            // Nobody is met.
            Event::Answered(..) | Event::Timeout if self.sessions.is_empty() => 0,
            _ => all,
        }
    }

    /// What is to be done next.
    pub fn next_action(&mut self) -> Option<Action> {
        self.mesh.outbox.take()
    }

    /// When [`Event::Timeout`] is due.
    pub fn deadline(&self) -> Option<Instant> {
        let doubts = self.doubts.values().chain(self.mesh.suspects.values()).copied();
        let others = [
            self.locker.deadline(),
            self.registrar.deadline(),
            self.lost_connections.deadline(),
            self.unreachable.deadline(),
        ];
        others.into_iter().flatten().chain(doubts).min()
    }

    /// The names that this node knows.
    pub fn names(&self) -> Vec<Registration> {
        self.names.all()
    }

    /// The locks that are set at this node, and the processes that hold them.
    pub fn locks(&self) -> Vec<(LockId, Vec<Pid>)> {
        self.mesh.locks.all()
    }

    /// The other nodes of the partition.
    pub fn known(&self) -> impl Iterator<Item = &Atom> {
        self.mesh.known.keys()
    }

    fn node(&self) -> &Atom {
        &self.mesh.outbox.node
    }

    fn answered(&mut self, call: CallId, reply: Option<&Term>, now: Instant) {
        let outcome = self.locker.answered(call, reply, now, &mut self.mesh);
        self.settle(outcome, now);
        self.registrar.answered(call, reply, now, &mut self.mesh, &mut self.names);
        self.suspects_answered(call, reply, now);
    }

    /// A node is not connected: what has waited for it fails, and what its processes hold goes.
    fn disconnected(&mut self, node: &Atom, now: Instant) {
        let calls = self.mesh.outbox.node_down(node);
        self.mesh.locks.node_gone(node, &mut self.mesh.outbox);
        self.names.node_gone(node, &mut self.mesh.outbox);
        for call in calls {
            self.answered(call, None, now);
        }
    }

    fn message(&mut self, sender: &Atom, message: Message, now: Instant) {
        match message {
            Message::InitConnect(message) => self.init_connect(message, now),
            Message::InitConnectAck(message) => self.init_connect_ack(&message, now),
            Message::CancelConnect { node, tag } => self.cancel_connect(&node, &tag, now),
            Message::LockSet(message) => self.lock_set(message, now),
            Message::Exchange(message) => self.exchange(message, now),
            Message::Resolved(message) => self.resolved(message, now),
            Message::NewNodes(message) => self.new_nodes(&message, now),
            Message::InSync { node } => self.in_sync(&node, now),
            Message::LostConnection(message) => self.lost_connection(sender, &message, now),
            Message::RemoveConnection { node } => self.remove_connection(&node, now),
            Message::Whereis { name, from } => {
                let pid = self.whereis(&name);
                self.mesh.outbox.push(Action::Reply(from, pid));
            }
            Message::Obsolete => {}
        }
    }

    fn request(&mut self, request: RequestId, wanted: LocalRequest, now: Instant) {
        let requester = Requester::Local(request);
        let answer = match wanted {
            LocalRequest::Register(registration) => return self.change(request, Change::Register(registration), now),
            LocalRequest::ReRegister(registration) => {
                return self.change(request, Change::ReRegister(registration), now);
            }
            LocalRequest::Unregister(name) if self.names.pid(&name).is_none() => Term::atom("ok"),
            LocalRequest::Unregister(name) => return self.change(request, Change::Unregister(name), now),
            LocalRequest::Whereis(name) => self.whereis(&name),
            LocalRequest::NamesMemory => Term::from(self.names.listed_memory()),
            LocalRequest::RegisteredNames => Term::list(self.names.names().cloned()),
            LocalRequest::Sync(nodes) => {
                return self.sync(requester, nodes.unwrap_or_else(|| self.mesh.outbox.visible()));
            }
            LocalRequest::Disconnect => return self.disconnect(requester, now),
            LocalRequest::Info => self.info(),
            LocalRequest::Resolve([method, name, one, other]) => match (one.as_pid(), other.as_pid()) {
                (Some(one), Some(other)) => self.decide(&method, &name, one, other),
                _ => Term::tuple([Term::atom("EXIT"), Term::atom("badarg")]),
            },
        };
        requester.answer(answer, &mut self.mesh.outbox);
    }

    fn change(&mut self, request: RequestId, change: Change, now: Instant) {
        let share = self.shares.of(&self.mesh.outbox.node);
        self.registrar.add((request, change), &share, now, &mut self.mesh, &mut self.names);
    }

    fn whereis(&self, name: &Term) -> Term {
        self.names.pid(name).map_or_else(|| Term::atom("undefined"), |pid| pid.clone().into())
    }

    fn sync(&mut self, requester: Requester, nodes: Vec<Atom>) {
        // Of one that is neither connected nor about to be no news would come, ever.
        let may_come = |node: &Atom| self.mesh.outbox.is_connected(node) || self.joining.contains(node);
        let is_awaited = |node: &Atom| may_come(node) && !self.synced.contains(node);
        let nodes = nodes.into_iter().filter(is_awaited).collect();
        let share = self.shares.of(requester.node().unwrap_or(&self.mesh.outbox.node));
        self.syncs.add(requester, nodes, &share, &mut self.mesh.outbox);
    }

    fn tick(&mut self, now: Instant) {
        let outcome = self.locker.tick(now, &mut self.mesh);
        self.settle(outcome, now);
        self.registrar.tick(now, &mut self.mesh, &mut self.names);
        self.lost_connections.forget_old(now);
        self.settle_doubts(now);
        self.question_suspects(now);
        self.unreachable.tell(now);
    }

    /// Does what the locker wants.
    fn settle(&mut self, outcome: Option<Outcome>, now: Instant) {
        match outcome {
            None => {}
            Some(Outcome::LockIsSet { node, tag, lock, members }) => self.lock_is_set(&node, tag, (lock, members), now),
            Some(Outcome::Stuck { node, tag }) => {
                tracing::warn!(%node, "the names of a node were awaited for too long; beginning again");
                if self.sessions.get(&node).is_some_and(|session| session.tag == tag) {
                    self.restart(&node, now);
                } else {
                    self.cancel_locker(&node, tag, now);
                }
            }
        }
    }
}
