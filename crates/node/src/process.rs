use std::fmt;
use std::sync::Arc;

use peerl_proto::channel::Fragments;
use peerl_proto::control::{Control, Offered, ProcessId};
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Encoded, Pid, RawTerm, Term, encode};
use serde::Serialize;

mod alias;
mod connected;
mod monitor;

pub use connected::NotSent;

use crate::inner::Inner;
use crate::kernel::connection::{Connection, Sent};
use crate::kernel::process::{Core, Exits, MailboxPolicy, Message, Monitored, NodeUp};
use crate::kernel::reason::{self, Reason};
use crate::kernel::router::Routed;
use crate::network::connect_error::ConnectError;
use crate::node::Node;

/// A process of this node: it has a pid and a mailbox, and whoever holds it receives from it.
///
/// It ends with reason `normal` when it is dropped, with another by [`exit`](Self::exit), or when an exit signal
/// reaches it; also when its node stops.
pub struct Process {
    inner: Arc<Inner>,
    core: Arc<Core>,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// A process.
    Process(Pid),
    /// The process that has this name on this node.
    Name(Atom),
    /// The process that has this name on another node.
    Remote(Atom, NodeName),
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Process(pid)
    }
}

impl From<&Pid> for Destination {
    fn from(pid: &Pid) -> Self {
        Self::Process(pid.clone())
    }
}

impl From<(Atom, NodeName)> for Destination {
    fn from((name, node): (Atom, NodeName)) -> Self {
        Self::Remote(name, node)
    }
}

impl From<(&'static str, &NodeName)> for Destination {
    fn from((name, node): (&'static str, &NodeName)) -> Self {
        Self::Remote(Atom::from_static(name), node.clone())
    }
}

/// The process has ended; there will be no more messages.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the process has ended: {reason:?}")]
pub struct Ended {
    /// The exit reason.
    pub reason: Term,
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
        Self { inner: inner.clone(), core }
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
        loop {
            if let Some(message) = self.try_receive()? {
                return Ok(message);
            }
            self.core.arrival().await;
        }
    }

    /// Takes the next message, if there is one.
    ///
    /// # Errors
    /// If the process has been ended by an exit signal.
    pub fn try_receive(&mut self) -> Result<Option<Message>, Ended> {
        self.core.take().map_err(|reason| Ended {
            reason: match reason {
                Reason::Term(term) => Term::clone(&term),
                // That of a process that only makes a call; nobody receives from it.
                Reason::Returned { .. } => Term::atom("normal"),
            },
        })
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

    /// Gives a name up. Says whether anyone had it.
    pub fn unregister(&self, name: &str) -> bool {
        self.inner.kernel.processes.unregister(name)
    }

    /// Says whether exit signals come as messages, instead of ending the process. At first they don't.
    pub fn trap_exit(&self, trap: bool) {
        if let Some(mut state) = self.core.alive() {
            state.exits = if trap { Exits::Trap } else { Exits::End };
        }
    }

    /// Lets no exit signal do anything to this process.
    pub(crate) fn ignore_exits(&self) {
        if let Some(mut state) = self.core.alive() {
            state.exits = Exits::Ignore;
        }
    }

    /// Sends a message. The peer is connected to if it is not; as in Erlang nobody tells whether it arrives.
    ///
    /// # Errors
    /// If the message cannot be encoded, or the peer cannot be reached.
    pub async fn send(&self, to: impl Into<Destination>, message: &impl Serialize) -> Result<(), SendError> {
        let mut payload = Encoded::default();
        peerl_term::serde::to_sink(message, &mut payload)?;
        self.inner.send_from(&self.core.pid, to.into(), Payload::Encoded(payload)).await
    }

    /// Sends a message that is a term.
    ///
    /// # Errors
    /// If the peer cannot be reached.
    pub async fn send_term(&self, to: impl Into<Destination>, message: &Term) -> Result<(), SendError> {
        self.inner.send_from(&self.core.pid, to.into(), Payload::Term(message)).await
    }

    /// Has [`Message::NodeUp`] and [`Message::NodeDown`] come from now on, as `net_kernel:monitor_nodes/1`; gives the nodes
    /// that are connected already.
    ///
    /// They come in the order of the changes, and in order with what the nodes send: a node is up before its first message
    /// comes, and down after its last one and after all exit signals and [`Message::Down`] with `noconnection`.
    pub fn monitor_nodes(&self) -> Vec<NodeUp> {
        self.inner.kernel.monitor_nodes(&self.core)
    }

    /// Has no more of these messages come. Says whether they did.
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
        let inner = &self.inner;
        if *other == self.core.pid {
            return;
        }
        let is_new = self.core.alive().is_some_and(|mut state| state.links.link(other.clone()));
        if !is_new {
            return;
        }
        let failed = match inner.place_of(&Monitored::Process(other.clone())) {
            Place::Here(Some(process)) => {
                let linked = process.alive().map(|mut state| state.links.linked_by(self.core.pid.clone()));
                linked.is_none().then_some("noproc")
            }
            Place::Here(None) => Some("noproc"),
            Place::There(node) => match inner.network.connect(&node).await {
                Ok(connection) => {
                    connection.send_link(self.core.pid.clone(), other.clone()).is_err().then_some("noconnection")
                }
                Err(_) => Some("noconnection"),
            },
        };
        if let Some(reason) = failed {
            let active = self.core.alive().is_some_and(|mut state| state.links.ended(other));
            if active {
                inner.kernel.exit_signal(&self.core, other.clone(), reason::atom(reason));
            }
        }
    }

    /// Ends a link.
    pub fn unlink(&self, other: &Pid) {
        let inner = &self.inner;
        let Some(id) = self.core.alive().and_then(|mut state| state.links.unlink(other)) else { return };
        let acknowledged = match inner.kernel.connections.get(&other.node) {
            Some(connection) => {
                connection.send_unlink(id, self.core.pid.clone(), other.clone()) == Ok(Sent::NotOffered)
            }
            None => {
                if let Some(process) = inner.kernel.process(other)
                    && let Some(mut state) = process.alive()
                {
                    state.links.unlinked_by(&self.core.pid);
                }
                true
            }
        };
        if acknowledged && let Some(mut state) = self.core.alive() {
            state.links.unlink_acknowledged(other, id.get());
        }
    }

    /// Sends an exit signal to a process, as `exit/2`.
    pub fn exit_other(&self, other: &Pid, reason: &Term) {
        let inner = &self.inner;
        let reason = Reason::from(reason.clone());
        if let Some(process) = inner.kernel.process(other) {
            inner.kernel.exit_request(&process, self.core.pid.clone(), reason);
        } else if let Some(connection) = inner.kernel.connections.get(&other.node) {
            let _ = connection.send_exit2(self.core.pid.clone(), other.clone(), &reason);
        }
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
        self.inner.kernel.end(&self.core, &reason::atom("normal"));
    }
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The message cannot be a term.
    #[error("the message cannot be encoded: {0}")]
    Encode(#[from] peerl_term::serde::Error),
    /// The peer cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended, or the message is too large for the peer.
    #[error("cannot send to {peer}: {what}")]
    Connection {
        /// The peer.
        peer: NodeName,
        /// What happened.
        what: String,
    },
    /// There is no node of that name.
    #[error("the pid's node name is not one: {0}")]
    NodeName(#[from] peerl_proto::node_name::NodeNameError),
}

/// What is sent, before it is encoded for good.
pub(crate) enum Payload<'a> {
    Encoded(Encoded),
    Term(&'a Term),
    /// Of this program's own making.
    Raw(&'a RawTerm),
}

impl Payload<'_> {
    /// About how many bytes it has; of a large term, just enough to see that it is large.
    fn size(&self) -> usize {
        match self {
            Self::Encoded(encoded) => encoded.bytes().len(),
            Self::Term(term) => size(term),
            Self::Raw(raw) => raw.bytes().len(),
        }
    }

    pub(crate) fn into_raw(self) -> RawTerm {
        match self {
            Self::Encoded(encoded) => encoded.into(),
            Self::Term(term) => RawTerm::encoded_from(term),
            Self::Raw(raw) => raw.clone(),
        }
    }
}

fn size(term: &Term) -> usize {
    let mut size = 0;
    let mut open = vec![term];
    while let Some(term) = open.pop() {
        size += 8;
        match term {
            Term::Binary(bytes) => size += bytes.len(),
            Term::BitString(bits) => size += bits.bytes().len(),
            Term::Tuple(elements) => {
                size += elements.len();
                open.extend(elements.iter().take(ENOUGH));
            }
            Term::List(elements) => {
                size += elements.len();
                open.extend(elements.iter().take(ENOUGH));
            }
            Term::Map(map) => open.extend(map.iter().take(ENOUGH).flat_map(|(key, value)| [key, value])),
            _ => {}
        }
        if size > Fragments::LARGE {
            break;
        }
    }
    size
}

/// So many elements make a term large, whatever they are.
const ENOUGH: usize = Fragments::LARGE / 8;

/// Where a process is.
pub(crate) enum Place {
    Here(Option<Arc<Core>>),
    There(NodeName),
}

impl Inner {
    pub(crate) fn place_of(&self, object: &Monitored) -> Place {
        match object {
            Monitored::Process(pid) if self.kernel.identity.is_own(&pid.node) => Place::Here(self.kernel.process(pid)),
            Monitored::Process(pid) => NodeName::new(&pid.node).map_or(Place::Here(None), Place::There),
            Monitored::Name(name, node) if *node == self.kernel.identity.name => {
                Place::Here(self.kernel.processes.whereis(name))
            }
            Monitored::Name(_, node) => Place::There(node.clone()),
        }
    }

    pub(crate) async fn send_from(
        self: &Arc<Self>,
        from: &Pid,
        to: Destination,
        payload: Payload<'_>,
    ) -> Result<(), SendError> {
        let (to, node) = match to {
            Destination::Process(pid) if self.kernel.identity.is_own(&pid.node) => {
                self.send_here(self.kernel.process(&pid), payload).await;
                return Ok(());
            }
            Destination::Name(name) => {
                self.send_here(self.kernel.processes.whereis(&name), payload).await;
                return Ok(());
            }
            Destination::Remote(name, node) if node == self.kernel.identity.name => {
                self.send_here(self.kernel.processes.whereis(&name), payload).await;
                return Ok(());
            }
            Destination::Process(pid) => {
                let node = pid.node.clone();
                (ProcessId::Pid(pid), node)
            }
            Destination::Remote(name, node) => {
                let atom = Atom::new(node.as_str()).map_err(|_| peerl_proto::node_name::NodeNameError::TooLong)?;
                (ProcessId::Name(name), atom)
            }
        };
        let connection = match self.kernel.connections.get(&node) {
            Some(connection) => connection,
            None => self.network.connect(&NodeName::new(&node)?).await?,
        };
        send_on(&connection, from, to, payload).await
    }

    /// Answers a request that came as a message. Does not connect for it: whoever is gone by now waits no more, and
    /// a connection that was just ended on purpose is not to come back.
    pub(crate) async fn answer_from(&self, from: &Pid, to: &Pid, answer: &Term) {
        if self.kernel.identity.is_own(&to.node) {
            self.send_here(self.kernel.process(to), Payload::Term(answer)).await;
        } else if let Some(connection) = self.kernel.connections.get(&to.node)
            && !connection.never_made(to)
            && connection.can_take(answer)
        {
            // A peer that does not read its answers gets none.
            let _ = send_on(&connection, from, ProcessId::Pid(to.clone()), Payload::Term(answer)).await;
        }
    }

    /// Answers a request whose answer is small, without waiting for anything.
    pub(crate) fn answer_at_once(&self, from: &Pid, to: &Pid, answer: &Term) {
        let answer = RawTerm::encoded_from(answer);
        if let Some(process) = self.kernel.process(to) {
            // A process that asks so much that its mailbox is full gets no answer.
            let _ = process.deliver(Message::User(answer));
        } else if let Some(connection) = self.kernel.connections.get(&to.node) {
            let control = connection.forms.send(from.clone(), to.clone());
            // Nor does a peer that reads none, or has gone.
            let _ = connection.outbox.send_term(from, &control, &answer);
        }
    }

    pub(crate) async fn send_here(&self, process: Option<Arc<Core>>, payload: Payload<'_>) {
        let Some(process) = process else { return };
        let mut routed = self.kernel.deliver(process, Message::User(payload.into_raw()));
        while let Routed::Full(process, message) = routed {
            process.room().await;
            routed = self.kernel.deliver(process, message);
        }
    }
}

async fn send_on(connection: &Connection, from: &Pid, to: ProcessId, payload: Payload<'_>) -> Result<(), SendError> {
    let failed = |error: crate::kernel::connection::QueueError| SendError::Connection {
        peer: connection.peer.clone(),
        what: error.to_string(),
    };
    connection.outbox.ready(from, payload.size()).await.map_err(failed)?;
    match to {
        ProcessId::Pid(to) => send_payload(connection, from, &connection.forms.send(from.clone(), to), payload),
        ProcessId::Name(to) => send_payload(connection, from, &connection.forms.reg_send(from.clone(), to), payload),
    }
    .map_err(failed)
}

fn send_payload(
    connection: &Connection,
    from: &Pid,
    control: &Offered<impl Control>,
    payload: Payload<'_>,
) -> Result<(), crate::kernel::connection::QueueError> {
    match payload {
        Payload::Term(term) if size(term) <= Fragments::LARGE => {
            connection.outbox.send(from, control, |out| encode::term(term, out))
        }
        payload => connection.outbox.send_term(from, control, &payload.into_raw()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerl_term::Atom;

    use crate::{Destination, Epmd, Node, Process};

    const SERVICE: Atom = Atom::from_static("service");

    async fn node(host: &str, port: u16) -> Node {
        let builder = Node::builder(format!("n@{host}")).cookie("c").listen_address(host.parse().unwrap());
        builder.epmd(Epmd::None { port }).start().await.unwrap()
    }

    async fn eventually(mut holds: impl FnMut() -> bool) {
        let held = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), held).await.unwrap();
    }

    /// Monitors the service by its name again and again, and takes each monitor back when the name has moved, was given
    /// up, or belongs to nobody since its process ended.
    async fn monitor_while_the_name_moves(watcher: &Process, target: Destination, serving: &Node) {
        let first = serving.process();
        first.register(SERVICE).unwrap();
        let moved = watcher.monitor(target.clone()).await;
        let unregistered = watcher.monitor(target.clone()).await;
        eventually(|| first.monitored_by() == [watcher.pid().clone(), watcher.pid().clone()]).await;
        assert!(first.unregister("service"));
        assert!(watcher.demonitor(&unregistered));
        eventually(|| first.monitored_by().len() == 1).await;
        let second = serving.process();
        second.register(SERVICE).unwrap();
        let of_second = watcher.monitor(target).await;
        eventually(|| second.monitored_by().len() == 1).await;
        assert!(watcher.demonitor(&moved));
        eventually(|| first.monitored_by().is_empty()).await;
        assert_eq!(second.monitored_by().len(), 1);
        drop(second);
        drop(first);
        eventually(|| !watcher.demonitor(&of_second)).await;
    }

    #[tokio::test]
    async fn monitors_are_found_by_their_references() {
        // Without any EPMD: only the second one needs to find the other.
        let a = node("127.0.0.1", 1).await;
        let b = node("127.0.0.2", a.port()).await;
        b.connect(a.name()).await.unwrap();
        let watcher = a.process();
        monitor_while_the_name_moves(&watcher, Destination::Name(SERVICE), &a).await;
        monitor_while_the_name_moves(&watcher, (SERVICE, b.name().clone()).into(), &b).await;
        let monitors = |node: &Node, of: &Node| {
            node.inner.kernel.connections.get(&of.inner.kernel.identity.atom).unwrap().monitors.len()
        };
        eventually(|| monitors(&b, &a) == 0).await;
    }
}
