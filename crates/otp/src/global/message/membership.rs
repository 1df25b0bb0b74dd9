//! The messages about who belongs to a partition.

use peerl_term::{Atom, Term};

use super::each;
use crate::global::{ExternalName, LockId, Operation};

/// `{Node, Version}`: a member of a partition, and the version of the protocol that it has. Versions before 7 name the node
/// alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownNode {
    /// The node.
    pub node: Atom,
    /// Its version; 0 if it is not known.
    pub version: u32,
}

impl KnownNode {
    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        64 + self.node.as_str().len()
    }

    pub(super) fn to_term(&self) -> Term {
        Term::tuple([self.node.clone().into(), Term::from(self.version)])
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        if let Some(node) = term.as_atom() {
            return Some(Self { node: node.clone(), version: 0 });
        }
        let [node, version] = term.as_tuple()? else { return None };
        Some(Self { node: node.as_atom()?.clone(), version: u32::try_from(version.as_integer()?).ok()? })
    }
}

/// `{new_nodes, Node, Operations, ExternalNames, Nodes, [{vsn, Version}, {lock, LockId}]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNodes {
    /// The sender.
    pub node: Atom,
    /// What becomes of names.
    pub operations: Vec<Operation>,
    /// Names of processes of nodes without `global`.
    pub external: Vec<ExternalName>,
    /// Those that have joined.
    pub nodes: Vec<KnownNode>,
    /// The version of the session by which they have joined.
    pub version: u32,
    /// The lock under which that was.
    pub lock: Option<LockId>,
}

impl NewNodes {
    pub(super) fn to_term(&self) -> Term {
        let version = Term::tuple([Term::atom("vsn"), Term::from(self.version)]);
        let lock = self.lock.as_ref().map(|lock| Term::tuple([Term::atom("lock"), lock.to_term()]));
        Term::tuple([
            Term::atom("new_nodes"),
            self.node.clone().into(),
            Term::list(self.operations.iter().map(Operation::to_term)),
            Term::list(self.external.iter().map(ExternalName::to_term)),
            Term::list(self.nodes.iter().map(KnownNode::to_term)),
            Term::list([version].into_iter().chain(lock)),
        ])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [node, operations, external, nodes, extra] = parts else { return None };
        let extra = |key: &str| {
            extra.as_list()?.iter().find_map(|pair| match pair.as_tuple()? {
                [name, value] if name.is_atom(key) => Some(value),
                _ => None,
            })
        };
        Some(Self {
            node: node.as_atom()?.clone(),
            operations: each(operations, Operation::from_term)?,
            external: each(external, ExternalName::from_term)?,
            nodes: each(nodes, KnownNode::from_term)?,
            version: extra("vsn").and_then(Term::as_integer).and_then(|version| version.try_into().ok()).unwrap_or(0),
            lock: extra("lock").and_then(LockId::from_term),
        })
    }
}

/// `{lost_connection, Node, Incarnation, Operation, Lost}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostConnection {
    /// The node that has lost the connection.
    pub node: Atom,
    /// What names its incarnation.
    pub incarnation: i64,
    /// Grows with each loss.
    pub operation: i64,
    /// The node at the other end.
    pub lost: Atom,
}

impl LostConnection {
    pub(super) fn to_term(&self) -> Term {
        Term::tuple([
            Term::atom("lost_connection"),
            self.node.clone().into(),
            Term::from(self.incarnation),
            Term::from(self.operation),
            self.lost.clone().into(),
        ])
    }

    pub(super) fn from_parts(parts: &[Term]) -> Option<Self> {
        let [node, incarnation, operation, lost] = parts else { return None };
        Some(Self {
            node: node.as_atom()?.clone(),
            incarnation: incarnation.as_integer()?,
            operation: operation.as_integer()?,
            lost: lost.as_atom()?.clone(),
        })
    }
}
