//! Which control messages may be sent to a peer, and in which form.

use std::num::NonZeroU64;

use peerl_term::{Atom, Pid, Reference, Sink};

use super::{
    AliasSend, AltactSigSend, Content, Control, DemonitorP, Exit, Exit2, GroupLeader, Link, MonitorP, MonitorPExit,
    PayloadExit, PayloadExit2, PayloadMonitorPExit, Priority, ProcessId, RegSend, Send, SendSender, SignalKind,
    SignalTarget, SpawnReply, TraceToken, Traceable, UnlinkId, UnlinkIdAck, WithToken, sealed::Sealed,
};
use crate::flags::DistributionFlags;

/// Chooses the control messages for a peer.
///
/// Some peers (nodes on `ei` and Jinterface) end the connection on a message that their flags do not offer. So a
/// [`MessageEncoder`](crate::channel::MessageEncoder) accepts only [`Offered`] messages, and only `Forms` makes them.
/// A signal with several forms gets the one that the peer understands; the result is `None` if there is no such form,
/// and the caller decides what that means. For exit signals, the caller writes the reason in both forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forms {
    flags: DistributionFlags,
}

/// A control message that the peer accepts.
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

    /// Where the term of the message is.
    #[inline]
    pub fn content(&self) -> Content {
        self.0.content()
    }

    #[inline]
    pub(crate) fn encode<S: Sink>(&self, sink: &mut S) {
        self.0.encode(sink);
    }
}

/// A control message in one of two forms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form<New, Old> {
    /// The current form.
    New(New),
    /// The form for peers that do not offer the current one.
    Old(Old),
}

impl<New: Control, Old: Control> Sealed for Form<New, Old> {}

impl<New: Control, Old: Control> Control for Form<New, Old> {
    #[inline]
    fn operation(&self) -> u8 {
        match self {
            Form::New(message) => message.operation(),
            Form::Old(message) => message.operation(),
        }
    }

    #[inline]
    fn content(&self) -> Content {
        match self {
            Form::New(message) => message.content(),
            Form::Old(message) => message.content(),
        }
    }

    #[inline]
    fn is_offered(&self, flags: DistributionFlags) -> bool {
        match self {
            Form::New(message) => message.is_offered(flags),
            Form::Old(message) => message.is_offered(flags),
        }
    }

    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        match self {
            Form::New(message) => message.encode(sink),
            Form::Old(message) => message.encode(sink),
        }
    }
}

impl<New: Traceable, Old: Traceable> Traceable for Form<New, Old> {
    fn traced_operation(&self) -> u8 {
        match self {
            Form::New(message) => message.traced_operation(),
            Form::Old(message) => message.traced_operation(),
        }
    }

    fn encode_traced<S: Sink>(&self, token: &TraceToken, sink: &mut S) {
        match self {
            Form::New(message) => message.encode_traced(token, sink),
            Form::Old(message) => message.encode_traced(token, sink),
        }
    }
}

impl Forms {
    /// The forms for a connection with these negotiated flags.
    pub fn new(flags: DistributionFlags) -> Self {
        Forms { flags }
    }

    /// The message, if the peer accepts it.
    #[inline]
    pub fn offer<C: Control>(self, control: C) -> Option<Offered<C>> {
        control.is_offered(self.flags).then_some(Offered(control))
    }

    /// The message as its twin with a trace token, if there is a token that the peer accepts; else as it is.
    pub fn with_token<C: Traceable>(
        self,
        offered: Offered<C>,
        token: Option<&TraceToken>,
    ) -> Offered<Form<WithToken<'_, C>, C>> {
        let control = offered.0;
        Offered(match token.filter(|token| token.is_offered(self.flags)) {
            Some(token) => Form::New(WithToken { control, token }),
            None => Form::Old(control),
        })
    }

    /// A message to a process.
    pub fn send(self, from: Pid, to: Pid) -> Offered<Form<SendSender, Send>> {
        Offered(if self.flags.contains(DistributionFlags::SEND_SENDER) {
            Form::New(SendSender { from, to })
        } else {
            Form::Old(Send { to })
        })
    }

    /// A message to a registered name. Every peer accepts it.
    pub fn reg_send(self, from: Pid, to: Atom) -> Offered<RegSend> {
        Offered(RegSend { from, to })
    }

    /// A message to an alias. Of a peer that knows no priority, no alias allows it.
    pub fn alias_send(
        self,
        priority: Priority,
        from: Pid,
        to: Reference,
    ) -> Option<Offered<Form<AltactSigSend, AliasSend>>> {
        self.offer(if self.flags.contains(DistributionFlags::ALTACT_SIG) {
            let to = SignalTarget::Alias(to);
            Form::New(AltactSigSend { priority, kind: SignalKind::Message, from, to })
        } else {
            Form::Old(AliasSend { from, to })
        })
    }

    /// A link. Every peer accepts it.
    pub fn link(self, from: Pid, to: Pid) -> Offered<Link> {
        Offered(Link { from, to })
    }

    /// Removes a link. The peer answers with an acknowledgement.
    pub fn unlink(self, id: NonZeroU64, from: Pid, to: Pid) -> Option<Offered<UnlinkId>> {
        self.offer(UnlinkId { id, from, to })
    }

    /// Acknowledges an unlink of the peer. Every peer that sends unlinks accepts it.
    pub fn unlink_ack(self, id: NonZeroU64, from: Pid, to: Pid) -> Offered<UnlinkIdAck> {
        Offered(UnlinkIdAck { id: id.get(), from, to })
    }

    /// Answers a spawn request of the peer. Every peer that sends spawn requests accepts it.
    pub fn spawn_reply(self, reply: SpawnReply) -> Offered<SpawnReply> {
        Offered(reply)
    }

    /// A linked process has exited.
    pub fn exit(self, from: Pid, to: Pid) -> Offered<Form<PayloadExit, Exit>> {
        Offered(if self.takes_payloads() { Form::New(PayloadExit { from, to }) } else { Form::Old(Exit { from, to }) })
    }

    /// An exit signal as of `exit/2`.
    pub fn exit2(self, from: Pid, to: Pid) -> Offered<Form<PayloadExit2, Exit2>> {
        Offered(if self.takes_payloads() {
            Form::New(PayloadExit2 { from, to })
        } else {
            Form::Old(Exit2 { from, to })
        })
    }

    /// An exit signal as of `exit/2` with an alias (OTP 28).
    pub fn exit_alias(self, priority: Priority, from: Pid, to: Reference) -> Option<Offered<AltactSigSend>> {
        self.offer(AltactSigSend { priority, kind: SignalKind::Exit, from, to: SignalTarget::Alias(to) })
    }

    /// Another group leader for a process. Every peer accepts it.
    pub fn group_leader(self, from: Pid, to: Pid) -> Offered<GroupLeader> {
        Offered(GroupLeader { from, to })
    }

    /// A monitor. Like OTP, this requires that the peer accepts monitors by name, even for a pid. Without monitors
    /// only the loss of the connection is noticed.
    pub fn monitor(self, from: Pid, to: ProcessId, reference: Reference) -> Option<Offered<MonitorP>> {
        self.offer(MonitorP { from, to, reference })
    }

    /// Removes a monitor.
    pub fn demonitor(self, from: Pid, to: ProcessId, reference: Reference) -> Option<Offered<DemonitorP>> {
        self.offer(DemonitorP { from, to, reference })
    }

    /// A monitored process has exited. `from` is as in the monitor: a name stays a name.
    pub fn monitor_exit(
        self,
        from: ProcessId,
        to: Pid,
        reference: Reference,
    ) -> Option<Offered<Form<PayloadMonitorPExit, MonitorPExit>>> {
        self.offer(if self.takes_payloads() {
            Form::New(PayloadMonitorPExit { from, to, reference })
        } else {
            Form::Old(MonitorPExit { from, to, reference })
        })
    }

    /// Whether the reason of an exit signal is sent as the payload.
    fn takes_payloads(self) -> bool {
        self.flags.contains(DistributionFlags::EXIT_PAYLOAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{a, a_ref, b};

    fn operations(flags: DistributionFlags) -> Vec<Option<u8>> {
        let forms = Forms::new(flags);
        let (watched, reference) = (ProcessId::Pid(b(2)), a_ref([1, 2, 3]));
        vec![
            Some(forms.send(a(1), b(2)).operation()),
            Some(forms.exit(a(1), b(2)).operation()),
            Some(forms.exit2(a(1), b(2)).operation()),
            forms.monitor_exit(ProcessId::Pid(a(1)), b(2), reference.clone()).map(|control| control.operation()),
            forms.unlink(NonZeroU64::MIN, a(1), b(2)).map(|control| control.operation()),
            forms.monitor(a(1), watched.clone(), reference.clone()).map(|control| control.operation()),
            forms.demonitor(a(1), watched, reference.clone()).map(|control| control.operation()),
            forms.alias_send(Priority::High, a(1), reference.clone()).map(|control| control.operation()),
            forms.exit_alias(Priority::Ordinary, a(1), reference).map(|control| control.operation()),
        ]
    }

    #[test]
    fn the_form_that_the_peer_understands() {
        let of = |operations: [u8; 9]| operations.map(|number| (number > 0).then_some(number)).to_vec();
        let full = DistributionFlags::FULL_MEMBER;
        assert_eq!(operations(full), of([22, 24, 26, 28, 35, 19, 20, 37, 37]));
        assert_eq!(operations(full.difference(DistributionFlags::ALTACT_SIG)), of([22, 24, 26, 28, 35, 19, 20, 33, 0]));
        assert_eq!(
            operations(full.difference(DistributionFlags::EXIT_PAYLOAD)),
            of([22, 3, 8, 21, 35, 19, 20, 37, 37])
        );
        assert_eq!(operations(DistributionFlags::MANDATORY_26), of([2, 3, 8, 0, 35, 0, 0, 0, 0]));
        assert_eq!(operations(DistributionFlags::MANDATORY_25), of([2, 3, 8, 0, 0, 0, 0, 0, 0]));
    }

    /// A node on `ei` has the first flag but not the second.
    #[test]
    fn monitors_need_both_flags() {
        for flag in [DistributionFlags::DIST_MONITOR, DistributionFlags::DIST_MONITOR_NAME] {
            let flags = DistributionFlags::MANDATORY_26 | flag;
            assert_eq!(operations(flags)[3..7], [None, Some(35), None, None]);
        }
    }
}
