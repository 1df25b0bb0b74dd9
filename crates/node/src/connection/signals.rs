//! Signals to processes of the peer, in the form that the peer understands.

use std::mem;

use bytes::Bytes;
use peerl_proto::channel::Fragments;
use peerl_proto::control::{DemonitorP, Link, MonitorP, PayloadMonitorPExit, ProcessId};
use peerl_term::{Pid, RawTerm, Reference, Sink, Term};

use super::{Connection, SendError, Sender};
use crate::reason::Returned;

impl Connection {
    /// A linked process has ended.
    pub(crate) fn send_exit(&self, from: Pid, to: Pid, reason: &RawTerm) -> Result<(), SendError> {
        let control = self.forms.exit(from.clone(), to, || decoded(reason));
        self.outbox.send_term(&from, &control, reason)
    }

    /// `exit(To, Reason)`.
    pub(crate) fn send_exit2(&self, from: Pid, to: Pid, reason: &RawTerm) -> Result<(), SendError> {
        let control = self.forms.exit2(from.clone(), to, || decoded(reason));
        self.outbox.send_term(&from, &control, reason)
    }

    /// A monitored process has ended, or was not there.
    pub(crate) fn send_down(
        &self,
        sender: &Pid,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: &RawTerm,
    ) -> Result<(), SendError> {
        let control = self.forms.monitor_exit(from, to, reference, || decoded(reason));
        self.outbox.send_term(sender, &control, reason)
    }

    /// A monitored process has made its call for `erpc`, and ended with the value for its reason.
    pub(crate) fn send_returned(
        &self,
        process: Pid,
        to: Pid,
        reference: Reference,
        mut returned: Returned,
    ) -> Result<(), SendError> {
        if !self.forms.takes_payloads() {
            return self.send_down(&process, ProcessId::Pid(process.clone()), to, reference, &returned.to_raw());
        }
        let sender = Sender::from(&process);
        let control = PayloadMonitorPExit { from: ProcessId::Pid(process), to, reference };
        if returned.value.len() < Fragments::LARGE {
            return self.outbox.send(sender, &control, |out| {
                returned.encode_start(out);
                out.put(&returned.value);
            });
        }
        let value = Bytes::from(mem::take(&mut returned.value));
        self.outbox.send_parts(sender, &control, |out| returned.encode_start(out), &value, &[])
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

/// An old peer wants the reason inside the control message. A reason that cannot be decoded is not one of ours.
fn decoded(reason: &RawTerm) -> Term {
    reason.decode().unwrap_or_else(|_| Term::atom("badarg"))
}
