//! Which connection stays when two nodes make several attempts.
//!
//! Two nodes may connect to each other at the same moment. A node may also come back while its peer has not yet
//! noticed that the old connection broke. A [`PeerSlot`] tracks the attempts with one peer and answers like OTP's
//! `net_kernel`:
//!
//! - This node's attempt is pending and the peer connects: the node with the greater name keeps its own attempt
//!   (`nok`), the other drops its own (`ok_simultaneous`).
//! - The connection is up and the peer connects: the peer is asked (`alive`) whether the new connection replaces it.
//! - Another attempt arrives while one is replacing the connection: it is closed without an answer.
//!
//! Erlang docs: *Distribution Protocol*, section "Distribution Handshake", steps 3 and 4.

use crate::node_name::NodeName;

/// The identity of a connection or attempt; the driver never reuses one for the same peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// The attempts and the connection with one peer.
#[derive(Clone, Debug, Default)]
pub struct PeerSlot {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    /// This node dialled.
    Outgoing(AttemptId),
    /// This node dialled and was told to wait for the peer's own attempt.
    Awaiting(AttemptId),
    /// The peer dialled.
    Incoming(AttemptId),
    /// The connection is up; a new one may be about to replace it.
    Up { connection: AttemptId, replacing: Option<AttemptId> },
}

/// What to do when this node wants a connection to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum DialVerdict {
    /// Dial.
    Dial,
    /// An attempt is pending; share its outcome.
    Wait(AttemptId),
    /// The connection is up.
    Up(AttemptId),
}

/// How to answer a peer that connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CallVerdict {
    /// [`accept`](super::acceptor::NamedInitiator::accept). An older pending attempt of the peer is dead.
    Accept {
        /// The peer's older attempt, to be dropped.
        stale: Option<AttemptId>,
    },
    /// [`accept_simultaneous`](super::acceptor::NamedInitiator::accept_simultaneous), and drop this node's attempt.
    AcceptSimultaneous {
        /// This node's attempt.
        ours: AttemptId,
    },
    /// [`yield_to_ours`](super::acceptor::NamedInitiator::yield_to_ours).
    Yield,
    /// [`ask_alive`](super::acceptor::NamedInitiator::ask_alive).
    AskAlive,
    /// Close without an answer.
    Close,
}

/// What to do after a successful handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum UpVerdict {
    /// The connection is up.
    Up,
    /// The connection is up. End the old one first (its `nodedown` precedes the new `nodeup`), and only then send the
    /// acknowledgement.
    Replaces(AttemptId),
    /// Another attempt has replaced this one: close it.
    Superseded,
}

impl PeerSlot {
    /// A slot without connection or attempt.
    pub fn new() -> Self {
        PeerSlot::default()
    }

    /// This node wants a connection; `attempt` is the identity for dialling.
    pub fn dial(&mut self, attempt: AttemptId) -> DialVerdict {
        match self.state {
            State::Idle => {
                self.state = State::Outgoing(attempt);
                DialVerdict::Dial
            }
            State::Outgoing(pending) | State::Awaiting(pending) | State::Incoming(pending) => {
                DialVerdict::Wait(pending)
            }
            State::Up { connection, .. } => DialVerdict::Up(connection),
        }
    }

    /// The peer `theirs` has connected to this node, `ours`, as `attempt`.
    pub fn call(&mut self, attempt: AttemptId, ours: &NodeName, theirs: &NodeName) -> CallVerdict {
        match self.state {
            State::Idle | State::Awaiting(_) => {
                self.state = State::Incoming(attempt);
                CallVerdict::Accept { stale: None }
            }
            State::Incoming(stale) => {
                self.state = State::Incoming(attempt);
                CallVerdict::Accept { stale: Some(stale) }
            }
            State::Outgoing(_) if ours > theirs => CallVerdict::Yield,
            State::Outgoing(pending) => {
                self.state = State::Incoming(attempt);
                CallVerdict::AcceptSimultaneous { ours: pending }
            }
            State::Up { replacing: Some(_), .. } => CallVerdict::Close,
            State::Up { connection, replacing: None } => {
                self.state = State::Up { connection, replacing: Some(attempt) };
                CallVerdict::AskAlive
            }
        }
    }

    /// Our attempt was answered `nok`: it is over, and the peer's own attempt is on its way. If that does not arrive
    /// within the set-up time, the driver calls [`closed`](Self::closed) for the same `attempt`.
    pub fn yielded(&mut self, attempt: AttemptId) {
        if self.state == State::Outgoing(attempt) {
            self.state = State::Awaiting(attempt);
        }
    }

    /// Our attempt was answered `alive`: whether to [`replace`](super::initiator::AnswerAlive::replace) the
    /// connection that the peer considers up. Yes, unless a better one exists by now.
    pub fn replaces(&self, attempt: AttemptId) -> bool {
        self.state == State::Outgoing(attempt)
    }

    /// The handshake of `attempt` has succeeded.
    pub fn established(&mut self, attempt: AttemptId) -> UpVerdict {
        match self.state {
            State::Outgoing(pending) | State::Incoming(pending) if pending == attempt => {
                self.state = State::Up { connection: attempt, replacing: None };
                UpVerdict::Up
            }
            State::Up { connection, replacing: Some(new) } if new == attempt => {
                self.state = State::Up { connection: attempt, replacing: None };
                UpVerdict::Replaces(connection)
            }
            _ => UpVerdict::Superseded,
        }
    }

    /// The connection or attempt has ended, for any reason.
    pub fn closed(&mut self, attempt: AttemptId) {
        self.state = match self.state {
            State::Outgoing(pending) | State::Awaiting(pending) | State::Incoming(pending) if pending == attempt => {
                State::Idle
            }
            // Its replacement can now simply connect.
            State::Up { connection, replacing } if connection == attempt => {
                replacing.map_or(State::Idle, State::Incoming)
            }
            State::Up { connection, replacing: Some(new) } if new == attempt => {
                State::Up { connection, replacing: None }
            }
            other => other,
        };
    }

    /// The connection that is up, if any.
    pub fn up(&self) -> Option<AttemptId> {
        match self.state {
            State::Up { connection, .. } => Some(connection),
            _ => None,
        }
    }

    /// Whether the slot is empty and can be removed.
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::name;

    const ONE: AttemptId = AttemptId(1);
    const TWO: AttemptId = AttemptId(2);
    const THREE: AttemptId = AttemptId(3);

    #[test]
    fn the_greater_name_insists() {
        let (a, b) = (name("a@h"), name("b@h"));
        let mut at_b = PeerSlot::new();
        assert_eq!(at_b.dial(ONE), DialVerdict::Dial);
        assert_eq!(at_b.call(TWO, &b, &a), CallVerdict::Yield);
        at_b.closed(TWO);
        assert_eq!(at_b.established(ONE), UpVerdict::Up);

        let mut at_a = PeerSlot::new();
        assert_eq!(at_a.dial(ONE), DialVerdict::Dial);
        assert_eq!(at_a.call(TWO, &a, &b), CallVerdict::AcceptSimultaneous { ours: ONE });
        at_a.yielded(ONE);
        at_a.closed(ONE);
        assert_eq!(at_a.established(TWO), UpVerdict::Up);
        assert_eq!(at_a.up(), Some(TWO));
    }

    #[test]
    fn after_nok_the_peer_comes_or_not() {
        let (a, b) = (name("a@h"), name("b@h"));
        let mut slot = PeerSlot::new();
        let _ = slot.dial(ONE);
        slot.yielded(ONE);
        assert_eq!(slot.dial(TWO), DialVerdict::Wait(ONE));
        assert_eq!(slot.call(THREE, &a, &b), CallVerdict::Accept { stale: None });
        slot.closed(ONE);
        assert!(!slot.is_idle());

        let mut slot = PeerSlot::new();
        let _ = slot.dial(ONE);
        slot.yielded(ONE);
        slot.closed(ONE);
        assert!(slot.is_idle());
    }

    #[test]
    fn a_peer_that_comes_back() {
        let (a, b) = (name("a@h"), name("b@h"));
        let mut slot = PeerSlot::new();
        let _ = slot.call(ONE, &a, &b);
        assert_eq!(slot.established(ONE), UpVerdict::Up);
        assert_eq!(slot.call(TWO, &a, &b), CallVerdict::AskAlive);
        assert_eq!(slot.call(THREE, &a, &b), CallVerdict::Close);
        assert_eq!(slot.established(TWO), UpVerdict::Replaces(ONE));
        slot.closed(ONE);
        assert_eq!(slot.up(), Some(TWO));
        slot.closed(TWO);
        assert!(slot.is_idle());
    }

    #[test]
    fn the_old_connection_breaks_while_it_is_replaced() {
        let (a, b) = (name("a@h"), name("b@h"));
        let mut slot = PeerSlot::new();
        let _ = slot.call(ONE, &a, &b);
        let _ = slot.established(ONE);
        let _ = slot.call(TWO, &a, &b);
        slot.closed(ONE);
        assert_eq!(slot.up(), None);
        assert_eq!(slot.established(TWO), UpVerdict::Up);
    }

    #[test]
    fn the_answer_to_alive() {
        let (a, b) = (name("a@h"), name("b@h"));
        let mut slot = PeerSlot::new();
        let _ = slot.dial(ONE);
        assert!(slot.replaces(ONE));
        let _ = slot.call(TWO, &a, &b);
        let _ = slot.established(TWO);
        assert!(!slot.replaces(ONE));
        assert_eq!(slot.established(ONE), UpVerdict::Superseded);
    }
}
