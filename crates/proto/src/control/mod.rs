//! Control messages: what nodes tell each other about processes.
//!
//! A control message is a tuple whose first element is the operation; some are followed by a second term, the
//! payload. Each has its file here, named as in the Erlang docs: *Distribution Protocol*, section "Protocol Messages".
//! They are read from a frame straight into their structs.

mod field;
mod forms;
mod macros;

mod alias_send;
mod alias_send_tt;
mod altact_sig_send;
mod demonitor_p;
mod exit;
mod exit2;
mod exit2_tt;
mod exit_tt;
mod group_leader;
mod link;
mod monitor_p;
mod monitor_p_exit;
mod payload_exit;
mod payload_exit2;
mod payload_exit2_tt;
mod payload_exit_tt;
mod payload_monitor_p_exit;
mod reg_send;
mod reg_send_tt;
mod send;
mod send_sender;
mod send_sender_tt;
mod send_tt;
mod spawn_options;
mod spawn_reply;
mod spawn_reply_tt;
mod spawn_request;
mod spawn_request_tt;
mod unlink;
mod unlink_id;
mod unlink_id_ack;

pub use alias_send::AliasSend;
pub use alias_send_tt::AliasSendTt;
pub use altact_sig_send::{AltactSigSend, Priority, SignalKind, SignalTarget};
pub use demonitor_p::DemonitorP;
pub use exit::Exit;
pub use exit_tt::ExitTt;
pub use exit2::Exit2;
pub use exit2_tt::Exit2Tt;
pub use forms::{Forms, Offered};
pub use group_leader::GroupLeader;
pub use link::Link;
pub use monitor_p::MonitorP;
pub use monitor_p_exit::MonitorPExit;
pub use payload_exit::PayloadExit;
pub use payload_exit_tt::PayloadExitTt;
pub use payload_exit2::PayloadExit2;
pub use payload_exit2_tt::PayloadExit2Tt;
pub use payload_monitor_p_exit::PayloadMonitorPExit;
pub use reg_send::RegSend;
pub use reg_send_tt::RegSendTt;
pub use send::Send;
pub use send_sender::SendSender;
pub use send_sender_tt::SendSenderTt;
pub use send_tt::SendTt;
pub use spawn_options::{BadOption, SpawnOptions};
pub use spawn_reply::SpawnReply;
pub use spawn_reply_tt::SpawnReplyTt;
pub use spawn_request::{BorrowedSpawnRequest, SpawnRequest};
pub use spawn_request_tt::SpawnRequestTt;
pub use unlink::Unlink;
pub use unlink_id::UnlinkId;
pub use unlink_id_ack::UnlinkIdAck;

use bitflags::bitflags;
use peerl_term::{Atom, DecodeError, Decoder, Pid, Sink};

use crate::flags::DistributionFlags;
use macros::{Operation, control_message, control_messages};

/// What all control messages have in common. The messages of this module are all that there are.
pub trait Control: sealed::Sealed {
    /// The number of the operation.
    fn operation(&self) -> u8;

    /// Whether a payload follows the message.
    fn has_payload(&self) -> bool;

    /// Whether a peer with these negotiated flags takes the message. [`Forms`] asks, and nothing is sent without it.
    fn is_offered(&self, flags: DistributionFlags) -> bool;

    /// Writes the message, without a version byte.
    fn encode<S: Sink>(&self, sink: &mut S);
}

/// No other crate defines control messages, so that each says truly who takes it.
mod sealed {
    pub trait Sealed {}

    impl<C: Sealed + ?Sized> Sealed for &C {}

    impl<C: Sealed + ?Sized> Sealed for Box<C> {}
}

impl<C: Control + ?Sized> Control for &C {
    fn operation(&self) -> u8 {
        (**self).operation()
    }

    fn has_payload(&self) -> bool {
        (**self).has_payload()
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        (**self).is_offered(flags)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        (**self).encode(sink);
    }
}

impl<C: Control + ?Sized> Control for Box<C> {
    fn operation(&self) -> u8 {
        (**self).operation()
    }

    fn has_payload(&self) -> bool {
        (**self).has_payload()
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        (**self).is_offered(flags)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        (**self).encode(sink);
    }
}

control_messages! {
    Link(Link),
    Send(Send),
    Exit(Exit),
    Unlink(Unlink),
    RegSend(RegSend),
    GroupLeader(GroupLeader),
    Exit2(Exit2),
    SendTt(SendTt),
    ExitTt(ExitTt),
    RegSendTt(RegSendTt),
    Exit2Tt(Exit2Tt),
    MonitorP(MonitorP),
    DemonitorP(DemonitorP),
    MonitorPExit(MonitorPExit),
    SendSender(SendSender),
    SendSenderTt(SendSenderTt),
    PayloadExit(PayloadExit),
    PayloadExitTt(PayloadExitTt),
    PayloadExit2(PayloadExit2),
    PayloadExit2Tt(PayloadExit2Tt),
    PayloadMonitorPExit(PayloadMonitorPExit),
    SpawnRequest(SpawnRequest),
    SpawnRequestTt(Box<SpawnRequestTt>),
    SpawnReply(SpawnReply),
    SpawnReplyTt(SpawnReplyTt),
    AliasSend(AliasSend),
    AliasSendTt(AliasSendTt),
    UnlinkId(UnlinkId),
    UnlinkIdAck(UnlinkIdAck),
    AltactSigSend(AltactSigSend),
}

impl ControlMessage {
    /// One that is yet to be read.
    pub(crate) fn vacant() -> Self {
        Link::vacant().into()
    }
}

impl From<SpawnRequestTt> for ControlMessage {
    fn from(message: SpawnRequestTt) -> Self {
        Box::new(message).into()
    }
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
