use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use peerl_node::{Caller, Node, Peer, Pid, Process, Repeats, ReplyError, Term, WeakNode};
use serde::Serialize;

use super::Stop;

/// A server's process, and what happens after the handler returns.
#[derive(Debug)]
pub struct Context {
    node: WeakNode,
    pub(super) process: Process,
    pub(super) parent: Option<Pid>,
    pub(super) exits: ExitSignals,
    pub(super) continues: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) received_from: Option<Peer>,
    /// Warnings about messages that are dropped, which a peer may send without end.
    dropped: Arc<Repeats>,
}

/// The effect of exit signals from processes other than the parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitSignals {
    /// They end the server, unless the reason is `normal`.
    End,
    /// They become messages.
    Trap,
}

impl Context {
    pub(super) fn new(node: WeakNode, process: Process, parent: Option<Pid>) -> Self {
        process.tell_senders();
        Self {
            node,
            process,
            parent,
            exits: ExitSignals::End,
            continues: false,
            timeout: None,
            received_from: None,
            dropped: Arc::default(),
        }
    }

    /// The node at which the server runs. A server does not keep its node running.
    ///
    /// # Errors
    /// If the node is about to stop; the server then ends with `shutdown`.
    pub fn node(&self) -> Result<Node, Stop> {
        self.node.upgrade().ok_or_else(|| Stop::because(Term::atom("shutdown")))
    }

    /// The server's pid.
    pub fn pid(&self) -> &Pid {
        self.process.pid()
    }

    /// The server's process, for sending, monitoring and linking.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The peer that has sent the message that is handled; none, if a process of this node has. What a server keeps of the message
    /// may be [leased](Peer::lease) from that peer's share of the memory.
    pub fn received_from(&self) -> Option<&Peer> {
        self.received_from.as_ref()
    }

    /// Replies to a call whose reply was left for later.
    ///
    /// # Errors
    /// If the reply cannot be encoded.
    pub fn reply(&self, to: &Caller, reply: &impl Serialize) -> Result<(), ReplyError> {
        self.process.reply(to, reply)
    }

    /// Requests a call of [`handle_continue`](super::Server::handle_continue) before the next message.
    pub fn continue_next(&mut self) {
        self.continues = true;
    }

    /// Requests a call of [`handle_timeout`](super::Server::handle_timeout) if no message arrives for this time. The
    /// next message cancels it.
    pub fn timeout(&mut self, after: Duration) {
        self.timeout = Some(after);
    }

    /// Warns that a message is dropped.
    pub(crate) fn warn_dropped(&self, why: impl fmt::Display) {
        let server = self.pid();
        self.dropped.warn(&format!("{server:?} dropped messages"), || format!("{server:?} dropped a message: {why}"));
    }

    /// Passes exit signals to [`handle_info`](super::Server::handle_info) from now on, instead of ending the server.
    /// A signal from the parent ends it nevertheless.
    pub fn trap_exits(&mut self) {
        self.exits = ExitSignals::Trap;
    }
}
