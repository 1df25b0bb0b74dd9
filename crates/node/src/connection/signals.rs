//! Signals to processes of the peer, in the form that the peer understands.

use peerl_proto::control::{
    DemonitorP, Exit, Exit2, Link, MonitorP, MonitorPExit, PayloadExit, PayloadExit2, PayloadMonitorPExit, ProcessId,
    Unlink, UnlinkId,
};
use peerl_proto::flags::DistributionFlags;
use peerl_term::{Pid, RawTerm, Reference, Term};

use super::{Connection, SendError};

impl Connection {
    /// A linked process has ended.
    pub(crate) fn send_exit(&self, from: Pid, to: Pid, reason: &RawTerm) -> Result<(), SendError> {
        if self.flags.contains(DistributionFlags::EXIT_PAYLOAD) {
            let control = PayloadExit { from, to };
            self.outbox.send(&control.from, &control, |out| reason.encode(out))
        } else {
            let control = Exit { from, to, reason: decoded(reason) };
            self.outbox.send(&control.from, &control, |_| {})
        }
    }

    /// `exit(To, Reason)`.
    pub(crate) fn send_exit2(&self, from: Pid, to: Pid, reason: &RawTerm) -> Result<(), SendError> {
        if self.flags.contains(DistributionFlags::EXIT_PAYLOAD) {
            let control = PayloadExit2 { from, to };
            self.outbox.send(&control.from, &control, |out| reason.encode(out))
        } else {
            let control = Exit2 { from, to, reason: decoded(reason) };
            self.outbox.send(&control.from, &control, |_| {})
        }
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
        if self.flags.contains(DistributionFlags::EXIT_PAYLOAD) {
            let control = PayloadMonitorPExit { from, to, reference };
            self.outbox.send(sender, &control, |out| reason.encode(out))
        } else {
            let control = MonitorPExit { from, to, reference, reason: decoded(reason) };
            self.outbox.send(sender, &control, |_| {})
        }
    }

    pub(crate) fn send_link(&self, from: Pid, to: Pid) -> Result<(), SendError> {
        let control = Link { from, to };
        self.outbox.send(&control.from, &control, |_| {})
    }

    pub(crate) fn send_unlink(&self, id: u64, from: Pid, to: Pid) -> Result<(), SendError> {
        if self.flags.contains(DistributionFlags::UNLINK_ID) {
            let control = UnlinkId { id, from, to };
            self.outbox.send(&control.from, &control, |_| {})
        } else {
            let control = Unlink { from, to };
            self.outbox.send(&control.from, &control, |_| {})
        }
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
