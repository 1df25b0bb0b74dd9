use parking_lot::Mutex;
use peerl_proto::channel::Loss;
use peerl_term::{Atom, Pid, RawTerm};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;

use crate::kernel::event::NodeDownReason;
use crate::kernel::limits::Limits;

/// A request to the peer that waits for its answer.
#[derive(Debug)]
struct Request {
    answer: oneshot::Sender<Answer>,
    /// The process that the peer has spawned for the request.
    spawned: Option<Pid>,
}

/// The outcome of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The process that was spawned, or is monitored, ended with this reason.
    Down(RawTerm),
    /// The peer refused to spawn.
    NotSpawned(Atom),
    /// The reply to a `gen` call: `{Tag, Reply}`.
    Reply(RawTerm),
    /// The answer came and was dropped: the reason and the number of bytes.
    Lost(Loss, usize),
    /// The connection ended first.
    Disconnected(NodeDownReason),
}

/// The pending requests of this node on one connection, by the number of their reference.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Table>);

/// The keys are numbers of this node, not of a peer: a fast hash is safe.
#[derive(Debug, Default)]
struct Table {
    pending: FxHashMap<u64, Request>,
    /// Abandoned requests whose spawned process is not known yet.
    abandoned: FxHashSet<u64>,
    /// The number of answers since the last [`take_answered`](Calls::take_answered).
    answered: usize,
    /// Why the connection has ended.
    ended: Option<NodeDownReason>,
}

impl Calls {
    /// Registers a request.
    ///
    /// # Errors
    /// If the connection has ended.
    pub(crate) fn start(&self, number: u64) -> Result<oneshot::Receiver<Answer>, NodeDownReason> {
        let mut table = self.0.lock();
        if let Some(reason) = &table.ended {
            return Err(reason.clone());
        }
        let (answer, receiver) = oneshot::channel();
        table.pending.insert(number, Request { answer, spawned: None });
        Ok(receiver)
    }

    /// Why the connection has ended, or is about to.
    pub(crate) fn end_of_connection(&self) -> NodeDownReason {
        self.0.lock().ended.clone().unwrap_or(NodeDownReason::ConnectionClosed)
    }

    /// The peer has spawned a process for a request. Returns whether the request was abandoned, so that the caller removes the
    /// monitor.
    pub(crate) fn spawned(&self, number: u64, pid: &Pid) -> bool {
        let mut table = self.0.lock();
        if let Some(pending) = table.pending.get_mut(&number) {
            pending.spawned = Some(pid.clone());
            return false;
        }
        table.abandoned.remove(&number)
    }

    /// Completes a request.
    pub(crate) fn answer(&self, number: u64, answer: Answer) {
        let mut table = self.0.lock();
        let pending = table.pending.remove(&number);
        table.answered += 1;
        if pending.is_none() {
            table.abandoned.remove(&number);
        }
        drop(table);
        if let Some(pending) = pending {
            // The caller may have been dropped in this moment.
            let _ = pending.answer.send(answer);
        }
    }

    /// The number of answers since the last call.
    pub(crate) fn take_answered(&self) -> usize {
        std::mem::take(&mut self.0.lock().answered)
    }

    /// Abandons a request. Returns the spawned process, whose monitor the caller removes; if it is not known yet,
    /// [`spawned`](Self::spawned) reports it later.
    pub(crate) fn abandon_spawn(&self, number: u64) -> Option<Pid> {
        let mut table = self.0.lock();
        let pending = table.pending.remove(&number)?;
        // What is forgotten leaves a monitor at the peer, until the process ends.
        if pending.spawned.is_none() && table.abandoned.len() < Limits::ABANDONED {
            table.abandoned.insert(number);
        }
        pending.spawned
    }

    /// Abandons the wait for a reply. Returns whether the request was pending.
    pub(crate) fn abandon(&self, number: u64) -> bool {
        self.0.lock().pending.remove(&number).is_some()
    }

    /// The number of requests that are pending or abandoned.
    pub(crate) fn len(&self) -> usize {
        let table = self.0.lock();
        table.pending.len() + table.abandoned.len()
    }

    /// Fails all pending requests: the connection has ended.
    pub(crate) fn close(&self, reason: &NodeDownReason) {
        let mut table = self.0.lock();
        table.ended = Some(reason.clone());
        table.abandoned.clear();
        let pending = std::mem::take(&mut table.pending);
        drop(table);
        for (_, pending) in pending {
            let _ = pending.answer.send(Answer::Disconnected(reason.clone()));
        }
    }
}
