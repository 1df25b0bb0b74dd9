use std::collections::VecDeque;

use super::Message;

/// How many messages a mailbox holds, and what happens to one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxPolicy {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of messages, about.
    pub bytes: usize,
    /// What happens when a message does not fit.
    pub overflow: Overflow,
}

/// What happens when a mailbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The process is ended with reason `mailbox_overflow`, as a BEAM process is by its `max_heap_size`: whoever
    /// is linked to it or monitors it learns of it, and no message is lost unnoticed.
    Exit,
    /// The connection that brings the message is not read until there is room. Nothing is lost, but all other
    /// traffic of that connection waits too.
    Wait,
    /// The message is dropped.
    Drop,
}

impl Default for MailboxPolicy {
    /// A million messages, 256 MiB; then the process ends.
    fn default() -> Self {
        Self { messages: 1_000_000, bytes: 256 << 20, overflow: Overflow::Exit }
    }
}

/// The messages that a process has not received yet.
#[derive(Debug)]
pub(crate) struct Mailbox {
    queue: VecDeque<Message>,
    bytes: usize,
    policy: MailboxPolicy,
}

impl Mailbox {
    pub(crate) fn new(policy: MailboxPolicy) -> Self {
        Self { queue: VecDeque::new(), bytes: 0, policy }
    }

    /// Adds a message; gives it back if the mailbox is full.
    pub(crate) fn push(&mut self, message: Message) -> Result<(), (Message, Overflow)> {
        let size = message.size();
        // A message larger than the whole mailbox is taken if it is alone, else it could never be received.
        let room = self.queue.len() < self.policy.messages && self.bytes + size <= self.policy.bytes;
        if !room && !self.queue.is_empty() {
            return Err((message, self.policy.overflow));
        }
        self.push_always(message);
        Ok(())
    }

    /// Adds a message that must not be lost: a signal that this node itself makes.
    pub(crate) fn push_always(&mut self, message: Message) {
        self.bytes += message.size();
        self.queue.push_back(message);
    }

    pub(crate) fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.size();
        Some(message)
    }

    pub(crate) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.bytes = 0;
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// About how many bytes its messages have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
