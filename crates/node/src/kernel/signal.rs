use std::num::NonZeroU64;

use peerl_proto::control::TraceToken;
use peerl_term::{Atom, Pid, Reference};

use super::reason::Reason;

/// A signal of a process of this node to another process. Messages are apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal<'a> {
    Link,
    /// The sender ends the link.
    Unlink(NonZeroU64),
    /// The sender, which was linked, has ended; with its trace token.
    Exit(&'a Reason, Option<&'a TraceToken>),
    /// `exit(To, Reason)`.
    Exit2(&'a Reason),
    /// The process gets another group leader.
    GroupLeader(&'a Pid),
    Monitor(&'a Reference),
    Demonitor(&'a Reference),
    /// The sender, which was monitored, has ended. The monitor may have been made by the sender's name.
    Down {
        name: Option<&'a Atom>,
        reference: &'a Reference,
        reason: &'a Reason,
    },
}

/// The outcome of sending a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// It has been delivered, or is queued for the node that the process is on.
    Done,
    /// The node takes no such signals.
    NotOffered,
    /// The process was one of an earlier incarnation of the node.
    NoProcess,
    /// The node is not connected.
    Unreachable,
}
