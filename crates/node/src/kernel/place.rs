use std::sync::Arc;

use peerl_term::{Pid, Reference};

use super::address::Address;
use super::connection::Connection;
use super::process::{Core, Tie};
use super::state::Kernel;

/// Where a process is.
pub(crate) enum Place {
    /// On this node, if it lives.
    Here(Option<Arc<Core>>),
    /// On a node that is connected.
    Connected(Arc<Connection>),
    /// On a node that is not connected.
    Unconnected,
}

impl Place {
    /// The tie of a process of this node with the connection to the other process; none, if that has ended.
    pub(super) fn tie(&self, process: &Pid) -> Option<Tie> {
        match self {
            Self::Connected(connection) => connection.ties.tie(process),
            Self::Here(_) | Self::Unconnected => None,
        }
    }
}

impl Kernel {
    /// The only place that decides whether a process is here or on a connected node.
    pub(crate) fn place(&self, address: Address<'_>) -> Place {
        match address {
            Address::Process(pid) if self.identity.is_own(&pid.node) => return Place::Here(self.process(pid)),
            Address::Name(name, node) if *node == self.identity.atom => {
                return Place::Here(self.processes.whereis(name));
            }
            Address::Alias(alias, _) if self.identity.is_own(alias.node()) => {
                return Place::Here(self.process_of_alias(alias));
            }
            _ => {}
        }
        self.connections.get(address.node()).map_or(Place::Unconnected, Place::Connected)
    }

    /// The process with this pid, if it is one of this node and lives.
    pub(crate) fn process(&self, pid: &Pid) -> Option<Arc<Core>> {
        self.processes.get(&self.identity, pid)
    }

    /// The process that has this alias, if it lives and the alias is one of this node.
    pub(crate) fn process_of_alias(&self, alias: &Reference) -> Option<Arc<Core>> {
        self.processes.of_alias(self.identity.reference_number(alias)?)
    }
}
