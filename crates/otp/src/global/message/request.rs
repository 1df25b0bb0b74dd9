//! The calls that a server answers.

use peerl_term::{Atom, Term};

use super::each;
use crate::global::{LockId, Registration};

/// What a server is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Sets a lock here, for the process that calls.
    SetLock(LockId),
    /// Removes a lock of the process that calls.
    DelLock(LockId),
    /// Enters a name.
    Register(Registration),
    /// Enters a name of a process of a node without `global`, for the node that registers it.
    RegisterExternal(Registration, Atom),
    /// Removes a name.
    Unregister(Term),
    /// Waits until the names of these nodes are known.
    Sync(Vec<Atom>),
    /// Leaves the cluster.
    Disconnect,
    /// The nodes of the partition.
    Known,
    /// The nodes that have the same names.
    Synced,
    /// The version of the protocol.
    ProtocolVersion,
    /// The names of processes of nodes without `global`.
    ExternalNames,
    /// The state of the server.
    Info,
}

impl Request {
    /// The term that is sent.
    pub fn to_term(&self) -> Term {
        match self {
            Self::SetLock(id) => Term::tuple([Term::atom("set_lock"), id.to_term()]),
            Self::DelLock(id) => Term::tuple([Term::atom("del_lock"), id.to_term()]),
            Self::Register(Registration { name, pid, method }) => {
                Term::tuple([Term::atom("register"), name.clone(), pid.clone().into(), method.clone()])
            }
            Self::RegisterExternal(Registration { name, pid, method }, node) => Term::tuple([
                Term::atom("register_ext"),
                name.clone(),
                pid.clone().into(),
                method.clone(),
                node.clone().into(),
            ]),
            Self::Unregister(name) => Term::tuple([Term::atom("unregister"), name.clone()]),
            Self::Sync(nodes) => Term::tuple([Term::atom("sync"), Term::list(nodes.iter().cloned().map(Term::from))]),
            Self::Disconnect => Term::atom("disconnect"),
            Self::Known => Term::atom("get_known"),
            Self::Synced => Term::atom("get_synced"),
            Self::ProtocolVersion => Term::atom("get_protocol_version"),
            Self::ExternalNames => Term::atom("get_names_ext"),
            Self::Info => Term::atom("info"),
        }
    }

    pub(super) fn from_term(term: &Term) -> Option<Self> {
        if let Some(name) = term.as_atom() {
            return match name.as_str() {
                "disconnect" => Some(Self::Disconnect),
                "get_known" => Some(Self::Known),
                "get_synced" => Some(Self::Synced),
                "get_protocol_version" => Some(Self::ProtocolVersion),
                "get_names_ext" => Some(Self::ExternalNames),
                "info" => Some(Self::Info),
                _ => None,
            };
        }
        let (kind, rest) = term.as_tuple()?.split_first()?;
        match (kind.as_atom()?.as_str(), rest) {
            ("set_lock", [id]) => LockId::from_term(id).map(Self::SetLock),
            ("del_lock", [id]) => LockId::from_term(id).map(Self::DelLock),
            ("register", [name, pid, method]) => Some(Self::Register(registration(name, pid, method)?)),
            ("register_ext", [name, pid, method, node]) => {
                Some(Self::RegisterExternal(registration(name, pid, method)?, node.as_atom()?.clone()))
            }
            ("unregister", [name]) => Some(Self::Unregister(name.clone())),
            ("sync", [nodes]) => Some(Self::Sync(each(nodes, |node| node.as_atom().cloned())?)),
            _ => None,
        }
    }
}

fn registration(name: &Term, pid: &Term, method: &Term) -> Option<Registration> {
    Some(Registration { name: name.clone(), pid: pid.as_pid()?.clone(), method: method.clone() })
}

#[cfg(test)]
mod tests {
    use peerl_term::Pid;

    use super::*;

    #[test]
    fn come_back() {
        let pid = Pid { node: Atom::from_static("a@h"), id: 1, serial: 0, creation: 1 };
        let registration = Registration { name: Term::from("any"), pid, method: Term::atom("m") };
        let lock = LockId { resource: Term::atom("r"), requester: Term::from(1) };
        for request in [
            Request::SetLock(lock.clone()),
            Request::DelLock(lock),
            Request::Register(registration.clone()),
            Request::RegisterExternal(registration, Atom::from_static("a@h")),
            Request::Unregister(Term::from("any")),
            Request::Sync(vec![Atom::from_static("a@h")]),
            Request::Disconnect,
            Request::Known,
            Request::Synced,
            Request::ProtocolVersion,
            Request::ExternalNames,
            Request::Info,
        ] {
            assert_eq!(Request::from_term(&request.to_term()), Some(request));
        }
        assert_eq!(Request::from_term(&Term::tuple([Term::atom("registrar"), Term::nil()])), None);
    }
}
