use std::collections::VecDeque;
use std::sync::Arc;

use peerl_proto::control::Priority;

use super::debts::{Debtor, Debts};
use super::{Envelope, Message};
use crate::kernel::serving::PeerCalls;

/// The limits of a mailbox, and the effect of reaching them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxPolicy {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of messages, about.
    pub bytes: usize,
    /// The effect of a message that does not fit.
    pub overflow: Overflow,
}

/// The effect of a full mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// The process ends with reason `mailbox_overflow`, as a BEAM process does at its `max_heap_size`: linked and monitoring
    /// processes notice, so no message is lost silently.
    Exit,
    /// The connection that brings the message is not read until there is room (back-pressure). Nothing is lost, but the other
    /// traffic of that connection waits too (head-of-line blocking).
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
    queue: VecDeque<Waiting>,
    /// Older messages, which the receiver did not want yet.
    set_aside: VecDeque<Waiting>,
    /// So many messages at the front of the queue have come with priority.
    urgent: usize,
    bytes: usize,
    policy: MailboxPolicy,
    debts: Debts,
    /// The receiver asks who has sent a message.
    tells_senders: bool,
    /// A message was refused: since then, somebody may wait for room.
    has_refused: bool,
}

/// A message, and whose share its bytes are taken from.
#[derive(Debug)]
struct Waiting {
    envelope: Envelope,
    debtor: Debtor,
    sender: Option<Arc<PeerCalls>>,
}

/// The oldest message that is not set aside.
pub(crate) enum Next {
    /// It is wanted, and is taken with the peer that has sent it if that is to be told.
    Taken(Envelope, Option<Arc<PeerCalls>>),
    /// It is set aside now.
    SetAside,
    /// There is none.
    None,
}

impl Mailbox {
    /// So many bytes wait without being taken from the shares of their senders.
    const UNACCOUNTED: usize = 4 << 10;

    pub(crate) fn new(policy: MailboxPolicy) -> Self {
        Self {
            queue: VecDeque::new(),
            set_aside: VecDeque::new(),
            urgent: 0,
            bytes: 0,
            policy,
            debts: Debts::default(),
            tells_senders: false,
            has_refused: false,
        }
    }

    /// Whether somebody may wait for room.
    pub(crate) fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// From now on, messages tell which peer has sent them.
    pub(crate) fn tell_senders(&mut self) {
        self.tells_senders = true;
    }

    /// Adds a message, of this peer; returns it if the mailbox is full.
    pub(crate) fn push(
        &mut self,
        message: Envelope,
        priority: Priority,
        sender: Option<&Arc<PeerCalls>>,
    ) -> Result<(), (Envelope, Overflow)> {
        let size = message.size();
        // An empty mailbox accepts a message of any size; otherwise it could never be received.
        let room = self.len() < self.policy.messages && self.bytes + size <= self.policy.bytes;
        if !room && self.len() > 0 {
            let overflow = match self.policy.overflow {
                // Nobody makes room while messages are set aside, and behind this one may be that for which the receiver waits.
                Overflow::Wait if !self.set_aside.is_empty() => Overflow::Exit,
                overflow => overflow,
            };
            self.has_refused = true;
            return Err((message, overflow));
        }
        self.add(message, size, priority, sender);
        Ok(())
    }

    /// Adds a signal; signals are never lost.
    pub(crate) fn push_always(&mut self, envelope: Envelope, priority: Priority, sender: Option<&Arc<PeerCalls>>) {
        let size = envelope.size();
        self.add(envelope, size, priority, sender);
    }

    #[inline]
    fn add(&mut self, envelope: Envelope, size: usize, priority: Priority, sender: Option<&Arc<PeerCalls>>) {
        self.bytes += size;
        let told = sender.filter(|_| self.tells_senders).cloned();
        let mut message = Waiting { envelope, debtor: Debtor::default(), sender: told };
        if let Some(sender) = sender
            && self.bytes > Self::UNACCOUNTED
        {
            message.envelope.message.unshare();
            message.debtor = self.debts.add(&sender.memory, size - message.envelope.leased());
        }
        match priority {
            Priority::Ordinary => self.queue.push_back(message),
            // Behind those with priority that are there.
            Priority::High => {
                self.queue.insert(self.urgent, message);
                self.urgent += 1;
            }
        }
    }

    /// Whether so much waits that the process is to end: a signal is put into a full mailbox, too.
    pub(crate) fn is_exceeded(&self) -> bool {
        let MailboxPolicy { messages, bytes, overflow } = self.policy;
        overflow == Overflow::Exit && (self.len() > messages || self.bytes > bytes)
    }

    /// Takes the oldest message, and the peer that has sent it if that is to be told.
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<(Envelope, Option<Arc<PeerCalls>>)> {
        if !self.set_aside.is_empty() {
            self.restore();
        }
        self.pop_queued()
    }

    /// Takes the oldest message that is not set aside, if it is wanted, and sets it aside if not.
    pub(crate) fn pop_if(&mut self, wanted: impl FnOnce(&Message) -> bool) -> Next {
        let Some(oldest) = self.queue.front() else { return Next::None };
        if wanted(&oldest.envelope.message) {
            return self.pop_queued().map_or(Next::None, |(message, sender)| Next::Taken(message, sender));
        }
        self.urgent = self.urgent.saturating_sub(1);
        if let Some(mut message) = self.queue.pop_front() {
            if !message.debtor.is_somebody() {
                message.envelope.message.unshare();
            }
            self.set_aside.push_back(message);
        }
        Next::SetAside
    }

    /// Puts the messages that were set aside before those that came later, but for those with priority.
    fn restore(&mut self) {
        let later = self.queue.split_off(self.urgent);
        self.queue.append(&mut self.set_aside);
        self.queue.extend(later);
        self.set_aside = VecDeque::new();
    }

    #[inline]
    fn pop_queued(&mut self) -> Option<(Envelope, Option<Arc<PeerCalls>>)> {
        let message = self.queue.pop_front()?;
        self.urgent = self.urgent.saturating_sub(1);
        Some(self.taken(message))
    }

    /// Removes the oldest message like this, wherever it is.
    pub(crate) fn remove_first(&mut self, is_it: impl Fn(&Message) -> bool) {
        let place = |messages: &VecDeque<Waiting>| messages.iter().position(|waiting| is_it(&waiting.envelope.message));
        let removed = if let Some(place) = place(&self.set_aside) {
            self.set_aside.remove(place)
        } else if let Some(place) = place(&self.queue) {
            self.urgent -= usize::from(place < self.urgent);
            self.queue.remove(place)
        } else {
            None
        };
        if let Some(message) = removed {
            self.taken(message);
        }
    }

    /// A message that waits no longer.
    #[inline]
    fn taken(&mut self, message: Waiting) -> (Envelope, Option<Arc<PeerCalls>>) {
        let size = message.envelope.size();
        self.bytes -= size;
        if message.debtor.is_somebody() {
            self.debts.remove(message.debtor, size - message.envelope.leased());
        }
        (message.envelope, message.sender)
    }

    pub(crate) fn clear(&mut self) {
        self.queue = VecDeque::new();
        self.set_aside = VecDeque::new();
        self.urgent = 0;
        self.bytes = 0;
        self.debts = Debts::default();
    }

    /// The messages, the oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Message> {
        self.set_aside.iter().chain(&self.queue).map(|waiting| &waiting.envelope.message)
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.set_aside.len()
    }

    /// About how many bytes its messages have.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use peerl_term::{RawTerm, Term};

    use super::*;

    fn message(number: i64) -> Envelope {
        Message::User(RawTerm::encoded_from(&Term::from(number))).into()
    }

    fn number(envelope: Envelope) -> Term {
        envelope.message.into_term().unwrap()
    }

    #[test]
    fn what_is_set_aside_counts_and_comes_first_afterwards() {
        let policy = MailboxPolicy { messages: 4, overflow: Overflow::Wait, ..MailboxPolicy::default() };
        let mut mailbox = Mailbox::new(policy);
        let push = |mailbox: &mut Mailbox, number, priority| {
            mailbox.push(message(number), priority, None).map_err(|(_, how)| how)
        };
        for number in [1, 2] {
            push(&mut mailbox, number, Priority::Ordinary).unwrap();
            assert!(matches!(mailbox.pop_if(|_| false), Next::SetAside));
        }
        assert!(matches!(mailbox.pop_if(|_| true), Next::None));
        push(&mut mailbox, 3, Priority::Ordinary).unwrap();
        push(&mut mailbox, 4, Priority::Ordinary).unwrap();
        assert_eq!((mailbox.len(), mailbox.iter().count()), (4, 4));
        assert_eq!(push(&mut mailbox, 5, Priority::Ordinary), Err(Overflow::Exit), "nothing waits for room");
        let Next::Taken(taken, _) = mailbox.pop_if(|_| true) else { panic!("it is not set aside") };
        assert_eq!(number(taken), Term::from(3));
        push(&mut mailbox, 0, Priority::High).unwrap();
        for expected in [0, 1, 2, 4] {
            assert_eq!(number(mailbox.pop().unwrap().0), Term::from(expected));
        }
        assert_eq!((mailbox.len(), mailbox.bytes()), (0, 0));
    }

    #[test]
    fn what_is_removed_no_longer_counts() {
        let mut mailbox = Mailbox::new(MailboxPolicy::default());
        let push = |mailbox: &mut Mailbox, number, priority| mailbox.push(message(number), priority, None).unwrap();
        push(&mut mailbox, 1, Priority::Ordinary);
        assert!(matches!(mailbox.pop_if(|_| false), Next::SetAside));
        push(&mut mailbox, 2, Priority::Ordinary);
        push(&mut mailbox, 3, Priority::High);
        push(&mut mailbox, 4, Priority::High);
        let is = |number: i64| {
            let wanted = RawTerm::encoded_from(&Term::from(number));
            move |message: &Message| matches!(message, Message::User(term) if term.bytes() == wanted.bytes())
        };
        for number in [7, 1, 3] {
            mailbox.remove_first(is(number));
        }
        push(&mut mailbox, 5, Priority::High);
        for expected in [4, 5, 2] {
            assert_eq!(number(mailbox.pop().unwrap().0), Term::from(expected));
        }
        assert_eq!((mailbox.len(), mailbox.bytes(), mailbox.urgent), (0, 0, 0));
    }
}
