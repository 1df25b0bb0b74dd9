//! Control messages: what nodes tell each other about processes.
//!
//! A control message is a tuple whose first element is the operation; some are followed by a second term, the
//! payload. Each has its file here, named as in the Erlang docs: *Distribution Protocol*, section "Protocol Messages"; the
//! file of a message names its twin with a sequential trace token, too. They are read from a frame straight into the
//! [`Signal`] that they are a form of. [`Forms`] chooses the form in which one is sent.

mod erpc;
mod field;
mod forms;
mod macros;
mod signal;

mod alias_send;
mod altact_sig_send;
mod demonitor_p;
mod exit;
mod exit2;
mod group_leader;
mod link;
mod monitor_p;
mod monitor_p_exit;
mod payload_exit;
mod payload_exit2;
mod payload_monitor_p_exit;
mod reg_send;
mod send;
mod send_sender;
mod spawn_options;
mod spawn_reply;
mod spawn_request;
mod unlink;
mod unlink_id;
mod unlink_id_ack;

pub use alias_send::AliasSend;
pub use altact_sig_send::{AltactSigSend, Priority, SignalKind, SignalTarget};
pub use demonitor_p::DemonitorP;
pub use erpc::{ERPC, EXECUTE_CALL, EXECUTE_CAST, ErpcKind, ErpcRequest};
pub use exit::Exit;
pub use exit2::Exit2;
pub use forms::{Form, Forms, Offered};
pub use group_leader::GroupLeader;
pub use link::Link;
pub use monitor_p::MonitorP;
pub use monitor_p_exit::MonitorPExit;
pub use payload_exit::PayloadExit;
pub use payload_exit2::PayloadExit2;
pub use payload_monitor_p_exit::PayloadMonitorPExit;
pub use reg_send::RegSend;
pub use send::Send;
pub use send_sender::SendSender;
pub use signal::Signal;
pub use spawn_options::{BadOption, SpawnOptions};
pub use spawn_reply::SpawnReply;
pub use spawn_request::{BorrowedSpawnRequest, SpawnRequest};
pub use unlink_id::UnlinkId;
pub use unlink_id_ack::UnlinkIdAck;

use bitflags::bitflags;
use peerl_term::{Atom, DecodeError, Pid, Sink};

use crate::flags::DistributionFlags;
use macros::control_message;
pub(crate) use signal::Head;

/// A control message that can be sent. The messages of this module are all that there are.
pub trait Control: sealed::Sealed {
    /// The number of the operation.
    fn operation(&self) -> u8;

    /// Where the term of the message is: what is sent to a process, an exit reason or arguments.
    fn content(&self) -> Content;

    /// Whether a peer with these negotiated flags takes the message. [`Forms`] asks, and nothing is sent without it.
    fn is_offered(&self, flags: DistributionFlags) -> bool;

    /// Writes the message, without a version byte. A term [inside](Content::Inside) comes next.
    fn encode<S: Sink>(&self, sink: &mut S);
}

/// Where the term of a control message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It has none.
    Empty,
    /// After the control message.
    Payload,
    /// It is the last element of the control message.
    Inside,
}

impl Content {
    /// Whether the term is the last element of the control message.
    pub const fn is_inside(self) -> bool {
        matches!(self, Content::Inside)
    }
}

/// No other crate defines control messages, so that each says truly who takes it.
mod sealed {
    pub trait Sealed {}
}

/// A process named by its pid or by the name that it has registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProcessId {
    /// A pid.
    Pid(Pid),
    /// A name registered on the receiver's node.
    Name(Atom),
}

/// A function, as `Module:Function/Arity`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mfa {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// The number of arguments.
    pub arity: u32,
}

bitflags! {
    /// What a [`SpawnReply`] says about the new process.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SpawnReplyFlags: u32 {
        /// A link was made between the new process and the one that asked.
        const LINK = 1;
        /// The one that asked monitors the new process.
        const MONITOR = 2;
    }
}

/// Why bytes are no control message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// They are no term, or an element is of another kind than it must be.
    #[error("malformed control message: {0}")]
    Term(#[from] DecodeError),
    /// An element is well-formed but not allowed there.
    #[error("malformed control message: {0}")]
    Field(&'static str),
    /// There is no such operation.
    #[error("unknown operation {0}")]
    UnknownOperation(u64),
    /// The tuple has too many or too few elements.
    #[error("operation {operation} with a tuple of {arity} elements")]
    WrongArity {
        /// The operation.
        operation: u8,
        /// How many elements the tuple has.
        arity: usize,
    },
}
