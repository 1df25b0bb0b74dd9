//! Signals to processes of the peer, in the form that the peer understands.
//!
//! A peer that takes no monitors is sent nothing of them, as OTP does: what watches one of its processes notices only the
//! loss of the connection.

use std::mem;

use bytes::Bytes;
use peerl_proto::channel::Fragments;
use peerl_proto::control::ProcessId;
use peerl_term::{Pid, RawTerm, Reference, Sink, Term};

use super::{Connection, SendError, Sender};
use crate::reason::Returned;

/// Whether a signal went to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Sent {
    /// It is queued.
    Yes,
    /// The peer takes no such signals.
    NotOffered,
}

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
    ) -> Result<Sent, SendError> {
        match self.forms.monitor_exit(from, to, reference, || decoded(reason)) {
            Some(control) => self.outbox.send_term(sender, &control, reason).map(|()| Sent::Yes),
            None => Ok(Sent::NotOffered),
        }
    }

    /// A monitored process has made its call for `erpc`, and ended with the value for its reason.
    pub(crate) fn send_returned(
        &self,
        process: Pid,
        to: Pid,
        reference: Reference,
        mut returned: Returned,
    ) -> Result<Sent, SendError> {
        let sender = Sender::from(&process);
        let from = ProcessId::Pid(process);
        let reason = || returned.to_raw().decode().unwrap_or_else(|_| Term::atom("badarg"));
        let Some(control) = self.forms.monitor_exit(from, to, reference, reason) else { return Ok(Sent::NotOffered) };
        if returned.value.len() < Fragments::LARGE {
            let sent = self.outbox.send(sender, &control, |out| {
                returned.encode_start(out);
                out.put(&returned.value);
            });
            return sent.map(|()| Sent::Yes);
        }
        let value = Bytes::from(mem::take(&mut returned.value));
        self.outbox.send_parts(sender, &control, |out| returned.encode_start(out), &value, &[]).map(|()| Sent::Yes)
    }

    pub(crate) fn send_link(&self, from: Pid, to: Pid) -> Result<(), SendError> {
        let control = self.forms.link(from, to);
        self.outbox.send(&control.control().from, &control, |_| {})
    }

    /// An unlink that is sent is acknowledged later.
    pub(crate) fn send_unlink(&self, id: u64, from: Pid, to: Pid) -> Result<Sent, SendError> {
        let Some(control) = self.forms.unlink(id, from, to) else { return Ok(Sent::NotOffered) };
        self.outbox.send(&control.control().from, &control, |_| {}).map(|()| Sent::Yes)
    }

    pub(crate) fn send_monitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<Sent, SendError> {
        let Some(control) = self.forms.monitor(from, to, reference) else { return Ok(Sent::NotOffered) };
        self.outbox.send(&control.control().from, &control, |_| {}).map(|()| Sent::Yes)
    }

    pub(crate) fn send_demonitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<(), SendError> {
        match self.forms.demonitor(from, to, reference) {
            Some(control) => self.outbox.send(&control.control().from, &control, |_| {}),
            None => Ok(()),
        }
    }
}

/// An old peer wants the reason inside the control message. A reason that cannot be decoded is not one of ours.
fn decoded(reason: &RawTerm) -> Term {
    reason.decode().unwrap_or_else(|_| Term::atom("badarg"))
}
