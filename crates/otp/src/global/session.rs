use std::collections::BTreeMap;

use peerl_node::Lease;
use peerl_term::{Pid, Term};

use super::acquisition::Members;
use super::lock::LockId;
use super::message::Resolved;
use super::registration::{Operation, Registration};
use super::resolution::Resolution;

/// What two nodes of different partitions know of each other until their partitions are one.
#[derive(Debug)]
pub(super) struct Session {
    /// What this node calls it.
    pub(super) tag: i64,
    /// What is known of the other node, once it has asked for the session too.
    pub(super) peer: Option<Peer>,
    /// Both partitions are locked.
    pub(super) lock: Option<(LockId, Members)>,
    /// The names that were sent to the other node.
    pub(super) sent: BTreeMap<Term, Pid>,
    /// The names of the other partition, which have come before the lock was set here.
    pub(super) names: Option<(Vec<Registration>, Lease)>,
    /// What the names of the other partition take of the memory while they are compared, and until what is found is done.
    pub(super) lease: Option<Lease>,
    /// Names that both have are being looked at.
    pub(super) resolution: Option<Resolution>,
    /// What is to be done to the names here.
    pub(super) operations: Option<Vec<Operation>>,
    /// What the other node has found out, which has come before that was known here.
    pub(super) resolved: Option<(Resolved, Lease)>,
}

/// The other node of a session.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// What it calls the session.
    pub(super) tag: Term,
    pub(super) version: u32,
    pub(super) locker: Pid,
}

impl Session {
    pub(super) fn new(tag: i64) -> Self {
        Self {
            tag,
            peer: None,
            lock: None,
            sent: BTreeMap::new(),
            names: None,
            lease: None,
            resolution: None,
            operations: None,
            resolved: None,
        }
    }

    /// Whether a message is of this session.
    pub(super) fn is_tag(&self, tag: &Term) -> bool {
        *tag == Term::Integer(self.tag)
    }

    /// Whether the other node has asked for the session, and waits.
    pub(super) fn is_pending(&self) -> bool {
        self.peer.is_some()
    }
}
