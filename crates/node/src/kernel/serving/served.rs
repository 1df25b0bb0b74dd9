use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use peerl_proto::budget::{Budget, Lease, Share};
use peerl_proto::connection::LARGE;
use peerl_term::{Atom, Measure, RawTerm};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::kernel::long_work;
use crate::kernel::paced_tasks::PacedTasks;
use crate::kernel::repeats::Repeats;

/// How many calls a peer's share borrows at a time.
const CHUNK: usize = 16;

/// How many calls of a peer are taken before they begin.
const AHEAD: usize = 1024;

/// The calls of peers that are under way.
#[derive(Debug)]
pub(crate) struct Served {
    budget: Arc<Budget>,
    /// The calls of each connection that is up, or of which a call is under way.
    of_peers: Mutex<Vec<Weak<PeerCalls>>>,
    /// Calls whose peer is not known.
    pub(crate) of_nobody: Arc<PeerCalls>,
    /// The calls that were taken of connections that are no more.
    formerly_taken: Arc<AtomicU64>,
    pub(super) ended: Notify,
    pub(super) failed_casts: Arc<Repeats>,
    /// Held while the function of a call does long work.
    pub(crate) long_work: tokio::sync::Mutex<()>,
}

/// What a peer, by one connection, has of this node: its calls, and the memory of what is kept for it.
#[derive(Debug)]
pub(crate) struct PeerCalls {
    /// Nobody, for calls whose peer is not known.
    pub(crate) peer: Option<Atom>,
    pub(super) share: Share,
    /// The bytes that are kept for the peer.
    pub(crate) memory: Arc<Share>,
    /// The connection has ended.
    pub(crate) closed: CancellationToken,
    pub(super) taken: AtomicU64,
    formerly_taken: Arc<AtomicU64>,
    /// Held while one with long arguments is begun: one after another.
    pub(super) long: tokio::sync::Mutex<()>,
    /// Held while the function of one waits for its turn to do long work, or does it.
    pub(crate) long_work: tokio::sync::Mutex<()>,
    /// The tasks of those that do not have their value at once.
    pub(super) tasks: PacedTasks,
    /// Room for those that have been taken and have not begun.
    ahead: Arc<Semaphore>,
}

impl PeerCalls {
    fn new(peer: Option<Atom>, share: Share, memory: Arc<Share>, formerly_taken: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            peer,
            share,
            memory,
            closed: CancellationToken::new(),
            taken: AtomicU64::new(0),
            formerly_taken: formerly_taken.clone(),
            long: tokio::sync::Mutex::default(),
            long_work: tokio::sync::Mutex::default(),
            tasks: PacedTasks::default(),
            ahead: Arc::new(Semaphore::new(AHEAD)),
        })
    }

    /// Takes memory of the peer's share, if there is that much.
    pub(crate) fn lease(&self, bytes: usize) -> Option<Lease> {
        self.memory.lease(bytes)
    }

    /// Takes room for a large term that was made for the peer, and for what decoding it takes, as long as it is kept; none, if there
    /// is not that much. A small one counts where it is kept.
    pub(crate) fn measured(&self, term: RawTerm) -> Option<RawTerm> {
        let bytes = term.bytes().len();
        if bytes <= LARGE {
            return Some(term);
        }
        let mut measure = Measure::new();
        long_work::run_if(term.is_long(), || measure.advance(term.bytes(), usize::MAX));
        let held = self.lease(bytes.saturating_add(measure.memory()))?.hold_for(term.bytes().clone());
        Some(term.with_bytes(held))
    }

    /// Waits for room for so many calls that have not begun; they have it until what this returns is dropped. However many they
    /// are, others may come before they have all begun.
    pub(super) async fn wait(&self, calls: usize) -> Option<OwnedSemaphorePermit> {
        let calls = u32::try_from(calls.min(AHEAD / 2)).unwrap_or(u32::MAX);
        // Nothing closes the semaphore.
        self.ahead.clone().acquire_many_owned(calls).await.ok()
    }
}

impl Drop for PeerCalls {
    fn drop(&mut self) {
        self.formerly_taken.fetch_add(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

impl Served {
    /// None yet, and at most so many at a time.
    pub(crate) fn new(most: usize, memory: &Arc<Budget>) -> Self {
        let budget = Budget::new(most, CHUNK);
        let formerly_taken = Arc::new(AtomicU64::new(0));
        let of_nobody = PeerCalls::new(None, budget.share(), Arc::new(memory.share()), &formerly_taken);
        let of_peers = Mutex::new(vec![Arc::downgrade(&of_nobody)]);
        Self {
            budget,
            of_peers,
            of_nobody,
            formerly_taken,
            ended: Notify::new(),
            failed_casts: Arc::default(),
            long_work: tokio::sync::Mutex::default(),
        }
    }

    /// The calls of a connection that comes up, to whose peer this share of the memory belongs.
    pub(crate) fn peer(&self, peer: Atom, memory: Arc<Share>) -> Arc<PeerCalls> {
        let calls = PeerCalls::new(Some(peer), self.budget.share(), memory, &self.formerly_taken);
        let mut of_peers = self.of_peers.lock();
        // Those that are gone go when there is no more room: each connection looks at a few.
        if of_peers.len() == of_peers.capacity() {
            of_peers.retain(|calls| calls.strong_count() > 0);
            let room = of_peers.len() + 1;
            of_peers.shrink_to(4 * room);
            of_peers.reserve(room);
        }
        of_peers.push(Arc::downgrade(&calls));
        calls
    }

    fn sum<T: std::iter::Sum>(&self, of: impl Fn(&PeerCalls) -> T) -> T {
        self.of_peers.lock().iter().filter_map(Weak::upgrade).map(|calls| of(&calls)).sum()
    }

    /// Waits until no call is under way.
    pub(crate) async fn all_answered(&self) {
        loop {
            let ended = self.ended.notified();
            if self.active() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// The number of calls that are under way.
    pub(crate) fn active(&self) -> usize {
        self.sum(|calls| calls.share.taken())
    }

    /// The number of calls that have been taken, those under way among them.
    pub(crate) fn taken(&self) -> u64 {
        let taken: u64 = self.sum(|calls| calls.taken.load(Ordering::Relaxed));
        taken + self.formerly_taken.load(Ordering::Relaxed)
    }
}
