use std::collections::VecDeque;
use std::time::{Duration, Instant};

use peerl_term::{Atom, Pid, Term};

use super::acquisition::{Acquisition, Members, Progress, Purpose};
use super::action::Action;
use super::ids::CallId;
use super::lock::LockId;
use super::mesh::Mesh;
use super::message::{LockSet, Message};
use super::session::Peer;

/// How long the partition stays locked for a peer that does not go on. OTP waits for ever.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Locks this node's partition together with that of one other node at a time.
///
/// Either of the two begins: it locks its own partition and the other node, and asks the other's locker to lock the other
/// partition, by the same lock. Then the names are exchanged, and the lock goes when both partitions are one.
#[derive(Debug)]
pub(super) struct Locker {
    candidates: Vec<Candidate>,
    phase: Phase,
    /// What peers have asked for while this locker was busy.
    waiting: VecDeque<LockSet>,
}

/// A node of another partition that waits to be met.
#[derive(Debug, Clone)]
struct Candidate {
    node: Atom,
    /// What this node calls the session.
    tag: i64,
    peer: Peer,
}

#[derive(Debug)]
enum Phase {
    /// Nothing is locked; the next attempt is at this time.
    Idle { next: Option<Instant> },
    /// The own partition is being locked.
    Locking { candidate: Candidate, role: Role, acquisition: Acquisition },
    /// The own partition is locked, and the other's locker is to lock the other one.
    Asking(Held),
    /// Both are locked, until the session is over.
    Locked(Held),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// This locker has begun.
    Initiator,
    /// The other one has.
    Responder,
}

#[derive(Debug)]
struct Held {
    candidate: Candidate,
    lock: LockId,
    nodes: Vec<Atom>,
    members: Members,
    until: Instant,
}

/// What the sessions have to know.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Both partitions are locked.
    LockIsSet { node: Atom, tag: i64, lock: LockId, members: Members },
    /// The other node does not go on.
    Stuck { node: Atom, tag: i64 },
}

impl Default for Locker {
    fn default() -> Self {
        Self { candidates: Vec::new(), phase: Phase::Idle { next: None }, waiting: VecDeque::new() }
    }
}

impl Locker {
    /// A node waits to be met.
    pub(super) fn add(&mut self, node: &Atom, tag: i64, peer: Peer, now: Instant, mesh: &mut Mesh) {
        self.candidates.retain(|other| other.node != *node);
        self.candidates.push(Candidate { node: node.clone(), tag, peer });
        self.plan(now, mesh, Pause::Usual);
    }

    /// The other locker has locked its partition, or could not.
    pub(super) fn lock_set(&mut self, message: LockSet, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        if let Phase::Asking(held) = &self.phase
            && held.candidate.node == message.locker.node
        {
            if !held.candidate.is_tag(message.tag.as_ref()) {
                return None;
            }
            let Phase::Asking(held) = self.become_idle() else { return None };
            if message.is_set {
                return Some(self.locked(held));
            }
            mesh.release(&held.lock, &held.nodes);
            return self.idle(now, mesh, Pause::Usual);
        }
        if !message.is_set {
            return None;
        }
        if !matches!(self.phase, Phase::Idle { .. })
            && self.candidates.iter().any(|candidate| candidate.node == message.locker.node)
        {
            self.waiting.retain(|other| other.locker.node != message.locker.node);
            // Nobody looks at the nodes.
            self.waiting.push_back(LockSet { known: Vec::new(), ..message });
            return None;
        }
        self.respond(message, now, mesh)
    }

    /// A call was answered.
    pub(super) fn answered(
        &mut self,
        call: CallId,
        reply: Option<&Term>,
        now: Instant,
        mesh: &mut Mesh,
    ) -> Option<Outcome> {
        let Phase::Locking { acquisition, .. } = &mut self.phase else { return None };
        let progress = acquisition.answered(call, reply, mesh)?;
        self.proceed(progress, now, mesh)
    }

    /// A session is over: its lock goes.
    pub(super) fn cancel(&mut self, node: &Atom, tag: i64, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        self.candidates.retain(|candidate| candidate.node != *node || candidate.tag != tag);
        let is_current = match &self.phase {
            Phase::Idle { .. } => false,
            Phase::Locking { candidate, .. } => candidate.node == *node && candidate.tag == tag,
            Phase::Asking(held) | Phase::Locked(held) => held.candidate.node == *node && held.candidate.tag == tag,
        };
        if !is_current {
            return None;
        }
        let pause = match self.become_idle() {
            Phase::Locked(held) => {
                mesh.release(&held.lock, &held.nodes);
                Pause::None
            }
            Phase::Asking(held) => {
                mesh.release(&held.lock, &held.nodes);
                Pause::Usual
            }
            Phase::Locking { acquisition, .. } => {
                acquisition.abandon(mesh);
                Pause::Usual
            }
            Phase::Idle { .. } => Pause::Usual,
        };
        self.idle(now, mesh, pause)
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle { next } => *next,
            Phase::Locking { .. } => None,
            Phase::Asking(held) | Phase::Locked(held) => Some(held.until),
        }
    }

    pub(super) fn tick(&mut self, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return None;
        }
        match &mut self.phase {
            Phase::Asking(held) | Phase::Locked(held) => {
                held.until = now + STUCK_AFTER;
                Some(Outcome::Stuck { node: held.candidate.node.clone(), tag: held.candidate.tag })
            }
            _ => self.initiate(now, mesh),
        }
    }

    /// Tries to lock the own partition for one of the nodes that wait.
    fn initiate(&mut self, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        self.candidates.retain(|candidate| !mesh.known.contains_key(&candidate.node));
        if mesh.locks.is_global_set() {
            self.plan(now, mesh, Pause::Usual);
            return None;
        }
        // Those that were lost first: the others are not met before. Then those of the own host: a meeting of two large
        // partitions is made by neighbours.
        let host = host(&mesh.outbox.node);
        let rank = |candidate: &Candidate| (!mesh.is_back(&candidate.node), self::host(&candidate.node) != host);
        let best = self.candidates.iter().map(rank).min();
        let choice: Vec<_> = self.candidates.iter().filter(|candidate| Some(rank(candidate)) == best).collect();
        let Some(candidate) = choice.get(mesh.random.below(choice.len())).copied().cloned() else {
            self.phase = Phase::Idle { next: None };
            return None;
        };
        self.lock(candidate, Role::Initiator, now, mesh)
    }

    /// Another locker has locked its partition and this node. This one locks the own partition, or refuses.
    fn respond(&mut self, message: LockSet, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        let candidate = self
            .candidates
            .iter()
            .find(|candidate| candidate.node == message.locker.node && candidate.is_tag(message.tag.as_ref()));
        match candidate.cloned() {
            Some(candidate) => self.lock(candidate, Role::Responder, now, mesh),
            None => {
                let known = mesh.known.keys().cloned().collect();
                let refusal = LockSet { locker: mesh.server.clone(), is_set: false, known, tag: None };
                mesh.outbox.push(Action::SendProcess(message.locker, refusal.to_term()));
                None
            }
        }
    }

    fn lock(&mut self, candidate: Candidate, role: Role, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        let extra = match role {
            // So that nobody else can lock the other partition meanwhile.
            Role::Initiator => vec![candidate.node.clone()],
            Role::Responder => vec![],
        };
        let purpose = Purpose::Meeting(candidate.node.clone());
        let (acquisition, progress) = Acquisition::start(purpose, candidate.lock(&mesh.server), extra, mesh);
        self.phase = Phase::Locking { candidate, role, acquisition };
        self.proceed(progress, now, mesh)
    }

    fn proceed(&mut self, progress: Progress, now: Instant, mesh: &mut Mesh) -> Option<Outcome> {
        if progress == Progress::Waiting {
            return None;
        }
        let Phase::Locking { candidate, role, .. } = self.become_idle() else { return None };
        let held = match progress {
            Progress::Held(nodes, members) => Some((nodes, members)),
            _ => None,
        };
        if role == Role::Responder || held.is_some() {
            let answer = LockSet {
                locker: mesh.server.clone(),
                is_set: held.is_some(),
                known: mesh.known.keys().cloned().collect(),
                tag: Some(candidate.peer.tag.clone()).filter(|_| candidate.peer.version >= 8),
            };
            mesh.outbox.send(&candidate.node, Message::LockSet(answer));
        }
        let Some((nodes, members)) = held else { return self.idle(now, mesh, Pause::Usual) };
        let held = Held { lock: candidate.lock(&mesh.server), candidate, nodes, members, until: now + STUCK_AFTER };
        if role == Role::Responder {
            return Some(self.locked(held));
        }
        // The other locker may have begun at the same time.
        let node = held.candidate.node.clone();
        let begun = self.waiting.iter().position(|message| message.locker.node == node);
        self.phase = Phase::Asking(held);
        let begun = begun.and_then(|index| self.waiting.remove(index))?;
        self.lock_set(begun, now, mesh)
    }

    fn locked(&mut self, held: Held) -> Outcome {
        let Candidate { node, tag, .. } = held.candidate.clone();
        let (lock, members) = (held.lock.clone(), held.members);
        self.candidates.retain(|candidate| candidate.node != node);
        self.phase = Phase::Locked(held);
        Outcome::LockIsSet { node, tag, lock, members }
    }

    fn become_idle(&mut self) -> Phase {
        std::mem::replace(&mut self.phase, Phase::Idle { next: None })
    }

    /// Nothing is locked any more: it is the turn of those who have waited.
    fn idle(&mut self, now: Instant, mesh: &mut Mesh, pause: Pause) -> Option<Outcome> {
        self.plan(now, mesh, pause);
        while matches!(self.phase, Phase::Idle { .. }) {
            let message = self.waiting.pop_front()?;
            if let Some(outcome) = self.respond(message, now, mesh) {
                return Some(outcome);
            }
        }
        None
    }

    /// Plans the next attempt. Without a pause after one that has failed, hardly any other node could lock anything.
    fn plan(&mut self, now: Instant, mesh: &mut Mesh, pause: Pause) {
        let Phase::Idle { next } = &mut self.phase else { return };
        *next = (!self.candidates.is_empty()).then(|| {
            let length = match (pause, mesh.known.len()) {
                (Pause::None, _) => Duration::ZERO,
                (Pause::Usual, 0) => Duration::from_millis(200),
                (Pause::Usual, count) => Duration::from_millis((1000 + 100 * count as u64).min(3000)),
            };
            now + length + mesh.random.up_to(length / 4)
        });
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Usual,
    /// Two partitions have just met.
    None,
}

impl Candidate {
    fn lock(&self, own: &Pid) -> LockId {
        LockId::of_lockers(own, &self.peer.locker)
    }

    /// Whether a message is of this session. Old versions do not say.
    fn is_tag(&self, tag: Option<&Term>) -> bool {
        tag.is_none_or(|tag| *tag == Term::Integer(self.tag))
    }
}

fn host(node: &Atom) -> &str {
    node.as_str().split_once('@').map_or("", |(_, host)| host)
}
