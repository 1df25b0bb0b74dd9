//! Which control messages may be sent to a peer, and in which form.

use peerl_term::{Atom, Pid, Reference, Sink, Term};

use super::{
    AliasSend, AltactSigSend, Control, ControlMessage, DemonitorP, Exit, Exit2, Link, MonitorP, MonitorPExit,
    PayloadExit, PayloadExit2, PayloadMonitorPExit, Priority, ProcessId, RegSend, Send, SendSender, SignalKind,
    SignalTarget, SpawnReply, UnlinkId, UnlinkIdAck,
};
use crate::flags::DistributionFlags;

/// Decides what may be sent to a peer.
///
/// A peer that is sent a message that its flags do not offer ends the connection (nodes on `ei` and Jinterface do). So
/// [`Outbound`](crate::channel::Outbound) writes nothing but [`Offered`] messages, and only a `Forms` makes those. A
/// signal that has several forms is given in the one that the peer understands; one that has none for this peer is
/// `None`, and it is the caller who knows what that means.
///
/// A reason is asked for only if it goes into the control message; in the newer forms it is the payload, which the
/// caller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    flags: DistributionFlags,
}

/// A control message that the peer offers to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offered<C>(C);

impl<C: Control> Offered<C> {
    /// The message.
    pub fn control(&self) -> &C {
        &self.0
    }

    /// The number of the operation.
    pub fn operation(&self) -> u8 {
        self.0.operation()
    }

    /// Whether a payload follows the message.
    #[inline]
    pub fn has_payload(&self) -> bool {
        self.0.has_payload()
    }

    #[inline]
    pub(crate) fn encode<S: Sink>(&self, sink: &mut S) {
        self.0.encode(sink);
    }
}

impl Forms {
    /// The forms for a connection with these negotiated flags.
    pub fn new(flags: DistributionFlags) -> Self {
        Forms { flags }
    }

    /// The message, if the peer takes it.
    #[inline]
    pub fn offer<C: Control>(self, control: C) -> Option<Offered<C>> {
        control.is_offered(self.flags).then_some(Offered(control))
    }

    /// A message to a process.
    pub fn send(self, from: Pid, to: Pid) -> Offered<ControlMessage> {
        Offered(if self.flags.contains(DistributionFlags::SEND_SENDER) {
            SendSender { from, to }.into()
        } else {
            Send { to }.into()
        })
    }

    /// A message to a registered name. Every peer takes it.
    pub fn reg_send(self, from: Pid, to: Atom) -> Offered<RegSend> {
        Offered(RegSend { from, to })
    }

    /// A message to an alias.
    pub fn alias_send(self, from: Pid, to: Reference) -> Option<Offered<ControlMessage>> {
        if self.flags.contains(DistributionFlags::ALTACT_SIG) {
            let to = SignalTarget::Alias(to);
            let (priority, kind) = (Priority::Ordinary, SignalKind::Message);
            self.offer(AltactSigSend { priority, kind, from, to, token: None }.into())
        } else {
            self.offer(AliasSend { from, to }.into())
        }
    }

    /// A link. Every peer takes it.
    pub fn link(self, from: Pid, to: Pid) -> Offered<Link> {
        Offered(Link { from, to })
    }

    /// A link is taken away. `id` is not 0. The peer answers with an acknowledgement.
    pub fn unlink(self, id: u64, from: Pid, to: Pid) -> Option<Offered<UnlinkId>> {
        self.offer(UnlinkId { id, from, to })
    }

    /// The answer to an unlink of the peer's, which every peer takes that has sent one.
    pub fn unlink_ack(self, id: u64, from: Pid, to: Pid) -> Offered<UnlinkIdAck> {
        Offered(UnlinkIdAck { id, from, to })
    }

    /// The answer to a spawn request of the peer's, which every peer takes that has sent one.
    pub fn spawn_reply(self, reply: SpawnReply) -> Offered<SpawnReply> {
        Offered(reply)
    }

    /// A linked process has exited.
    pub fn exit(self, from: Pid, to: Pid, reason: impl FnOnce() -> Term) -> Offered<ControlMessage> {
        Offered(if self.takes_payloads() {
            PayloadExit { from, to }.into()
        } else {
            Exit { from, to, reason: reason() }.into()
        })
    }

    /// An exit signal as of `exit/2`.
    pub fn exit2(self, from: Pid, to: Pid, reason: impl FnOnce() -> Term) -> Offered<ControlMessage> {
        Offered(if self.takes_payloads() {
            PayloadExit2 { from, to }.into()
        } else {
            Exit2 { from, to, reason: reason() }.into()
        })
    }

    /// A monitor. As in OTP, a peer takes monitors by pid only if it takes them by name too. Without monitors only the loss
    /// of the connection is noticed.
    pub fn monitor(self, from: Pid, to: ProcessId, reference: Reference) -> Option<Offered<MonitorP>> {
        self.offer(MonitorP { from, to, reference })
    }

    /// A monitor is taken away.
    pub fn demonitor(self, from: Pid, to: ProcessId, reference: Reference) -> Option<Offered<DemonitorP>> {
        self.offer(DemonitorP { from, to, reference })
    }

    /// A watched process has exited. `from` is as it was in the monitor: a name stays a name.
    pub fn monitor_exit(
        self,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: impl FnOnce() -> Term,
    ) -> Option<Offered<ControlMessage>> {
        self.offer(if self.takes_payloads() {
            PayloadMonitorPExit { from, to, reference }.into()
        } else {
            MonitorPExit { from, to, reference, reason: reason() }.into()
        })
    }

    /// Whether the reason of an exit signal is its payload.
    pub fn takes_payloads(self) -> bool {
        self.flags.contains(DistributionFlags::EXIT_PAYLOAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Unlink;
    use crate::test_support::{a, a_ref, b};

    fn operations(flags: DistributionFlags) -> Vec<Option<u8>> {
        let forms = Forms::new(flags);
        let reason = || Term::atom("bye");
        let (watched, reference) = (ProcessId::Pid(b(2)), a_ref([1, 2, 3]));
        let operation = |control: Option<Offered<ControlMessage>>| control.map(|control| control.operation());
        vec![
            Some(forms.send(a(1), b(2)).operation()),
            Some(forms.exit(a(1), b(2), reason).operation()),
            Some(forms.exit2(a(1), b(2), reason).operation()),
            operation(forms.monitor_exit(ProcessId::Pid(a(1)), b(2), reference.clone(), reason)),
            forms.unlink(7, a(1), b(2)).map(|control| control.operation()),
            forms.monitor(a(1), watched.clone(), reference.clone()).map(|control| control.operation()),
            forms.demonitor(a(1), watched, reference.clone()).map(|control| control.operation()),
            operation(forms.alias_send(a(1), reference)),
        ]
    }

    #[test]
    fn the_form_that_the_peer_understands() {
        let of = |operations: [u8; 8]| operations.map(|number| (number > 0).then_some(number)).to_vec();
        let full = DistributionFlags::FULL_MEMBER;
        assert_eq!(operations(full), of([22, 24, 26, 28, 35, 19, 20, 37]));
        assert_eq!(operations(full.difference(DistributionFlags::ALTACT_SIG)), of([22, 24, 26, 28, 35, 19, 20, 33]));
        assert_eq!(operations(full.difference(DistributionFlags::EXIT_PAYLOAD)), of([22, 3, 8, 21, 35, 19, 20, 37]));
        assert_eq!(operations(DistributionFlags::MANDATORY_26), of([2, 3, 8, 0, 35, 0, 0, 0]));
        assert_eq!(operations(DistributionFlags::MANDATORY_25), of([2, 3, 8, 0, 0, 0, 0, 0]));
    }

    /// A node on `ei` has the first flag, and not the second.
    #[test]
    fn monitors_need_both_flags() {
        for flag in [DistributionFlags::DIST_MONITOR, DistributionFlags::DIST_MONITOR_NAME] {
            let flags = DistributionFlags::MANDATORY_26 | flag;
            assert_eq!(operations(flags)[3..7], [None, Some(35), None, None]);
        }
    }

    #[test]
    fn nobody_is_sent_what_is_obsolete() {
        let unlink = Unlink { from: a(1), to: b(2) };
        for flags in [DistributionFlags::FULL_MEMBER, DistributionFlags::MANDATORY_25] {
            assert_eq!(Forms::new(flags).offer(unlink.clone()), None);
        }
    }
}
