use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, Pid};

use crate::kernel::address::Address;
use crate::kernel::identity::Identity;

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// A process.
    Process(Pid),
    /// The process that has this name on this node.
    Name(Atom),
    /// The process that has this name on another node.
    Remote(Atom, NodeName),
}

impl Destination {
    pub(crate) fn address<'a>(&'a self, identity: &'a Identity) -> Address<'a> {
        match self {
            Self::Process(pid) => Address::Process(pid),
            Self::Name(name) => Address::Name(name, &identity.atom),
            Self::Remote(name, node) => Address::Name(name, node.as_atom()),
        }
    }
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Process(pid)
    }
}

impl From<&Pid> for Destination {
    fn from(pid: &Pid) -> Self {
        Self::Process(pid.clone())
    }
}

impl From<(Atom, NodeName)> for Destination {
    fn from((name, node): (Atom, NodeName)) -> Self {
        Self::Remote(name, node)
    }
}

impl From<(&'static str, &NodeName)> for Destination {
    fn from((name, node): (&'static str, &NodeName)) -> Self {
        Self::Remote(Atom::from_static(name), node.clone())
    }
}
