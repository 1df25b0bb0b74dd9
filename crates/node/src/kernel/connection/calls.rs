use parking_lot::Mutex;
use peerl_proto::channel::Loss;
use peerl_term::{Atom, Pid, RawTerm};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::oneshot;

use crate::kernel::event::NodeDownReason;

/// A request to the peer that waits for its answer.
#[derive(Debug)]
struct Request {
    answer: oneshot::Sender<Answer>,
    /// The process that the peer has spawned for the request.
    spawned: Option<Pid>,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The process that was spawned, or is monitored, ended with this reason.
    Down(RawTerm),
    /// The peer refused to spawn.
    NotSpawned(Atom),
    /// The reply to a `gen` call: `{Tag, Reply}`.
    Reply(RawTerm),
    /// The answer came, and could not be kept: why, and its bytes.
    Lost(Loss, usize),
    /// The connection ended first.
    Disconnected(NodeDownReason),
}

/// The requests that this node has made on one connection, by the number of their reference.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<Table>);

/// Its keys are numbers of ours, so that a quick hash will do.
#[derive(Debug, Default)]
struct Table {
    pending: FxHashMap<u64, Request>,
    /// Requests that nobody waits for any more, whose spawned process is not known yet.
    abandoned: FxHashSet<u64>,
    /// How many have got their answer since this was asked last.
    answered: usize,
    /// Why the connection has ended.
    ended: Option<NodeDownReason>,
}

impl Calls {
    /// Begins to wait. Nothing is waited for on a connection that has ended.
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

    /// The peer has spawned a process. Says whether nobody waits for it any more, so that its monitor must go.
    pub(crate) fn spawned(&self, number: u64, pid: &Pid) -> bool {
        let mut table = self.0.lock();
        if let Some(pending) = table.pending.get_mut(&number) {
            pending.spawned = Some(pid.clone());
            return false;
        }
        table.abandoned.remove(&number)
    }

    /// Ends the wait with an answer.
    pub(crate) fn answer(&self, number: u64, answer: Answer) {
        let mut table = self.0.lock();
        let pending = table.pending.remove(&number);
        table.answered += 1;
        if pending.is_none() {
            table.abandoned.remove(&number);
        }
        drop(table);
        if let Some(pending) = pending {
            // The caller may have gone in this moment.
            let _ = pending.answer.send(answer);
        }
    }

    /// How many have got their answer since this was asked last, and how many still wait.
    pub(crate) fn take_answered(&self) -> (usize, usize) {
        let mut table = self.0.lock();
        (std::mem::take(&mut table.answered), table.pending.len())
    }

    /// Ends the wait without an answer. Gives the process whose monitor is to be removed, if it is known;
    /// if it is not, [`spawned`](Self::spawned) will tell.
    pub(crate) fn abandon_spawn(&self, number: u64) -> Option<Pid> {
        let mut table = self.0.lock();
        let pending = table.pending.remove(&number)?;
        if pending.spawned.is_none() {
            table.abandoned.insert(number);
        }
        pending.spawned
    }

    /// Ends the wait for a reply. Says whether there still was one.
    pub(crate) fn abandon(&self, number: u64) -> bool {
        self.0.lock().pending.remove(&number).is_some()
    }

    /// How many requests have not been answered.
    pub(crate) fn len(&self) -> usize {
        let table = self.0.lock();
        table.pending.len() + table.abandoned.len()
    }

    /// Ends all waiting: the connection has ended.
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
