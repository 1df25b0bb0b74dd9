use peerl_proto::control::{Priority, ProcessId};
use peerl_term::{Atom, Pid, Reference};

use super::process::Monitored;

/// The receiver of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Address<'a> {
    Process(&'a Pid),
    /// The process that has this name on this node.
    Name(&'a Atom, &'a Atom),
    /// The process that has made this alias. It takes signals with priority if it has allowed that.
    Alias(&'a Reference, Priority),
}

impl<'a> Address<'a> {
    /// The node that the process is on.
    pub(crate) fn node(self) -> &'a Atom {
        match self {
            Self::Process(pid) => &pid.node,
            Self::Name(_, node) => node,
            Self::Alias(alias, _) => alias.node(),
        }
    }

    /// The process as monitors name it; an alias cannot be monitored.
    pub(crate) fn process_id(self) -> Option<ProcessId> {
        match self {
            Self::Process(pid) => Some(ProcessId::Pid(pid.clone())),
            Self::Name(name, _) => Some(ProcessId::Name(name.clone())),
            Self::Alias(..) => None,
        }
    }
}

impl<'a> From<&'a Monitored> for Address<'a> {
    fn from(object: &'a Monitored) -> Self {
        match object {
            Monitored::Process(pid) => Self::Process(pid),
            Monitored::Name(name, node) => Self::Name(name, node.as_atom()),
        }
    }
}
