//! Signals to processes of the peer, in the form that the peer understands.

use peerl_proto::channel::Fragments;
use peerl_proto::control::{ControlMessage, DemonitorP, Link, MonitorP, PayloadMonitorPExit, ProcessId};
use peerl_term::{Pid, Reference, Sink, Term, encode};

use super::{Connection, SendError};
use crate::reason::{Reason, Returned};

impl Connection {
    /// A linked process has ended.
    pub(crate) fn send_exit(&self, from: Pid, to: Pid, reason: &Reason) -> Result<(), SendError> {
        self.send_reason(&from, reason, |inside| self.forms.exit(from.clone(), to, || inside))
    }

    /// `exit(To, Reason)`.
    pub(crate) fn send_exit2(&self, from: Pid, to: Pid, reason: &Reason) -> Result<(), SendError> {
        self.send_reason(&from, reason, |inside| self.forms.exit2(from.clone(), to, || inside))
    }

    /// A monitored process has ended, or was not there.
    pub(crate) fn send_down(
        &self,
        sender: &Pid,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: &Reason,
    ) -> Result<(), SendError> {
        self.send_reason(sender, reason, |inside| self.forms.monitor_exit(from, to, reference, || inside))
    }

    /// A monitored process has made its call for `erpc`, and ended with the value for its reason.
    pub(crate) fn send_returned(
        &self,
        process: Pid,
        to: Pid,
        reference: Reference,
        returned: Returned,
    ) -> Result<(), SendError> {
        let from = ProcessId::Pid(process.clone());
        if !self.forms.takes_payloads() || returned.value.has_records() {
            return self.send_down(&process, from, to, reference, &returned.into());
        }
        let control = PayloadMonitorPExit { from, to, reference };
        let Returned { id, value } = returned;
        if value.bytes().len() < Fragments::LARGE {
            return self.outbox.send(&process, &control, |out| {
                id.encode_return(out);
                out.put(value.bytes());
            });
        }
        self.outbox.send_parts(&process, &control, |out| id.encode_return(out), &value.into(), &[])
    }

    /// Sends a signal with its reason, encoded anew for this peer.
    fn send_reason(
        &self,
        sender: &Pid,
        reason: &Reason,
        control: impl FnOnce(Term) -> ControlMessage,
    ) -> Result<(), SendError> {
        let reason = reason.fit_for(self);
        // Only an old peer wants the reason inside the control message.
        let inside = if self.forms.takes_payloads() { Term::nil() } else { reason.to_term()? };
        let control = control(inside);
        match &reason {
            Reason::Term(term) => self.outbox.send(sender, &control, |out| encode::term(term, out)),
            Reason::Returned { id, value } => {
                self.outbox.send_parts(sender, &control, |out| id.encode_return(out), value, &[])
            }
        }
    }

    pub(crate) fn send_link(&self, from: Pid, to: Pid) -> Result<(), SendError> {
        let control = Link { from, to };
        self.outbox.send(&control.from, &control, |_| {})
    }

    pub(crate) fn send_unlink(&self, id: u64, from: Pid, to: Pid) -> Result<(), SendError> {
        let control = self.forms.unlink(id, from.clone(), to);
        self.outbox.send(&from, &control, |_| {})
    }

    pub(crate) fn send_monitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<(), SendError> {
        let control = MonitorP { from, to, reference };
        self.outbox.send(&control.from, &control, |_| {})
    }

    pub(crate) fn send_demonitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<(), SendError> {
        let control = DemonitorP { from, to, reference };
        self.outbox.send(&control.from, &control, |_| {})
    }
}
