use peerl_node::Visibility;
use peerl_term::{Atom, Term};

use super::ids::{CallId, MonitorId, RequestId, ResolutionId};
use super::message::Received;
use super::registration::Registration;

/// What happens to a [`State`](super::State).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A node is connected. Its messages come later.
    NodeUp(Atom, Visibility),
    /// A node is connected no longer. Its messages, and the [`Down`](Self::Down) of its processes, have come before.
    NodeDown(Atom, LinkEnd),
    /// A connection could not be made.
    ConnectFailed(Atom),
    /// The server has got a call or another message from a process of this node.
    Received(Atom, Box<Received>),
    /// A call was answered; nothing if the called server has ended or cannot be reached.
    Answered(CallId, Option<Term>),
    /// A monitored process has ended, or cannot be reached any more.
    Down(MonitorId),
    /// A resolve function has returned; nothing if it could not be called.
    Returned(ResolutionId, Option<Term>),
    /// This node itself wants something.
    Request(RequestId, LocalRequest),
    /// Nobody waits any more for the answer to a request of this node.
    GivenUp(RequestId),
    /// The time of [`State::deadline`](super::State::deadline) has come.
    Timeout,
}

/// Who has ended a connection. In all cases this node tells nobody, because all would part with the other end; that end tells
/// them, and they part with this node. If it does not, this node leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// The other end, or something between.
    Peer,
    /// This node.
    Own,
    /// This node, since nothing came any more; the others may find out later.
    Silence,
}

/// What this node itself wants.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LocalRequest {
    /// Registers a name at all nodes: `yes`, or `no` if it is taken, or the process has another one.
    Register(Registration),
    /// Registers a name at all nodes, even if another process has it: `yes`.
    ReRegister(Registration),
    /// Removes a name at all nodes: `ok`.
    Unregister(Term),
    /// The pid that has a name, or `undefined`.
    Whereis(Term),
    /// The list of all names.
    RegisteredNames,
    /// About how many bytes of memory that list takes, as it is and encoded.
    NamesMemory,
    /// `ok` when the names of these nodes, or of all that are connected, are known.
    Sync(Option<Vec<Atom>>),
    /// Leaves the cluster: the list of nodes with which it was connected.
    Disconnect,
    /// The server's state, as that of OTP 25 shows it.
    Info,
    /// What a resolve function of this node says to `Name`, `Pid1`, `Pid2`.
    Resolve([Term; 4]),
}

impl LocalRequest {
    /// Whether it is about one name, whatever else there is.
    pub(super) fn is_about_one(&self) -> bool {
        !matches!(self, Self::RegisteredNames | Self::Sync(_) | Self::Disconnect | Self::Info)
    }
}
