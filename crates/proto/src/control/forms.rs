//! Signals whose form depends on what the peer can do.

use peerl_term::{Pid, Reference, Term};

use super::{
    AliasSend, AltactSigSend, ControlMessage, Exit, Exit2, MonitorPExit, PayloadExit, PayloadExit2,
    PayloadMonitorPExit, Priority, ProcessId, Send, SendSender, SignalKind, SignalTarget, Unlink, UnlinkId,
};
use crate::flags::DistributionFlags;

/// Gives each signal in the form that the peer understands.
///
/// A reason is asked for only if it goes into the control message; in the newer forms it is the payload, which the
/// caller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    flags: DistributionFlags,
}

/// A message is for an alias, and the peer knows no aliases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer knows no aliases")]
pub struct NoAliases;

impl Forms {
    /// The forms for a connection with these negotiated flags.
    pub fn new(flags: DistributionFlags) -> Self {
        Forms { flags }
    }

    /// A message to a process.
    pub fn send(self, from: Pid, to: Pid) -> ControlMessage {
        if self.flags.contains(DistributionFlags::SEND_SENDER) {
            SendSender { from, to }.into()
        } else {
            Send { to }.into()
        }
    }

    /// A message to an alias.
    pub fn alias_send(self, from: Pid, to: Reference) -> Result<ControlMessage, NoAliases> {
        if self.flags.contains(DistributionFlags::ALTACT_SIG) {
            let to = SignalTarget::Alias(to);
            let (priority, kind) = (Priority::Ordinary, SignalKind::Message);
            Ok(AltactSigSend { priority, kind, from, to, token: None }.into())
        } else if self.flags.contains(DistributionFlags::ALIAS) {
            Ok(AliasSend { from, to }.into())
        } else {
            Err(NoAliases)
        }
    }

    /// A linked process has exited.
    pub fn exit(self, from: Pid, to: Pid, reason: impl FnOnce() -> Term) -> ControlMessage {
        if self.takes_payloads() { PayloadExit { from, to }.into() } else { Exit { from, to, reason: reason() }.into() }
    }

    /// An exit signal as of `exit/2`.
    pub fn exit2(self, from: Pid, to: Pid, reason: impl FnOnce() -> Term) -> ControlMessage {
        if self.takes_payloads() {
            PayloadExit2 { from, to }.into()
        } else {
            Exit2 { from, to, reason: reason() }.into()
        }
    }

    /// A watched process has exited. `from` is as it was in the monitor: a name stays a name.
    pub fn monitor_exit(
        self,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: impl FnOnce() -> Term,
    ) -> ControlMessage {
        if self.takes_payloads() {
            PayloadMonitorPExit { from, to, reference }.into()
        } else {
            MonitorPExit { from, to, reference, reason: reason() }.into()
        }
    }

    /// A link is taken away. `id` is not 0. An old peer sends no acknowledgement, see [`Self::acknowledges_unlinks`].
    pub fn unlink(self, id: u64, from: Pid, to: Pid) -> ControlMessage {
        if self.acknowledges_unlinks() { UnlinkId { id, from, to }.into() } else { Unlink { from, to }.into() }
    }

    /// Whether the peer answers an unlink (all do since OTP 23.3).
    pub fn acknowledges_unlinks(self) -> bool {
        self.flags.contains(DistributionFlags::UNLINK_ID)
    }

    /// Whether the peer takes monitors. Otherwise only the loss of the connection is noticed.
    pub fn monitors(self) -> bool {
        self.flags.contains(DistributionFlags::DIST_MONITOR | DistributionFlags::DIST_MONITOR_NAME)
    }

    /// Whether the reason of an exit signal is its payload, as all peers take it since OTP 22.
    pub fn takes_payloads(self) -> bool {
        self.flags.contains(DistributionFlags::EXIT_PAYLOAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::test_support::{a, a_ref, b};

    fn operations(flags: DistributionFlags) -> Vec<u8> {
        let forms = Forms::new(flags);
        let reason = || Term::atom("bye");
        let controls = [
            forms.send(a(1), b(2)),
            forms.exit(a(1), b(2), reason),
            forms.exit2(a(1), b(2), reason),
            forms.monitor_exit(ProcessId::Pid(a(1)), b(2), a_ref([1, 2, 3]), reason),
            forms.unlink(7, a(1), b(2)),
        ];
        controls.iter().map(Control::operation).collect()
    }

    #[test]
    fn the_form_that_the_peer_understands() {
        assert_eq!(operations(DistributionFlags::FULL_MEMBER), [22, 24, 26, 28, 35]);
        assert_eq!(operations(DistributionFlags::MANDATORY_25), [2, 3, 8, 21, 4]);
    }

    #[test]
    fn aliases() {
        let control = |flags| Forms::new(flags).alias_send(a(1), a_ref([1, 2, 3]));
        let full = DistributionFlags::FULL_MEMBER;
        assert!(matches!(control(full), Ok(ControlMessage::AltactSigSend(_))));
        let otp27 = full.difference(DistributionFlags::ALTACT_SIG);
        assert!(matches!(control(otp27), Ok(ControlMessage::AliasSend(_))));
        assert_eq!(control(DistributionFlags::MANDATORY_26), Err(NoAliases));
    }
}
