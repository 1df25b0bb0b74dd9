use std::fmt;
use std::sync::Arc;

use peerl_proto::control::Priority;
use peerl_term::{Pid, RawTerm, Reference, Term};
use serde::Serialize;

use super::{Author, Destination, NotSent, Payload, Process};
use crate::inner::Inner;
use crate::kernel::address::Address;
use crate::kernel::process::Core;
use crate::kernel::serving::PeerCalls;
use crate::node::Node;
use crate::rpc::{Caller, ReplyError};

/// Sends in the name of a process, from any task. It does not keep the process alive.
#[derive(Clone)]
pub struct ProcessSender {
    inner: Arc<Inner>,
    core: Arc<Core>,
    /// The peer for which it sends.
    peer: Option<Arc<PeerCalls>>,
}

impl Process {
    /// What sends in the name of this process from other tasks than the one that receives. What it sends is caused by the peer that has
    /// sent the message which was received last, if that is [told](Self::tell_senders).
    pub fn sender(&self) -> ProcessSender {
        ProcessSender { inner: self.inner.clone(), core: self.core.clone(), peer: self.author().peer.cloned() }
    }
}

impl Node {
    /// What sends in the name of a process of this node, if it lives, for this peer.
    pub(crate) fn sender_of(&self, pid: &Pid, peer: Option<Arc<PeerCalls>>) -> Option<ProcessSender> {
        Some(ProcessSender { inner: self.inner.clone(), core: self.inner.kernel.process(pid)?, peer })
    }
}

impl ProcessSender {
    fn author(&self) -> Author<'_> {
        Author { core: &self.core, peer: self.peer.as_ref() }
    }

    /// The pid of the process.
    pub fn pid(&self) -> &Pid {
        &self.core.pid
    }

    /// Sends a message at once, if its receiver's node is connected: [`Process::send_connected`].
    ///
    /// # Errors
    /// If the node is not connected, or the message cannot be queued.
    pub fn send_connected(&self, to: impl Into<Destination>, message: &Term) -> Result<(), NotSent> {
        self.inner.send_at_once(self.author(), &to.into(), Payload::Term(message))
    }

    /// Sends a message if its receiver's node is connected, and waits while the connection is busy or the mailbox is full. For
    /// answers: a node that has gone waits for none.
    ///
    /// # Errors
    /// If the node is not connected, or the message cannot be sent.
    pub async fn send_if_connected(&self, to: impl Into<Destination>, message: &Term) -> Result<(), NotSent> {
        let to = to.into();
        self.inner
            .send_if_connected(self.author(), to.address(&self.inner.kernel.identity), Payload::Term(message))
            .await
    }

    /// Sends `{Tag, Value}` as [`send_if_connected`](Self::send_if_connected) does, with the value of a
    /// [call](crate::ServedCall::apply). While it waits, the value is kept as it is.
    ///
    /// # Errors
    /// If the node is not connected, or the message cannot be sent.
    pub async fn send_value_if_connected(
        &self,
        to: impl Into<Destination>,
        tag: &Term,
        value: &RawTerm,
    ) -> Result<(), NotSent> {
        let to = to.into();
        let address = to.address(&self.inner.kernel.identity);
        self.inner.send_if_connected(self.author(), address, Payload::Tagged(tag, value)).await
    }

    /// As [`send_value_if_connected`](Self::send_value_if_connected), to an alias.
    ///
    /// # Errors
    /// If the node is not connected or knows no aliases, or the message cannot be sent.
    pub async fn send_value_to_alias_if_connected(
        &self,
        alias: &Reference,
        tag: &Term,
        value: &RawTerm,
    ) -> Result<(), NotSent> {
        let address = Address::Alias(alias, Priority::Ordinary);
        self.inner.send_if_connected(self.author(), address, Payload::Tagged(tag, value)).await
    }

    /// Answers a `gen` call with the value of a [call](crate::ServedCall::apply), as [`reply`](Self::reply) does.
    pub fn reply_value(&self, to: &Caller, value: &RawTerm) {
        self.inner.reply_with(self.author(), to, Payload::Tagged(&to.tag, value));
    }

    /// Answers a `gen` call: [`Process::reply`].
    ///
    /// # Errors
    /// If the reply cannot be a term.
    pub fn reply(&self, to: &Caller, reply: &impl Serialize) -> Result<(), ReplyError> {
        self.inner.reply(self.author(), to, reply)
    }
}

impl fmt::Debug for ProcessSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProcessSender").field(self.pid()).finish()
    }
}
