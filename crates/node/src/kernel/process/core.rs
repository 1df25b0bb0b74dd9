use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use peerl_term::{Atom, Pid, Reference};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::link::order;
use super::{Aliases, Links, Mailbox, MailboxPolicy, Message, Monitored, Overflow};
use crate::kernel::reason::Reason;

/// What the node knows of one of its processes.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) pid: Pid,
    state: Mutex<State>,
    /// A message has come, or the process has ended.
    arrived: Notify,
    /// A message has been taken, or the process has ended.
    room: Notify,
}

/// What exit signals do to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exits {
    /// They end it, unless their reason is `normal`.
    End,
    /// They come as messages; only `exit(Pid, kill)` ends it.
    Trap,
    /// Nothing: it is a process of the node itself.
    Ignore,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mailbox: Mailbox,
    pub(crate) exits: Exits,
    pub(crate) links: Links,
    /// Who monitors this process.
    pub(crate) watchers: HashMap<MonitorId, Watcher>,
    /// The watcher that asked for this process to be spawned; apart, so that a remote call needs no table.
    pub(crate) spawner: Option<(Reference, Pid)>,
    /// Whom this process monitors. The references are of this node, so that a quick hash will do.
    pub(crate) watched: FxHashMap<Reference, Watched>,
    pub(crate) names: Vec<Atom>,
    pub(crate) aliases: Aliases,
    pub(crate) group_leader: Option<Pid>,
    /// What it evaluates for a peer.
    pub(crate) function: Option<(Atom, Atom, usize)>,
    ended: Option<Reason>,
}

/// What a monitor is known by: the node of the watcher, and the reference that it has there. Nothing keeps two nodes
/// from using the same reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MonitorId {
    pub(crate) node: Atom,
    pub(crate) reference: Reference,
}

/// A monitor on this process.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) pid: Pid,
    /// The name by which the process was found, if it was by name: the watcher is told of the name.
    pub(crate) name: Option<Atom>,
}

/// A monitor that this process has.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) object: Monitored,
    /// The process of this node that was found. A name may belong to another one later.
    pub(crate) here: Option<Pid>,
}

/// What a process leaves behind.
pub(crate) struct EndedState {
    pub(crate) links: Vec<Pid>,
    pub(crate) watchers: Vec<(Reference, Watcher)>,
    pub(crate) watched: Vec<(Reference, Watched)>,
    pub(crate) names: Vec<Atom>,
    pub(crate) aliases: Aliases,
}

impl State {
    /// Ends a monitor on this process.
    pub(crate) fn unwatch(&mut self, node: &Atom, reference: &Reference) {
        if self.spawner.as_ref().is_some_and(|(spawn, pid)| spawn == reference && pid.node == *node) {
            self.spawner = None;
        } else {
            self.watchers.remove(&MonitorId { node: node.clone(), reference: reference.clone() });
        }
    }
}

impl Core {
    pub(crate) fn new(pid: Pid, policy: MailboxPolicy) -> Arc<Self> {
        Arc::new(Self {
            pid,
            state: Mutex::new(State {
                mailbox: Mailbox::new(policy),
                exits: Exits::End,
                links: Links::default(),
                watchers: HashMap::new(),
                spawner: None,
                watched: FxHashMap::default(),
                names: Vec::new(),
                aliases: Aliases::default(),
                group_leader: None,
                function: None,
                ended: None,
            }),
            arrived: Notify::new(),
            room: Notify::new(),
        })
    }

    /// The state of a process that has not ended.
    pub(crate) fn alive(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        state.ended.is_none().then_some(state)
    }

    /// Puts a message into the mailbox; gives it back if the mailbox is full. A message to a process that has ended
    /// vanishes, as in Erlang.
    pub(crate) fn deliver(&self, message: Message) -> Result<(), (Message, Overflow)> {
        if let Some(mut state) = self.alive() {
            state.mailbox.push(message)?;
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Puts a signal into the mailbox, which must not be lost.
    pub(crate) fn deliver_signal(&self, message: Message) {
        if let Some(mut state) = self.alive() {
            state.mailbox.push_always(message);
        }
        self.arrived.notify_one();
    }

    /// Takes the oldest message, or tells why there will be none.
    pub(crate) fn take(&self) -> Result<Option<Message>, Reason> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.ended {
            return Err(reason.clone());
        }
        let message = state.mailbox.pop();
        drop(state);
        if message.is_some() {
            self.room.notify_one();
        }
        Ok(message)
    }

    /// Waits until something may have come.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Waits until there may be room in the mailbox.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until the process has been ended by a signal; for a process that receives no messages.
    pub(crate) async fn ended(&self) {
        while self.take().is_ok() {
            self.arrival().await;
        }
    }

    /// Marks the process as ended. Gives what it leaves behind, to whoever is the first to end it.
    pub(crate) fn end(&self, reason: &Reason) -> Option<EndedState> {
        let mut state = self.alive()?;
        state.ended = Some(reason.clone());
        state.mailbox.clear();
        let mut watchers: Vec<_> = state.watchers.drain().map(|(id, watcher)| (id.reference, watcher)).collect();
        // The order does not depend on the hashes of a run: a simulation repeats itself.
        watchers
            .sort_unstable_by(|(one, a), (two, b)| order(&a.pid, &b.pid).then_with(|| one.words().cmp(two.words())));
        watchers.extend(state.spawner.take().map(|(reference, pid)| (reference, Watcher { pid, name: None })));
        let left = EndedState {
            links: state.links.take_where(|_| true),
            watchers,
            watched: state.watched.drain().collect(),
            names: std::mem::take(&mut state.names),
            aliases: std::mem::take(&mut state.aliases),
        };
        drop(state);
        self.arrived.notify_one();
        self.room.notify_waiters();
        self.room.notify_one();
        Some(left)
    }
}
