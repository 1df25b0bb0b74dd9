//! Messages that have lost their payload: they were too large, or there was no room for them.
//!
//! Such a message fails alone. A caller that waits for it gets an error; a plain message is dropped.

use std::sync::Arc;

use peerl_proto::channel::{Loss, Message};
use peerl_proto::control::{ControlMessage, SignalKind, SignalTarget};
use peerl_term::{Atom, Pid, Reference};

use crate::connection::{Answer, Connection};
use crate::node::Inner;
use crate::reason::Reason;
use crate::router::Violation;
use crate::rpc;

impl Inner {
    /// Says that a message has lost its payload, and does what can be done without it.
    #[cold]
    pub(crate) fn lost(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        message: Message,
        loss: Loss,
        bytes: usize,
    ) -> Result<(), Violation> {
        let limit = self.limits.channel.message;
        let sender = sender(&message.control).map_or_else(|| "unknown".to_owned(), |pid| format!("{pid:?}"));
        tracing::warn!(peer = %connection.peer, %sender, bytes, limit, "dropped the contents of a message: {loss}");
        let reason = || Reason::too_large(bytes);
        let answer = Answer::Lost(loss, bytes);
        match message.control {
            ControlMessage::SpawnRequest(request) => {
                rpc::refuse(self, connection, request.reference, request.from, SYSTEM_LIMIT)?;
            }
            ControlMessage::SpawnRequestTt(request) => {
                rpc::refuse(self, connection, request.reference, request.from, SYSTEM_LIMIT)?;
            }
            ControlMessage::PayloadExit(exit) => self.link_broken(connection, &exit.from, &exit.to, reason())?,
            ControlMessage::PayloadExitTt(exit) => self.link_broken(connection, &exit.from, &exit.to, reason())?,
            ControlMessage::PayloadExit2(exit) => self.exit_by(exit.from, &exit.to, reason()),
            ControlMessage::PayloadExit2Tt(exit) => self.exit_by(exit.from, &exit.to, reason()),
            ControlMessage::PayloadMonitorPExit(down) if down.to == self.requester => {
                self.answer_lost(connection, &down.reference, answer);
            }
            ControlMessage::PayloadMonitorPExit(down) => {
                self.monitor_fired(&down.to, &down.reference, reason().to_raw());
            }
            ControlMessage::AliasSend(send) => self.answer_lost(connection, &send.to, answer),
            ControlMessage::AliasSendTt(send) => self.answer_lost(connection, &send.to, answer),
            ControlMessage::AltactSigSend(signal) => match (signal.kind, signal.to) {
                (SignalKind::Message, SignalTarget::Alias(to)) => self.answer_lost(connection, &to, answer),
                (SignalKind::Exit, SignalTarget::Pid(to)) => self.exit_by(signal.from, &to, reason()),
                (SignalKind::Exit, SignalTarget::Alias(to)) => {
                    if let Some(process) = self.process_of_alias(&to) {
                        self.exit_request(&process, signal.from, reason());
                    }
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// The answer to a request of this node's. (An alias of a process is not among the requests.)
    fn answer_lost(&self, connection: &Connection, reference: &Reference, answer: Answer) {
        if let Some(number) = self.identity.reference_number(reference) {
            connection.calls.answer(number, answer);
        }
    }
}

const SYSTEM_LIMIT: Atom = Atom::from_static("system_limit");

fn sender(control: &ControlMessage) -> Option<&Pid> {
    match control {
        ControlMessage::SendSender(send) => Some(&send.from),
        ControlMessage::SendSenderTt(send) => Some(&send.from),
        ControlMessage::RegSend(send) => Some(&send.from),
        ControlMessage::RegSendTt(send) => Some(&send.from),
        ControlMessage::AliasSend(send) => Some(&send.from),
        ControlMessage::AliasSendTt(send) => Some(&send.from),
        ControlMessage::AltactSigSend(signal) => Some(&signal.from),
        ControlMessage::SpawnRequest(request) => Some(&request.from),
        ControlMessage::SpawnRequestTt(request) => Some(&request.from),
        ControlMessage::PayloadExit(exit) => Some(&exit.from),
        ControlMessage::PayloadExitTt(exit) => Some(&exit.from),
        ControlMessage::PayloadExit2(exit) => Some(&exit.from),
        ControlMessage::PayloadExit2Tt(exit) => Some(&exit.from),
        ControlMessage::PayloadMonitorPExit(down) => match &down.from {
            peerl_proto::control::ProcessId::Pid(pid) => Some(pid),
            peerl_proto::control::ProcessId::Name(_) => None,
        },
        _ => None,
    }
}
