//! Signals whose form depends on what the peer can do.

use peerl_term::{Pid, Reference, Term, encode};

use super::{MessageTooLarge, Outbound};
use crate::{
    control::{
        AliasSend, AltactSigSend, Exit, Exit2, MonitorPExit, PayloadExit, PayloadExit2, PayloadMonitorPExit, Priority,
        ProcessId, Send, SendSender, SignalKind, SignalTarget, Unlink, UnlinkId,
    },
    flags::DistributionFlags,
};

/// A message is for an alias, and the peer knows no aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer knows no aliases")]
pub struct NoAliases;

/// Each appends the frame of one signal in the form that the peer understands.
impl Outbound {
    /// A message to a process.
    #[inline]
    pub fn send(
        &mut self,
        from: Pid,
        to: Pid,
        message: impl FnOnce(&mut Vec<u8>),
        out: &mut Vec<u8>,
    ) -> Result<(), MessageTooLarge> {
        if self.supports(DistributionFlags::SEND_SENDER) {
            self.encode(&SendSender { from, to }, message, out)
        } else {
            self.encode(&Send { to }, message, out)
        }
    }

    /// The control message for a message to an alias.
    pub fn alias_control(&self, from: Pid, to: Reference) -> Result<crate::control::ControlMessage, NoAliases> {
        if self.supports(DistributionFlags::ALTACT_SIG) {
            let to = SignalTarget::Alias(to);
            let (priority, kind) = (Priority::Ordinary, SignalKind::Message);
            Ok(AltactSigSend { priority, kind, from, to, token: None }.into())
        } else if self.supports(DistributionFlags::ALIAS) {
            Ok(AliasSend { from, to }.into())
        } else {
            Err(NoAliases)
        }
    }

    /// A linked process has exited.
    pub fn exit(&mut self, from: Pid, to: Pid, reason: &Term, out: &mut Vec<u8>) -> Result<(), MessageTooLarge> {
        if self.supports(DistributionFlags::EXIT_PAYLOAD) {
            self.encode(&PayloadExit { from, to }, |out| encode::term(reason, out), out)
        } else {
            self.encode_control(&Exit { from, to, reason: reason.clone() }, out)
        }
    }

    /// An exit signal as of `exit/2`.
    pub fn exit2(&mut self, from: Pid, to: Pid, reason: &Term, out: &mut Vec<u8>) -> Result<(), MessageTooLarge> {
        if self.supports(DistributionFlags::EXIT_PAYLOAD) {
            self.encode(&PayloadExit2 { from, to }, |out| encode::term(reason, out), out)
        } else {
            self.encode_control(&Exit2 { from, to, reason: reason.clone() }, out)
        }
    }

    /// A watched process has exited. `from` is as it was in the monitor: a name stays a name.
    pub fn monitor_exit(
        &mut self,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: &Term,
        out: &mut Vec<u8>,
    ) -> Result<(), MessageTooLarge> {
        if self.supports(DistributionFlags::EXIT_PAYLOAD) {
            let control = PayloadMonitorPExit { from, to, reference };
            self.encode(&control, |out| encode::term(reason, out), out)
        } else {
            let reason = reason.clone();
            self.encode_control(&MonitorPExit { from, to, reference, reason }, out)
        }
    }

    /// A link is taken away. `id` is not 0. An old peer sends no acknowledgement, see [`Self::acknowledges_unlinks`].
    pub fn unlink(&mut self, id: u64, from: Pid, to: Pid, out: &mut Vec<u8>) -> Result<(), MessageTooLarge> {
        if self.acknowledges_unlinks() {
            self.encode_control(&UnlinkId { id, from, to }, out)
        } else {
            self.encode_control(&Unlink { from, to }, out)
        }
    }

    /// Whether the peer answers an unlink (all do since OTP 23.3).
    pub fn acknowledges_unlinks(&self) -> bool {
        self.supports(DistributionFlags::UNLINK_ID)
    }

    /// Whether the peer takes monitors. Otherwise only the loss of the connection is noticed.
    pub fn monitors(&self) -> bool {
        self.supports(DistributionFlags::DIST_MONITOR | DistributionFlags::DIST_MONITOR_NAME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channel::{ChannelLimits, Inbound},
        control::ControlMessage,
        frame::Frame,
        test_support::{a, a_ref, b},
    };

    fn controls(flags: DistributionFlags) -> Vec<u8> {
        let mut outbound = Outbound::new(flags);
        let reason = Term::atom("bye");
        let mut operations = Vec::new();
        let mut inbound = Inbound::new(ChannelLimits::default());
        let mut record = |write: &mut dyn FnMut(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            let message = inbound.receive(Frame::Data(out.split_off(4).into())).unwrap().unwrap();
            operations.push(crate::control::Control::operation(&message.control));
        };
        record(&mut |out| outbound.send(a(1), b(2), encode::nil, out).unwrap());
        record(&mut |out| outbound.exit(a(1), b(2), &reason, out).unwrap());
        record(&mut |out| outbound.exit2(a(1), b(2), &reason, out).unwrap());
        record(&mut |out| outbound.monitor_exit(ProcessId::Pid(a(1)), b(2), a_ref([1, 2, 3]), &reason, out).unwrap());
        record(&mut |out| outbound.unlink(7, a(1), b(2), out).unwrap());
        operations
    }

    #[test]
    fn the_form_that_the_peer_understands() {
        assert_eq!(controls(DistributionFlags::FULL_MEMBER), [22, 24, 26, 28, 35]);
        assert_eq!(controls(DistributionFlags::MANDATORY_25), [2, 3, 8, 21, 4]);
    }

    #[test]
    fn aliases() {
        let control = |flags| Outbound::new(flags).alias_control(a(1), a_ref([1, 2, 3]));
        let full = DistributionFlags::FULL_MEMBER;
        assert!(matches!(control(full), Ok(ControlMessage::AltactSigSend(_))));
        let otp27 = full.difference(DistributionFlags::ALTACT_SIG);
        assert!(matches!(control(otp27), Ok(ControlMessage::AliasSend(_))));
        assert_eq!(control(DistributionFlags::MANDATORY_26), Err(NoAliases));
    }
}
