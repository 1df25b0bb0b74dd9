//! The meaning of control messages, independent of their form.

use std::num::NonZeroU64;

use peerl_term::{Atom, Decoder, Pid, Reference, Term};

use super::{
    AliasSend, AltactSigSend, Content, ControlError, DemonitorP, Exit, Exit2, GroupLeader, Link, MonitorP,
    MonitorPExit, PayloadExit, PayloadExit2, PayloadMonitorPExit, Priority, ProcessId, RegSend, Send, SendSender,
    SpawnReply, SpawnReplyFlags, SpawnRequest, UnlinkId, UnlinkIdAck,
    macros::{Received, Traced},
    unlink::Unlink,
};

/// A signal from a process of the peer to one of this node, or a request to this node.
///
/// All forms of a message are one variant: with and without a trace token, with the reason inside the control message
/// and as its payload. In all of them, the signal's term (the message, the reason, the arguments) is the payload of
/// its [`Message`](crate::channel::Message).
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// A message to a process: [`SendSender`], [`Send`] or [`AltactSigSend`].
    Send {
        /// The sender, if the form of the message names it.
        from: Option<Pid>,
        /// The receiver.
        to: Pid,
    },
    /// A message to a registered name: [`RegSend`] or [`AltactSigSend`].
    SendToName {
        /// The sender.
        from: Pid,
        /// The name of the receiver.
        to: Atom,
    },
    /// A message to an alias: [`AliasSend`] or [`AltactSigSend`].
    SendToAlias {
        /// The sender.
        from: Pid,
        /// The alias of the receiver.
        to: Reference,
    },
    /// A message to an alias that overtakes others, if the alias allows that: [`AltactSigSend`].
    SendToAliasWithPriority {
        /// The sender.
        from: Pid,
        /// The alias of the receiver.
        to: Reference,
    },
    /// Makes a link: [`Link`].
    Link {
        /// The linking process.
        from: Pid,
        /// The process to link to.
        to: Pid,
    },
    /// Removes a link: [`UnlinkId`] or `UNLINK`.
    Unlink {
        /// The number of this unlink, which the acknowledgement repeats. An `UNLINK` has none and gets no
        /// acknowledgement.
        id: Option<NonZeroU64>,
        /// The unlinking process.
        from: Pid,
        /// The process to unlink from.
        to: Pid,
    },
    /// Acknowledges an unlink: [`UnlinkIdAck`].
    UnlinkAck {
        /// The number of the unlink.
        id: u64,
        /// The acknowledging process.
        from: Pid,
        /// The unlinking process.
        to: Pid,
    },
    /// A linked process has exited: [`PayloadExit`] or [`Exit`].
    Exit {
        /// The process that exited.
        from: Pid,
        /// The process that it was linked to.
        to: Pid,
    },
    /// An exit signal of `exit/2`: [`PayloadExit2`], [`Exit2`] or [`AltactSigSend`].
    Exit2 {
        /// The sender.
        from: Pid,
        /// The process to end.
        to: Pid,
    },
    /// An exit signal to an alias: [`AltactSigSend`].
    Exit2ToAlias {
        /// The sender.
        from: Pid,
        /// The alias of the process to end.
        to: Reference,
        /// Whether it overtakes messages, if the alias allows that and the process traps exit signals.
        priority: Priority,
    },
    /// Changes the group leader of a process: [`GroupLeader`].
    GroupLeader {
        /// The new group leader.
        from: Pid,
        /// The process.
        to: Pid,
    },
    /// A process starts to monitor another: [`MonitorP`].
    Monitor {
        /// The monitoring process.
        from: Pid,
        /// The monitored process.
        to: ProcessId,
        /// The monitor, made by the monitoring process.
        reference: Reference,
    },
    /// A process stops monitoring another: [`DemonitorP`].
    Demonitor {
        /// The monitoring process.
        from: Pid,
        /// The monitored process, as in the monitor.
        to: ProcessId,
        /// The monitor.
        reference: Reference,
    },
    /// A monitored process has exited: [`PayloadMonitorPExit`] or [`MonitorPExit`].
    MonitorExit {
        /// The monitored process, as in the monitor.
        from: ProcessId,
        /// The monitoring process.
        to: Pid,
        /// The monitor.
        reference: Reference,
    },
    /// Starts a process.
    SpawnRequest(SpawnRequest),
    /// Answers a spawn request: [`SpawnReply`].
    SpawnReply {
        /// The request answered.
        reference: Reference,
        /// The requesting process.
        to: Pid,
        /// What was set up for the new process.
        flags: SpawnReplyFlags,
        /// The new process, or the reason of the failure.
        result: Result<Pid, Atom>,
    },
}

/// The parts of a control message that its signal does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) operation: u8,
    pub(crate) content: Content,
}

/// Expands to a match arm for every control message, so that each is read in place.
macro_rules! read_operation {
    (
        $operation:ident, [$signal:ident, $token:ident, $decoder:ident, $arity:ident];
        all: $($message:ident),*;
        traced: $($traced:ident),*;
    ) => {
        match $operation {
            $(
                <$message as Received>::OPERATION => {
                    check_arity::<$message>($operation, $arity, 0)?;
                    <$message as Received>::read_elements($signal, $decoder)?;
                    *$token = None;
                    Ok(Head { operation: $operation, content: <$message as Received>::CONTENT })
                }
            )*
            $(
                <$traced as Traced>::TRACED => {
                    check_arity::<$traced>($operation, $arity, 1)?;
                    <$traced as Received>::read_elements($signal, $decoder)?;
                    *$token = Some($decoder.term()?);
                    Ok(Head { operation: $operation, content: <$traced as Received>::CONTENT })
                }
            )*
            AltactSigSend::OPERATION => {
                AltactSigSend::read($signal, $token, $decoder, $arity)?;
                Ok(Head { operation: $operation, content: Content::Payload })
            }
            _ => Err(ControlError::UnknownOperation($operation.into())),
        }
    };
}

impl Signal {
    /// A placeholder for [`read`](Self::read).
    pub(crate) fn vacant() -> Self {
        Signal::Link { from: Pid::VACANT, to: Pid::VACANT }
    }

    /// Reads a control message in place of another signal, which saves a move. Leaves the decoder at the payload, or
    /// at the term inside.
    #[inline(always)]
    pub(crate) fn read(&mut self, token: &mut Option<Term>, decoder: &mut Decoder<'_>) -> Result<Head, ControlError> {
        let arity = decoder.tuple_header()?;
        let operation = decoder.unsigned()?;
        let Ok(operation) = u8::try_from(operation) else {
            return Err(ControlError::UnknownOperation(operation));
        };
        read_operation! {
            operation, [self, token, decoder, arity];
            all: Link, Send, Exit, Unlink, RegSend, GroupLeader, Exit2, MonitorP, DemonitorP, MonitorPExit, SendSender,
                PayloadExit, PayloadExit2, PayloadMonitorPExit, SpawnRequest, SpawnReply, AliasSend, UnlinkId, UnlinkIdAck;
            traced: Send, Exit, RegSend, Exit2, SendSender, PayloadExit, PayloadExit2, SpawnRequest, SpawnReply, AliasSend;
        }
    }

    /// The sending process, if the signal names one.
    pub fn sender(&self) -> Option<&Pid> {
        match self {
            Signal::Send { from, .. } => from.as_ref(),
            Signal::MonitorExit { from: ProcessId::Name(_), .. } | Signal::SpawnReply { .. } => None,
            Signal::MonitorExit { from: ProcessId::Pid(from), .. }
            | Signal::SendToName { from, .. }
            | Signal::SendToAlias { from, .. }
            | Signal::SendToAliasWithPriority { from, .. }
            | Signal::Link { from, .. }
            | Signal::Unlink { from, .. }
            | Signal::UnlinkAck { from, .. }
            | Signal::Exit { from, .. }
            | Signal::Exit2 { from, .. }
            | Signal::Exit2ToAlias { from, .. }
            | Signal::GroupLeader { from, .. }
            | Signal::Monitor { from, .. }
            | Signal::Demonitor { from, .. }
            | Signal::SpawnRequest(SpawnRequest { from, .. }) => Some(from),
        }
    }
}

#[inline(always)]
fn check_arity<M: Received>(operation: u8, arity: usize, token: usize) -> Result<(), ControlError> {
    if arity == M::ARITY + token + usize::from(M::CONTENT.is_inside()) {
        return Ok(());
    }
    Err(ControlError::WrongArity { operation, arity })
}
