use peerl_proto::connection::LARGE;
use peerl_proto::node_name::NodeName;
use peerl_term::{Atom, DecodeError, Pid, RawTerm, Reference, Term};

use crate::kernel::event::{ConnectionId, NodeDownReason, Visibility};

/// An entry of a mailbox.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Message {
    /// A message that another process has sent. The receiver decodes it.
    User(RawTerm),
    /// A linked process has ended, or another has sent an exit signal; only if this one
    /// [traps exits](crate::Process::trap_exit).
    Exit(Box<Exit>),
    /// A monitored process has ended, or was not there, or cannot be reached any more.
    Down(Box<Down>),
    /// A node has been connected; only if this process [monitors nodes](crate::Process::monitor_nodes).
    NodeUp(Box<NodeUp>),
    /// A node is connected no longer; only if this process [monitors nodes](crate::Process::monitor_nodes).
    NodeDown(Box<NodeDown>),
}

/// A node that has been connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUp {
    /// Its name.
    pub node: NodeName,
    /// Whether the connection shows in `nodes()`.
    pub visibility: Visibility,
    /// The connection.
    pub connection: ConnectionId,
}

/// A node that is connected no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDown {
    /// Its name.
    pub node: NodeName,
    /// Why.
    pub reason: NodeDownReason,
    /// The connection that has ended.
    pub connection: ConnectionId,
}

/// An exit signal that was trapped.
#[derive(Debug, Clone)]
pub struct Exit {
    /// The process that ended or sent the signal.
    pub from: Pid,
    /// The exit reason.
    pub reason: RawTerm,
}

/// The end of something that was monitored.
#[derive(Debug, Clone)]
pub struct Down {
    /// The monitor.
    pub reference: Reference,
    /// What was monitored.
    pub object: Monitored,
    /// The exit reason; `noproc` if it was not there, `noconnection` if it cannot be reached.
    pub reason: RawTerm,
}

impl Message {
    /// The message as the term that a BEAM process would have received.
    ///
    /// # Errors
    /// If what was sent is malformed.
    pub fn into_term(self) -> Result<Term, DecodeError> {
        Ok(match self {
            Self::User(payload) => payload.decode()?,
            Self::Exit(exit) => Term::tuple([Term::atom("EXIT"), exit.from.into(), exit.reason.decode()?]),
            Self::Down(down) => {
                let Down { reference, object, reason } = *down;
                let object = match object {
                    Monitored::Process(pid) => pid.into(),
                    Monitored::Name(name, node) => {
                        Term::tuple([name.into(), Atom::new(node.as_str()).map_or_else(|_| Term::nil(), Term::from)])
                    }
                };
                Term::tuple([Term::atom("DOWN"), reference.into(), Term::atom("process"), object, reason.decode()?])
            }
            Self::NodeUp(up) => Term::tuple([Term::atom("nodeup"), up.node.as_atom().clone().into()]),
            Self::NodeDown(down) => Term::tuple([Term::atom("nodedown"), down.node.as_atom().clone().into()]),
        })
    }

    /// About how many bytes of memory the message takes.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        let boxed = match self {
            Self::User(_) => 0,
            Self::Exit(_) => size_of::<Exit>(),
            Self::Down(_) => size_of::<Down>(),
            Self::NodeUp(up) => size_of::<NodeUp>() + up.node.as_str().len(),
            Self::NodeDown(down) => size_of::<NodeDown>() + down.node.as_str().len(),
        };
        size_of::<Self>() + boxed + self.payload().map_or(0, |payload| payload.bytes().len())
    }

    /// The term that the message carries, as it was sent.
    pub(crate) fn payload(&self) -> Option<&RawTerm> {
        match self {
            Self::User(payload) => Some(payload),
            Self::Exit(exit) => Some(&exit.reason),
            Self::Down(down) => Some(&down.reason),
            Self::NodeUp(_) | Self::NodeDown(_) => None,
        }
    }

    /// The term that the message carries, if it is large: then it holds a lease if a peer has sent it.
    pub(crate) fn large_payload(&self) -> Option<&RawTerm> {
        self.payload().filter(|payload| payload.bytes().len() > LARGE)
    }

    /// A payload for a mailbox, where it may stay for long. A small one is copied out of the read buffer, which may be a thousand
    /// times as large and is not counted by the mailbox's limit; the mailbox does so with [larger](Self::unshare) ones.
    pub(crate) fn of_peer(payload: RawTerm) -> Self {
        Self::User(if payload.bytes().len() < Self::SMALL { payload.unshared() } else { payload })
    }

    /// The payload of a smaller message has memory of its own.
    const SMALL: usize = 4 << 10;

    /// Copies a term that is neither small nor large out of the read buffer, which may be much larger.
    #[inline]
    pub(super) fn unshare(&mut self) {
        let payload = match self {
            Self::User(payload) if payload.bytes().len() < Self::SMALL => return,
            Self::User(payload) => payload,
            Self::Exit(exit) => &mut exit.reason,
            Self::Down(down) => &mut down.reason,
            Self::NodeUp(_) | Self::NodeDown(_) => return,
        };
        if payload.bytes().len() <= LARGE {
            *payload = payload.clone().unshared();
        }
    }
}

/// The target of a monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Monitored {
    /// A process.
    Process(Pid),
    /// The process that had this name on this node when the monitor was made.
    Name(Atom, NodeName),
}
