//! Control messages: what nodes tell each other about processes.
//!
//! A control message is a tuple whose first element is the operation; some are followed by a second term, the
//! payload. Each has a file here, named as in the Erlang docs: *Distribution Protocol*, section "Protocol Messages".
//! The file also names the message's twin with a sequential trace token. A message is read from a frame straight into
//! its [`Signal`]; [`Forms`] chooses the form in which a signal is sent.

mod erpc;
mod error;
mod field;
mod forms;
mod macros;
mod signal;
mod trace_token;

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
pub use error::{ControlError, FieldError};
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
pub use trace_token::{Label, TraceToken, Traceable, WithToken};
pub use unlink_id::UnlinkId;
pub use unlink_id_ack::UnlinkIdAck;

use bitflags::bitflags;
use peerl_term::{Atom, Pid, Sink};

use crate::flags::DistributionFlags;
use macros::control_message;
pub(crate) use signal::Head;

/// A control message that can be sent. Only this module implements it.
pub trait Control: sealed::Sealed {
    /// The number of the operation.
    fn operation(&self) -> u8;

    /// Where the message's term is: a message to a process, an exit reason or arguments.
    fn content(&self) -> Content;

    /// Whether a peer with these negotiated flags accepts the message. Only [`Forms`] needs to ask: nothing else
    /// makes sendable messages.
    fn is_offered(&self, flags: DistributionFlags) -> bool;

    /// Writes the message without a version byte. A term [inside](Content::Inside) follows.
    fn encode<S: Sink>(&self, sink: &mut S);
}

/// Where the term of a control message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is no term.
    Empty,
    /// The term follows the control message.
    Payload,
    /// The term is the last element of the control message.
    Inside,
}

impl Content {
    /// Whether the term is the last element of the control message.
    pub const fn is_inside(self) -> bool {
        matches!(self, Content::Inside)
    }
}

/// Keeps other crates from defining control messages, so that [`Control::is_offered`] can be trusted.
mod sealed {
    pub trait Sealed {}
}

/// A process, by its pid or its registered name.
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
    /// What was set up for a spawned process, in a [`SpawnReply`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct SpawnReplyFlags: u32 {
        /// The new process is linked to the requesting one.
        const LINK = 1;
        /// The requesting process monitors the new one.
        const MONITOR = 2;
    }
}
