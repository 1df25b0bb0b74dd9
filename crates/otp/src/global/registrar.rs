use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peerl_node::{Lease, Share};
use peerl_term::{Atom, Term};

use super::acquisition::{Acquisition, Progress, Purpose};
use super::attempt::Backoff;
use super::ids::{CallId, RequestId};
use super::lock::LockId;
use super::mesh::Mesh;
use super::message::Request;
use super::names::Names;
use super::registration::Registration;
use super::syncs::Requester;
use crate::term_memory::term_memory;

/// The most requests that wait at a time.
const MAX_WAITING: usize = 100_000;

/// The most time between attempts if it is not another node that holds the lock, but one that was just lost.
const UNSETTLED: Duration = Duration::from_millis(500);

/// Registers and unregisters names at all nodes of the partition, one after the other, under the lock on the name space.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    waiting: VecDeque<Job>,
    current: Option<Current>,
}

#[derive(Debug)]
struct Job {
    request: RequestId,
    change: Change,
    _lease: Lease,
}

/// What is to become of a name.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// It is registered, if nobody has it.
    Register(Registration),
    /// It is registered, even if another process has it.
    ReRegister(Registration),
    /// It is removed.
    Unregister(Term),
}

#[derive(Debug)]
struct Current {
    job: Job,
    backoff: Backoff,
    phase: Phase,
    /// What to answer, if the nodes have been told once.
    answer: Option<Term>,
}

#[derive(Debug)]
enum Phase {
    Locking(Acquisition),
    /// The lock was taken; the next attempt is at this time.
    Waiting(Instant),
    /// The nodes are told.
    Telling {
        locked: Vec<Atom>,
        calls: HashSet<CallId>,
        /// A node was lost that may not have been told.
        is_lost: bool,
        answer: Term,
    },
}

impl Registrar {
    /// Has a change wait for its turn, which takes of this share: a peer may have called the function that asks for it.
    pub(super) fn add(
        &mut self,
        (request, change): (RequestId, Change),
        share: &Arc<Share>,
        now: Instant,
        mesh: &mut Mesh,
        names: &mut Names,
    ) {
        let lease = share.lease(change.memory());
        let Some(lease) = lease.filter(|_| self.waiting.len() < MAX_WAITING) else {
            let kind = "too many global names wait to be registered";
            mesh.warnings.refused_requests.warn(kind, || kind.to_owned());
            Requester::Local(request).answer(Term::atom("no"), &mut mesh.outbox);
            return;
        };
        self.waiting.push_back(Job { request, change, _lease: lease });
        self.next(now, mesh, names);
    }

    pub(super) fn answered(
        &mut self,
        call: CallId,
        reply: Option<&Term>,
        now: Instant,
        mesh: &mut Mesh,
        names: &mut Names,
    ) {
        let Some(current) = &mut self.current else { return };
        match &mut current.phase {
            Phase::Locking(acquisition) => {
                if let Some(progress) = acquisition.answered(call, reply, mesh) {
                    self.proceed(progress, now, mesh, names);
                }
            }
            Phase::Telling { calls, is_lost, .. } => {
                if calls.remove(&call) {
                    *is_lost |= reply.is_none();
                    self.told(now, mesh, names);
                }
            }
            Phase::Waiting(_) => {}
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.current.as_ref()?.phase {
            Phase::Waiting(until) => Some(until),
            _ => None,
        }
    }

    pub(super) fn tick(&mut self, now: Instant, mesh: &mut Mesh, names: &mut Names) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.lock(now, mesh, names);
        }
    }

    fn next(&mut self, now: Instant, mesh: &mut Mesh, names: &mut Names) {
        if self.current.is_none()
            && let Some(job) = self.waiting.pop_front()
        {
            self.current = Some(Current { job, backoff: Backoff::default(), phase: Phase::Waiting(now), answer: None });
            self.lock(now, mesh, names);
        }
    }

    fn lock(&mut self, now: Instant, mesh: &mut Mesh, names: &mut Names) {
        let Some(current) = &mut self.current else { return };
        let (acquisition, progress) = Acquisition::start(Purpose::Change, lock_id(mesh), vec![], mesh);
        current.phase = Phase::Locking(acquisition);
        self.proceed(progress, now, mesh, names);
    }

    fn proceed(&mut self, progress: Progress, now: Instant, mesh: &mut Mesh, names: &mut Names) {
        let Some(current) = &mut self.current else { return };
        match progress {
            Progress::Waiting => {}
            Progress::Refused => {
                let wait = current.backoff.next(&mut mesh.random);
                // Others may still have the lost node.
                let wait = if mesh.suspects.is_empty() { wait } else { wait.min(UNSETTLED) };
                current.phase = Phase::Waiting(now + wait);
            }
            Progress::Held(locked, _) => {
                let (calls, answer) = match current.answer.take() {
                    Some(answer) => (current.job.change.tell_again(&locked, mesh, names), answer),
                    None => current.job.change.tell(&locked, mesh, names),
                };
                current.phase = Phase::Telling { locked, calls, is_lost: false, answer };
                self.told(now, mesh, names);
            }
        }
    }

    /// Goes on to the next request if all nodes have been told of this one.
    fn told(&mut self, now: Instant, mesh: &mut Mesh, names: &mut Names) {
        let is_told = |current: &mut Current| match &current.phase {
            Phase::Telling { calls, .. } => calls.is_empty(),
            _ => false,
        };
        let Some(Current { job, phase: Phase::Telling { locked, is_lost, answer, .. }, mut backoff, .. }) =
            self.current.take_if(is_told)
        else {
            return;
        };
        mesh.release(&lock_id(mesh), &locked);
        if is_lost {
            let phase = Phase::Waiting(now + backoff.next(&mut mesh.random).min(UNSETTLED));
            self.current = Some(Current { job, backoff, phase, answer: Some(answer) });
            return;
        }
        Requester::Local(job.request).answer(answer, &mut mesh.outbox);
        self.next(now, mesh, names);
    }
}

impl Change {
    /// About how many bytes it takes while it waits.
    fn memory(&self) -> usize {
        Names::NAME
            + match self {
                Self::Register(new) | Self::ReRegister(new) => term_memory(&new.name) + term_memory(&new.method),
                Self::Unregister(name) => term_memory(name),
            }
    }

    /// Tells all nodes of the change, this one first, if it can be made.
    fn tell(&self, nodes: &[Atom], mesh: &mut Mesh, names: &mut Names) -> (HashSet<CallId>, Term) {
        let (request, answer) = match self {
            Self::Register(registration) if names.pid(&registration.name).is_some() => {
                return (HashSet::new(), Term::atom("no"));
            }
            Self::Register(registration) if names.has_name(&registration.pid) => {
                let (name, pid) = (&registration.name, Term::from(registration.pid.clone()));
                let warning = || format!("{pid} has another global name already, and does not get {name}");
                mesh.warnings.second_names.warn("processes that have a global name do not get another", warning);
                return (HashSet::new(), Term::atom("no"));
            }
            Self::Register(registration) | Self::ReRegister(registration) => {
                names.insert(registration.clone(), None, &mut mesh.outbox);
                (Request::Register(registration.clone()), Term::atom("yes"))
            }
            Self::Unregister(name) => {
                names.remove(name, &mut mesh.outbox);
                (Request::Unregister(name.clone()), Term::atom("ok"))
            }
        };
        (Self::call_others(request, nodes, mesh), answer)
    }

    /// Tells all nodes once more: one was lost at the first time. Others that have it may have been told or not.
    fn tell_again(&self, nodes: &[Atom], mesh: &mut Mesh, names: &Names) -> HashSet<CallId> {
        let (name, pid) = match self {
            Self::Register(registration) | Self::ReRegister(registration) => {
                (&registration.name, Some(&registration.pid))
            }
            Self::Unregister(name) => (name, None),
        };
        let request = match (names.get(name), pid) {
            (Some(registered), Some(pid)) if registered.pid == *pid => Request::Register(registered),
            // The process has ended, or the name is to go.
            (None, _) => Request::Unregister(name.clone()),
            // It is changed again meanwhile.
            (Some(_), _) => return HashSet::new(),
        };
        Self::call_others(request, nodes, mesh)
    }

    fn call_others(request: Request, nodes: &[Atom], mesh: &mut Mesh) -> HashSet<CallId> {
        let request = Arc::new(request);
        let others = nodes.iter().filter(|node| **node != mesh.outbox.node).cloned().collect::<Vec<_>>();
        others.iter().map(|node| mesh.outbox.call(node, request.clone())).collect()
    }
}

/// Requests are made one after the other, all by the server.
fn lock_id(mesh: &Mesh) -> LockId {
    LockId::global(mesh.server.clone().into())
}
