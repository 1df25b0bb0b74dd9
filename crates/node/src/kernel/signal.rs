use std::num::NonZeroU64;

use peerl_term::{Atom, Reference};

use super::reason::Reason;

/// What a process of this node does to another process, apart from sending it a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal<'a> {
    Link,
    /// The link is no more.
    Unlink(NonZeroU64),
    /// The sender, which was linked, has ended.
    Exit(&'a Reason),
    /// `exit(To, Reason)`.
    Exit2(&'a Reason),
    Monitor(&'a Reference),
    Demonitor(&'a Reference),
    /// The sender, which was monitored, has ended. The monitor may have been made by the sender's name.
    Down {
        name: Option<&'a Atom>,
        reference: &'a Reference,
        reason: &'a Reason,
    },
}

/// What has become of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Delivery {
    /// It has been delivered, or is queued for the node that the process is on.
    Done,
    /// The node takes no such signals.
    NotOffered,
    /// The node is not connected.
    Unreachable,
}
