use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use peerl_term::{Atom, Encoded, Pid, Term};
use serde::Serialize;

use crate::inner::Inner;
use crate::kernel::address::Address;
use crate::kernel::call::Call;
#[cfg(doc)]
use crate::kernel::process::Overflow;
use crate::kernel::process::{Core, Exits, Looked, MailboxPolicy, Message, NodeUp, Taken};
use crate::kernel::reason::{self, Reason};
use crate::kernel::serving::PeerCalls;
use crate::kernel::signal::Signal;
use crate::node::Node;
use crate::peer::Peer;

mod alias;
mod connected;
mod destination;
mod monitor;
mod send;
mod sender;

pub use connected::NotSent;
pub use destination::Destination;
pub use send::SendError;
pub(crate) use send::{Author, Payload, envelope, queue};
pub use sender::ProcessSender;

/// A process of this node: it has a pid and a mailbox, and its owner receives from it.
///
/// It ends with reason `normal` when it is dropped, with another by [`exit`](Self::exit), or when an exit signal
/// reaches it; also when its node stops. That of a [function](Node::export) that receives messages ends with the function, and
/// not when it is dropped.
pub struct Process {
    inner: Arc<Inner>,
    core: Arc<Core>,
    ends: Ends,
    /// The large message that was received last: its lease is held until the next one is asked for.
    received: Option<Bytes>,
    /// The peer that has sent the message that was received last, if that is told.
    received_from: Option<Peer>,
    /// The peer for which it sends what it sends before it receives something.
    acts_for: Option<Arc<PeerCalls>>,
    /// The bytes of the messages that were received since other tasks could run.
    at_once: usize,
}

/// When it has received so many bytes of terms, a process lets other tasks run. A connection brings half of that at once: a
/// process takes more in a turn than one brings.
const AT_ONCE: usize = 512 << 10;

/// How many bytes a message takes beside its term when a connection brings it, at least.
const FRAME: usize = 24;

/// What ends a process, if nothing else does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    WhenDropped,
    /// Its value is the exit reason.
    WithItsFunction,
}

/// The process has ended; there will be no more messages.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the process has ended: {reason:?}")]
pub struct Ended {
    /// The exit reason.
    pub reason: Term,
}

impl Ended {
    fn because(reason: Reason) -> Self {
        Self {
            reason: match reason {
                Reason::Term(term) => Term::clone(&term),
                Reason::Large(large) => Term::clone(&large.term),
                // Only a process that makes a call for `erpc` ends so, and it receives nothing.
                Reason::Returned { .. } => Term::atom("normal"),
            },
        }
    }
}

/// Why a name cannot be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another process has this name, or this process has ended")]
pub struct RegisterError;

impl Node {
    /// Starts a process with the usual mailbox.
    pub fn process(&self) -> Process {
        self.process_with(MailboxPolicy::default())
    }

    /// Starts a process.
    pub fn process_with(&self, policy: MailboxPolicy) -> Process {
        Process::start(&self.inner, policy)
    }

    /// The pid of the process that has this name on this node.
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        self.inner.kernel.processes.whereis(&Atom::new(name).ok()?).map(|process| process.pid.clone())
    }
}

impl Process {
    pub(crate) fn start(inner: &Arc<Inner>, policy: MailboxPolicy) -> Self {
        let core = Core::new(inner.kernel.identity.next_pid(), policy);
        inner.kernel.processes.insert(core.clone());
        Self {
            inner: inner.clone(),
            core,
            ends: Ends::WhenDropped,
            received: None,
            received_from: None,
            acts_for: None,
            at_once: 0,
        }
    }

    /// The process that evaluates the function of this call, which receives its messages. A function that another process
    /// evaluates, which has messages of its own, has one that is started for it.
    pub(crate) fn of_call(inner: &Arc<Inner>, call: &mut Call) -> Self {
        if let Some(core) = call.receiver.take() {
            return Self {
                inner: inner.clone(),
                core,
                ends: Ends::WithItsFunction,
                received: None,
                received_from: None,
                acts_for: None,
                at_once: 0,
            };
        }
        let process = Self::start(inner, MailboxPolicy::default());
        if let Some(mut state) = process.core.alive() {
            state.function = Some((call.module.clone(), call.function.clone(), call.arity));
            state.group_leader.clone_from(&call.group_leader);
        }
        call.process = process.pid().clone();
        process
    }

    /// What it sends before it receives something comes as from this peer, and counts for that.
    pub(crate) fn on_behalf_of(mut self, peer: Option<Arc<PeerCalls>>) -> Self {
        self.acts_for = peer;
        self
    }

    /// In whose name it sends.
    pub(crate) fn author(&self) -> Author<'_> {
        let peer = self.received_from.as_ref().map(Peer::calls).or(self.acts_for.as_ref());
        Author { core: &self.core, peer }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// The pid.
    pub fn pid(&self) -> &Pid {
        &self.core.pid
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// If the process has been ended by an exit signal.
    pub async fn receive(&mut self) -> Result<Message, Ended> {
        // However many messages wait, their receiver does not keep its thread to itself.
        if self.at_once > AT_ONCE {
            self.at_once = 0;
            tokio::task::yield_now().await;
        }
        loop {
            if let Some(message) = self.try_receive()? {
                self.at_once += FRAME + message.payload().map_or(0, |payload| payload.bytes().len());
                return Ok(message);
            }
            self.at_once = 0;
            self.core.arrival().await;
        }
    }

    /// Waits for the next message that is wanted. The others are set aside: they stay in the mailbox and count for its limits, and come
    /// first when [`receive`](Self::receive) is called again. Until then they are not looked at once more, so what is wanted must not
    /// change. A mailbox that [makes senders wait](Overflow::Wait) overflows while messages are set aside.
    ///
    /// # Errors
    /// If the process has been ended by an exit signal.
    pub async fn receive_only(&mut self, wanted: impl Fn(&Message) -> bool + Sync) -> Result<Message, Ended> {
        loop {
            self.received = None;
            match self.core.take_if(&wanted).map_err(Ended::because)? {
                Looked::Taken(taken) => return Ok(self.take(taken)),
                Looked::SetAside if self.at_once > AT_ONCE => {
                    self.at_once = 0;
                    tokio::task::yield_now().await;
                }
                Looked::SetAside => self.at_once += FRAME,
                Looked::Nothing => {
                    self.at_once = 0;
                    self.core.arrival().await;
                }
            }
        }
    }

    /// Takes the next message, if there is one.
    ///
    /// # Errors
    /// If the process has been ended by an exit signal.
    pub fn try_receive(&mut self) -> Result<Option<Message>, Ended> {
        self.received = None;
        self.received_from = None;
        self.acts_for = None;
        let taken = self.core.take().map_err(Ended::because)?;
        Ok(taken.map(|taken| self.take(taken)))
    }

    #[inline]
    fn take(&mut self, (message, sender): Taken) -> Message {
        self.received_from = sender.map(Peer::new);
        self.received = message.large_payload().map(|payload| payload.bytes().clone());
        message
    }

    /// From the next message on, [`received_from`](Self::received_from) tells which peer has sent it. What this process sends to others
    /// of this node after that, until it receives again, comes as from that peer, too, and counts for it while it waits: no peer has a
    /// process of this node speak for it.
    pub fn tell_senders(&self) {
        if let Some(mut state) = self.core.alive() {
            state.mailbox.tell_senders();
        }
    }

    /// The peer that has sent the message received last, or has caused a process of this node to send it; none, if neither is so, or if
    /// that is not [told](Self::tell_senders).
    pub fn received_from(&self) -> Option<&Peer> {
        self.received_from.as_ref()
    }

    /// The number of messages in the mailbox.
    pub fn queued(&self) -> usize {
        self.core.alive().map_or(0, |state| state.mailbox.len())
    }

    /// Registers a name; `name` on this node then means this process.
    ///
    /// # Errors
    /// If another process has the name, or this one has ended.
    pub fn register(&self, name: Atom) -> Result<(), RegisterError> {
        if self.inner.kernel.processes.register(name, &self.core) { Ok(()) } else { Err(RegisterError) }
    }

    /// Unregisters a name. Returns whether it was registered.
    pub fn unregister(&self, name: &str) -> bool {
        self.inner.kernel.processes.unregister(name)
    }

    /// Sets whether exit signals come as messages, instead of ending the process. At first they do not.
    pub fn trap_exit(&self, trap: bool) {
        if let Some(mut state) = self.core.alive() {
            state.exits = if trap { Exits::Trap } else { Exits::End };
        }
    }

    /// Lets no exit signal do anything to this process, not even `kill`: for a process that its node cannot do without.
    pub fn ignore_exits(&self) {
        if let Some(mut state) = self.core.alive() {
            state.exits = Exits::Ignore;
        }
    }

    /// Sends a message. The peer is connected to if it is not; as in Erlang, nothing tells whether it arrives.
    ///
    /// # Errors
    /// If the message cannot be encoded, or the peer cannot be reached.
    pub async fn send(&self, to: impl Into<Destination>, message: &impl Serialize) -> Result<(), SendError> {
        let mut payload = Encoded::default();
        peerl_term::serde::to_sink(message, &mut payload)?;
        let to = to.into();
        self.inner.send_from(self.author(), to.address(&self.inner.kernel.identity), Payload::Encoded(payload)).await
    }

    /// Sends a message that is a term.
    ///
    /// # Errors
    /// If the peer cannot be reached.
    pub async fn send_term(&self, to: impl Into<Destination>, message: &Term) -> Result<(), SendError> {
        let to = to.into();
        self.inner.send_from(self.author(), to.address(&self.inner.kernel.identity), Payload::Term(message)).await
    }

    /// Subscribes to [`Message::NodeUp`] and [`Message::NodeDown`], as `net_kernel:monitor_nodes/1`; returns the nodes that are
    /// connected already.
    ///
    /// They come in the order of the changes, and in order with what the nodes send: a node is up before its first message
    /// comes, and down after its last one and after all exit signals and [`Message::Down`] with `noconnection`.
    pub fn monitor_nodes(&self) -> Vec<NodeUp> {
        self.inner.kernel.monitor_nodes(&self.core)
    }

    /// Ends that subscription. Returns whether there was one.
    pub fn demonitor_nodes(&self) -> bool {
        self.inner.kernel.demonitor_nodes(&self.core)
    }

    /// The processes that monitor this one, as `process_info(Pid, monitored_by)` gives them: one that does so twice
    /// is there twice.
    pub fn monitored_by(&self) -> Vec<Pid> {
        let pids = self.core.alive().map(|state| state.watchers.values().map(|watcher| watcher.pid.clone()).collect());
        pids.unwrap_or_default()
    }

    /// Links to a process: when one of the two ends, the other gets an exit signal.
    pub async fn link(&self, other: &Pid) {
        self.inner.reach(Address::Process(other)).await;
        self.inner.kernel.link(&self.core, other);
    }

    /// Ends a link.
    pub fn unlink(&self, other: &Pid) {
        self.inner.kernel.unlink(&self.core, other);
    }

    /// Sends an exit signal to a process, as `exit/2`; not to one on a node that is not connected.
    pub fn exit_other(&self, other: &Pid, reason: &Term) {
        let reason = Reason::from(reason.clone());
        let _ = self.inner.kernel.signal(&self.core.pid, Address::Process(other), Signal::Exit2(&reason));
    }

    /// Gives a process another group leader, as `erlang:group_leader(Leader, Process)`: what it prints from then on goes to that
    /// one, and so does what processes print that it spawns. It does not connect to a node.
    ///
    /// # Errors
    /// If the node of the process is not connected.
    pub fn set_group_leader_of(&self, process: &Pid, leader: &Pid) -> Result<(), NotSent> {
        let (from, to) = (&self.core.pid, Address::Process(process));
        self.inner.kernel.signal(from, to, Signal::GroupLeader(leader)).into_result()
    }

    /// Ends the process with a reason.
    pub fn exit(self, reason: &Term) {
        self.inner.kernel.end(&self.core, &Reason::from(reason.clone()));
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Process").field(self.pid()).finish()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ends == Ends::WhenDropped {
            self.inner.kernel.end(&self.core, &reason::atom("normal"));
        }
    }
}
