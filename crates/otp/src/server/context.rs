use std::time::Duration;

use peerl_node::{Caller, Node, Pid, Process, ReplyError};
use serde::Serialize;

/// What a server has to work with: its process, and what is to happen after the handler has returned.
#[derive(Debug)]
pub struct Context {
    node: Node,
    pub(super) process: Process,
    pub(super) parent: Option<Pid>,
    pub(super) exits: ExitSignals,
    pub(super) continues: bool,
    pub(super) timeout: Option<Duration>,
}

/// What exit signals of other processes than the parent do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitSignals {
    /// They end the server, unless their reason is `normal`.
    End,
    /// They are messages.
    Trap,
}

impl Context {
    pub(super) fn new(node: Node, process: Process, parent: Option<Pid>) -> Self {
        Self { node, process, parent, exits: ExitSignals::End, continues: false, timeout: None }
    }

    /// The node at which the server runs.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The server's pid.
    pub fn pid(&self) -> &Pid {
        self.process.pid()
    }

    /// The server's process: to send, monitor and link.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Answers a call that was left for later.
    ///
    /// # Errors
    /// If the reply cannot be a term.
    pub fn reply(&self, to: &Caller, reply: &impl Serialize) -> Result<(), ReplyError> {
        self.process.reply(to, reply)
    }

    /// Has [`handle_continue`](super::Server::handle_continue) called before the next message is taken.
    pub fn continue_next(&mut self) {
        self.continues = true;
    }

    /// Has [`handle_timeout`](super::Server::handle_timeout) called if no message comes for this time. The next message
    /// ends the wait.
    pub fn timeout(&mut self, after: Duration) {
        self.timeout = Some(after);
    }

    /// From now on exit signals come to [`handle_info`](super::Server::handle_info), instead of ending the server. That of
    /// the parent ends it all the same.
    pub fn trap_exits(&mut self) {
        self.exits = ExitSignals::Trap;
    }
}
