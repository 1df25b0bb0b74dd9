use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use peerl_proto::control::{Priority, TraceToken};
use peerl_term::{Atom, Pid, Reference};
use rustc_hash::FxHashMap;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::link::order;
use super::{
    Aliases, Envelope, Links, Mailbox, MailboxPolicy, Message, Monitored, Next, Overflow, SequentialTrace, Tie,
};
use crate::kernel::reason::Reason;
use crate::kernel::serving::PeerCalls;
use crate::kernel::table_memory::shrink;

/// The state of a process of this node.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) pid: Pid,
    state: Mutex<State>,
    /// Whether what the process sends has a trace token: without one, senders do not lock the state.
    is_traced: AtomicBool,
    /// A message has come, or the process has ended.
    arrived: Notify,
    /// A message has been taken, or the process has ended.
    room: Notify,
}

/// The effect of exit signals on a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exits {
    /// They end it, unless their reason is `normal`.
    End,
    /// They arrive as messages; only `exit(Pid, kill)` ends it.
    Trap,
    /// Nothing: it is a process of the node itself.
    Ignore,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mailbox: Mailbox,
    pub(crate) exits: Exits,
    pub(crate) links: Links,
    /// The monitors on this process.
    pub(crate) watchers: HashMap<MonitorId, Watcher>,
    /// The monitor of the spawn request. Not in `watchers`, so that a remote call allocates no table.
    pub(crate) spawner: Option<(Reference, Pid)>,
    /// Cancels the function that this process evaluates, when its caller no longer waits, if its handler takes that.
    pub(crate) cancellation: Option<CancellationToken>,
    /// The monitors that this process has. Their references are made by this node: a fast hash is safe.
    pub(crate) watched: FxHashMap<Reference, Watched>,
    pub(crate) names: Vec<Atom>,
    pub(crate) aliases: Aliases,
    pub(crate) group_leader: Option<Pid>,
    /// None until the first trace token comes.
    trace: Option<Box<SequentialTrace>>,
    /// The function that it evaluates for a peer.
    pub(crate) function: Option<(Atom, Atom, usize)>,
    /// That function receives the messages: this tells its task that the process has ended.
    pub(crate) receiving: Option<CancellationToken>,
    ended: Option<Reason>,
}

/// The key of a monitor: the watcher's node and the reference. Two nodes may use the same reference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MonitorId {
    pub(crate) node: Atom,
    pub(crate) reference: Reference,
}

/// A monitor on this process.
#[derive(Debug, Clone)]
pub(crate) struct Watcher {
    pub(crate) pid: Pid,
    /// The name in the monitor request, if it was by name: the DOWN message carries it.
    pub(crate) name: Option<Atom>,
}

/// A monitor that this process has.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) object: Monitored,
    /// The monitored process, if it is one of this node. A name may belong to another process later.
    pub(crate) here: Option<Pid>,
    /// With the connection, if it is on another node.
    pub(crate) _tie: Option<Tie>,
}

/// The tables of a process that has ended.
pub(crate) struct EndedState {
    pub(crate) links: Vec<Pid>,
    pub(crate) watchers: Vec<(Reference, Watcher)>,
    pub(crate) watched: Vec<(Reference, Watched)>,
    pub(crate) names: Vec<Atom>,
    pub(crate) aliases: Aliases,
    /// The exit signals to linked processes carry its token.
    pub(crate) trace: Option<Box<SequentialTrace>>,
}

/// A message, and the peer that has sent it if that is to be told.
pub(crate) type Taken = (Message, Option<Arc<PeerCalls>>);

/// What has become of the oldest message that was not set aside.
pub(crate) enum Looked {
    Taken(Taken),
    SetAside,
    /// There is none.
    Nothing,
}

impl State {
    /// Ends a monitor on this process.
    pub(crate) fn unwatch(&mut self, node: &Atom, reference: &Reference) {
        if self.spawner.as_ref().is_some_and(|(spawn, pid)| spawn == reference && pid.node == *node) {
            self.spawner_gone();
        } else {
            self.watchers.remove(&MonitorId { node: node.clone(), reference: reference.clone() });
            shrink(&mut self.watchers);
        }
    }

    /// The watcher that asked for this process has gone, or waits no more.
    pub(crate) fn spawner_gone(&mut self) {
        self.spawner = None;
        if let Some(cancellation) = self.cancellation.take() {
            cancellation.cancel();
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
                cancellation: None,
                watched: FxHashMap::default(),
                names: Vec::new(),
                aliases: Aliases::default(),
                group_leader: None,
                trace: None,
                function: None,
                receiving: None,
                ended: None,
            }),
            is_traced: AtomicBool::new(false),
            arrived: Notify::new(),
            room: Notify::new(),
        })
    }

    /// The state of a process that has not ended.
    pub(crate) fn alive(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.state.lock();
        state.ended.is_none().then_some(state)
    }

    /// Puts a message into the mailbox, from this peer; returns it if the mailbox is full. As in Erlang, a
    /// message to a process that has ended is dropped.
    pub(crate) fn deliver(
        &self,
        message: impl Into<Envelope>,
        priority: Priority,
        sender: Option<&Arc<PeerCalls>>,
    ) -> Result<(), (Envelope, Overflow)> {
        if let Some(mut state) = self.alive() {
            state.mailbox.push(message.into(), priority, sender)?;
        }
        self.arrived.notify_one();
        Ok(())
    }

    /// Puts a signal into the mailbox, even if that is full: signals are never lost.
    pub(crate) fn deliver_signal(&self, message: impl Into<Envelope>) {
        self.deliver_signal_with(message, Priority::Ordinary, None);
    }

    pub(crate) fn deliver_signal_with(
        &self,
        message: impl Into<Envelope>,
        priority: Priority,
        sender: Option<&Arc<PeerCalls>>,
    ) {
        if let Some(mut state) = self.alive() {
            state.mailbox.push_always(message.into(), priority, sender);
        }
        self.arrived.notify_one();
    }

    /// A process of a node monitors this one no longer.
    pub(crate) fn unwatch(&self, node: &Atom, reference: &Reference) {
        if let Some(mut state) = self.alive() {
            state.unwatch(node, reference);
        }
    }

    /// The exit reason, if the process has ended.
    pub(crate) fn exit_reason(&self) -> Option<Reason> {
        self.state.lock().ended.clone()
    }

    /// Takes the oldest message, and the peer that has sent it if that [is to be told](Mailbox::tell_senders).
    ///
    /// # Errors
    /// The exit reason, if the process has ended.
    #[inline]
    pub(crate) fn take(&self) -> Result<Option<Taken>, Reason> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.ended {
            return Err(reason.clone());
        }
        let Some((envelope, sender)) = state.mailbox.pop() else { return Ok(None) };
        Ok(Some((self.received(state, envelope), sender)))
    }

    /// Takes the oldest message that is not set aside, if it is wanted, and sets it aside if not.
    ///
    /// # Errors
    /// The exit reason, if the process has ended.
    pub(crate) fn take_if(&self, wanted: impl FnOnce(&Message) -> bool) -> Result<Looked, Reason> {
        let mut state = self.state.lock();
        if let Some(reason) = &state.ended {
            return Err(reason.clone());
        }
        Ok(match state.mailbox.pop_if(wanted) {
            Next::Taken(envelope, sender) => Looked::Taken((self.received(state, envelope), sender)),
            Next::SetAside => Looked::SetAside,
            Next::None => Looked::Nothing,
        })
    }

    #[inline]
    fn received(&self, mut state: MutexGuard<'_, State>, envelope: Envelope) -> Message {
        let Envelope { message, token } = envelope;
        if token.is_some() || state.trace.is_some() {
            self.follow(&mut state, &message, token);
        }
        let has_refused = state.mailbox.has_refused();
        drop(state);
        if has_refused {
            self.room.notify_one();
        }
        message
    }

    /// Whether what the process sends has a trace token.
    pub(crate) fn is_traced(&self) -> bool {
        self.is_traced.load(Ordering::Relaxed)
    }

    /// The messages in the mailbox, if they have no more bytes than this.
    pub(crate) fn waiting(&self, bytes: usize) -> Option<Vec<Message>> {
        let state = self.alive()?;
        (state.mailbox.bytes() <= bytes).then(|| state.mailbox.iter().cloned().collect())
    }

    /// The trace token of the next message that the process sends.
    #[inline]
    pub(crate) fn next_token(&self) -> Option<TraceToken> {
        if !self.is_traced() {
            return None;
        }
        self.alive()?.trace.as_mut()?.next(&self.pid)
    }

    /// Gives the token of the spawn request to the process; returns that of the reply. As at the BEAM, the reply has the number
    /// of the request, and follows the one before.
    pub(crate) fn begin_trace(&self, token: TraceToken) -> TraceToken {
        let previous = (token.serial - 1).max(0);
        let reply = TraceToken { previous, from: self.pid.clone().into(), ..token.clone() };
        if let Some(mut state) = self.alive() {
            state.trace = Some(Box::new(SequentialTrace::begun(token)));
            self.is_traced.store(true, Ordering::Relaxed);
        }
        reply
    }

    /// The process receives a message: its token is that of the process from now on. Of the signals, only an exit signal
    /// can have one; the others change nothing.
    #[cold]
    fn follow(&self, state: &mut State, message: &Message, token: Option<Box<TraceToken>>) {
        match (&mut state.trace, token) {
            (Some(trace), Some(token)) => trace.receive(*token),
            (None, Some(token)) => state.trace = Some(Box::new(SequentialTrace::begun(*token))),
            (Some(trace), None) if matches!(message, Message::User(_)) => trace.end(),
            _ => {}
        }
        self.is_traced.store(state.trace.as_ref().is_some_and(|trace| trace.is_active()), Ordering::Relaxed);
    }

    /// Waits until something may have come.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Waits until there may be room in the mailbox.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    /// Waits until a signal has ended the process, which evaluates a function. If that receives no messages, they are dropped.
    pub(crate) async fn ended(&self) {
        let receiving = self.alive().and_then(|state| state.receiving.clone());
        if let Some(ended) = receiving {
            return ended.cancelled().await;
        }
        while self.take().is_ok() {
            self.arrival().await;
        }
    }

    /// Whether so many are linked to the process, monitor it or are monitored by it that to tell them of its end takes long; or so many
    /// messages wait that to drop them does.
    pub(crate) fn has_much(&self) -> bool {
        const MANY: usize = 4096;
        self.alive().is_some_and(|state| {
            state.links.len() + state.watchers.len() + state.watched.len() + state.mailbox.len() > MANY
        })
    }

    /// Marks the process as ended. The first caller gets its tables.
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
            trace: state.trace.take(),
        };
        let receiving = state.receiving.take();
        drop(state);
        if let Some(ended) = receiving {
            ended.cancel();
        }
        self.arrived.notify_one();
        self.room.notify_waiters();
        self.room.notify_one();
        Some(left)
    }
}
