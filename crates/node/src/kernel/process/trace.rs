//! The sequential trace of a process: the token of the last message is sent with the process' own messages.
//!
//! Erlang docs: module `seq_trace` of kernel.

use peerl_proto::control::TraceToken;
use peerl_term::Pid;

use super::Message;

/// A message on its way into a mailbox, with its sequential trace token if it has one.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) message: Message,
    pub(crate) token: Option<Box<TraceToken>>,
}

impl From<Message> for Envelope {
    fn from(message: Message) -> Self {
        Self { message, token: None }
    }
}

impl Envelope {
    /// About how many bytes of memory it takes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        let token = self.token.as_ref().map_or(0, |token| token.memory());
        self.message.size() + token
    }

    /// The part of that which a lease covers.
    #[inline]
    pub(super) fn leased(&self) -> usize {
        self.message.large_payload().map_or(0, |payload| payload.bytes().len())
    }
}

/// The sequential trace of a process that has received a token.
#[derive(Debug)]
pub(crate) struct SequentialTrace {
    token: Option<TraceToken>,
    /// The greatest number that a message of the process has had, sent or received.
    clock: i64,
    /// The number of the message that was received last.
    received: i64,
}

impl SequentialTrace {
    /// The trace of a process that receives its first token.
    pub(super) fn begun(token: TraceToken) -> Self {
        let (clock, received) = (token.serial, token.serial);
        Self { token: Some(token), clock, received }
    }

    /// The process receives a message with a token.
    pub(super) fn receive(&mut self, token: TraceToken) {
        self.received = token.serial;
        self.clock = self.clock.max(token.serial);
        self.token = Some(token);
    }

    /// The process receives a message without a token.
    pub(super) fn end(&mut self) {
        self.token = None;
    }

    /// Whether what the process sends has a token.
    pub(super) fn is_active(&self) -> bool {
        self.token.is_some()
    }

    /// The token of the next message of the process.
    pub(crate) fn next(&mut self, process: &Pid) -> Option<TraceToken> {
        let token = self.token.as_ref()?;
        if self.clock >= TraceToken::GREATEST {
            return None;
        }
        self.clock += 1;
        let (serial, previous) = (self.clock, self.received);
        Some(TraceToken { serial, previous, from: process.clone().into(), ..token.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use peerl_proto::control::Label;
    use peerl_term::{Atom, Term};

    fn token(serial: i64) -> TraceToken {
        TraceToken {
            flags: 3,
            label: Label::new(&Term::from(17)).unwrap(),
            serial,
            from: Term::atom("b@h"),
            previous: 0,
        }
    }

    /// As a BEAM process numbers its messages.
    #[test]
    fn numbers_of_a_sequence() {
        let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 9 };
        let mut trace = SequentialTrace::begun(token(4));
        let numbers = |trace: &mut SequentialTrace| trace.next(&pid).map(|token| (token.previous, token.serial));
        assert_eq!(numbers(&mut trace), Some((4, 5)));
        assert_eq!(numbers(&mut trace), Some((4, 6)));
        // A message of an older part of the sequence.
        trace.receive(token(2));
        assert_eq!(numbers(&mut trace), Some((2, 7)));
        trace.end();
        assert_eq!(numbers(&mut trace), None);
        trace.receive(token(TraceToken::GREATEST));
        assert_eq!(numbers(&mut trace), None, "no greater number is sent");
        let sent = SequentialTrace::begun(token(1)).next(&pid).unwrap();
        assert_eq!((sent.flags, sent.label.term(), sent.from), (3, Term::from(17), pid.into()));
    }
}
