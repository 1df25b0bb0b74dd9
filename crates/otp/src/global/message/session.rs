//! The messages by which two partitions meet, in the order in which they are sent.

use peerl_term::{Atom, Map, Pid, Term};

use super::each;
use super::membership::KnownNode;
use crate::global::{ExternalName, Operation, Registration};

/// `{Version, Tag}`: the sender's version of the protocol, and its tag of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The version.
    pub version: u32,
    /// The tag, which the receiver names in its answers.
    pub tag: Term,
}

/// `{init_connect, {Version, Tag}, Node, {locker, no_longer_a_pid, Known, Locker}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitConnect {
    /// The version and the sender's tag. A later version may have more elements.
    pub version: Version,
    /// The sender.
    pub node: Atom,
    /// The sender's locker.
    pub locker: Pid,
}

impl InitConnect {
    pub(super) fn to_term(&self) -> Term {
        let version = Term::tuple([Term::from(self.version.version), self.version.tag.clone()]);
        // No receiver looks at the nodes that the sender knows.
        let known = Map::default().into();
        let locker =
            Term::tuple([Term::atom("locker"), Term::atom("no_longer_a_pid"), known, self.locker.clone().into()]);
        Term::tuple([Term::atom("init_connect"), version, self.node.clone().into(), locker])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [version, node, locker] = parts else { return None };
        let [version, tag, ..] = version.as_tuple()? else { return None };
        let version = u32::try_from(version.as_integer()?).ok()?;
        let [_, _, _, locker] = locker.as_tuple()? else { return None };
        Some(Self {
            version: Version { version, tag: tag.clone() },
            node: node.as_atom()?.clone(),
            locker: locker.as_pid()?.clone(),
        })
    }
}

/// `{init_connect_ack, Node, TagOfReceiver, TagOfSender}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitConnectAck {
    /// The sender.
    pub node: Atom,
    /// The receiver's tag.
    pub to: Term,
    /// The sender's tag.
    pub from: Term,
}

impl InitConnectAck {
    pub(super) fn to_term(&self) -> Term {
        let kind = Term::atom("init_connect_ack");
        Term::tuple([kind, self.node.clone().into(), self.to.clone(), self.from.clone()])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [node, to, from] = parts else { return None };
        Some(Self { node: node.as_atom()?.clone(), to: to.clone(), from: from.clone() })
    }
}

/// `{lock_set, Locker, IsSet, Known, Tag}`; without the tag, in versions before 8 and from a locker that knows of no session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockSet {
    /// The sender's locker.
    pub locker: Pid,
    /// Whether the sender's partition is locked.
    pub is_set: bool,
    /// The nodes of the sender's partition.
    pub known: Vec<Atom>,
    /// The receiver's tag.
    pub tag: Option<Term>,
}

impl LockSet {
    /// The message itself, as it is sent to the locker of a node with which there is no session.
    pub fn to_term(&self) -> Term {
        let known = Term::list(self.known.iter().cloned().map(Term::from));
        let parts = [Term::atom("lock_set"), self.locker.clone().into(), Term::from(self.is_set), known];
        Term::tuple(parts.into_iter().chain(self.tag.clone()))
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let (locker, is_set, known, tag) = match parts {
            [locker, is_set, known] => (locker, is_set, known, None),
            [locker, is_set, known, tag] => (locker, is_set, known, Some(tag.clone())),
            _ => return None,
        };
        // Nobody looks at the nodes.
        let known = each(known, |node| node.as_atom().cloned()).unwrap_or_default();
        Some(Self { locker: locker.as_pid()?.clone(), is_set: is_set.is_atom("true"), known, tag })
    }
}

/// `{exchange, Node, Names, [], Tag}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The sender.
    pub node: Atom,
    /// All names of its partition.
    pub names: Vec<Registration>,
    /// The receiver's tag.
    pub tag: Term,
}

impl Exchange {
    /// About how many bytes of memory its names take.
    pub(in crate::global) fn memory(&self) -> usize {
        self.names.iter().map(Registration::memory).sum()
    }

    pub(super) fn to_term(&self) -> Term {
        let names = Term::list(self.names.iter().map(Registration::to_term));
        Term::tuple([Term::atom("exchange"), self.node.clone().into(), names, Term::nil(), self.tag.clone()])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [node, names, _, tag] = parts else { return None };
        let names = each(names, Registration::from_term)?;
        Some(Self { node: node.as_atom()?.clone(), names, tag: tag.clone() })
    }
}

/// `{resolved, Node, Operations, Known, unused, ExternalNames, Tag}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The sender.
    pub node: Atom,
    /// What is to become of names that both partitions had.
    pub operations: Vec<Operation>,
    /// The nodes of the sender's partition.
    pub known: Vec<KnownNode>,
    /// Names of processes of nodes without `global`.
    pub external: Vec<ExternalName>,
    /// The receiver's tag.
    pub tag: Term,
}

impl Resolved {
    /// About how many bytes of memory it takes.
    pub(in crate::global) fn memory(&self) -> usize {
        let operations = self.operations.iter().map(Operation::memory);
        let external = self.external.iter().map(ExternalName::memory);
        operations.chain(external).chain(self.known.iter().map(KnownNode::memory)).sum()
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([
            Term::atom("resolved"),
            self.node.clone().into(),
            Term::list(self.operations.iter().map(Operation::to_term)),
            Term::list(self.known.iter().map(KnownNode::to_term)),
            Term::atom("unused"),
            Term::list(self.external.iter().map(ExternalName::to_term)),
            self.tag.clone(),
        ])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [node, operations, known, _, external, tag] = parts else { return None };
        Some(Self {
            node: node.as_atom()?.clone(),
            operations: each(operations, Operation::from_term)?,
            known: each(known, KnownNode::from_term)?,
            external: each(external, ExternalName::from_term)?,
            tag: tag.clone(),
        })
    }
}
