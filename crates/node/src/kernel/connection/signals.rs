//! Signals to processes of the peer, in the form that the peer understands.
//!
//! As in OTP, a peer that supports no monitors gets none: the watcher notices only the loss of the connection.

use std::num::NonZeroU64;

use peerl_proto::channel::{Fragments, MessageBuffer};
use peerl_proto::connection::Payer;
use peerl_proto::control::{Control, Offered, ProcessId, TraceToken};
use peerl_term::{Pid, Reference, Sink, encode};

use super::{Connection, QueueError};
use crate::kernel::address::Address;
use crate::kernel::reason::{Reason, Returned, is_large, leased};
use crate::kernel::signal::{Delivery, Signal};

impl Connection {
    /// Queues a signal of a process of this node; none to a process of an earlier incarnation of the peer, since a BEAM ends the
    /// connection on an exit signal or the end of a link to such a process.
    pub(crate) fn signal(&self, from: &Pid, to: Address<'_>, signal: Signal<'_>) -> Result<Delivery, QueueError> {
        if matches!(to, Address::Process(pid) if pid.creation != self.creation) {
            return Ok(Delivery::NoProcess);
        }
        let queued = |queued: Result<(), QueueError>| queued.map(|()| Delivery::Done);
        match (signal, to) {
            (Signal::Link, Address::Process(to)) => queued(self.send_link(from.clone(), to.clone())),
            (Signal::Unlink(id), Address::Process(to)) => self.send_unlink(id, from.clone(), to.clone()),
            (Signal::Exit(reason, token), Address::Process(to)) => {
                queued(self.send_exit(from.clone(), to.clone(), reason, token))
            }
            (Signal::Exit2(reason), Address::Process(to)) => queued(self.send_exit2(from.clone(), to.clone(), reason)),
            (Signal::Exit2(reason), Address::Alias(to, priority)) => {
                match self.forms.exit_alias(priority, from.clone(), to.clone()) {
                    Some(control) => queued(self.send_with(from, &control, &self.fit_reason(reason))),
                    None => Ok(Delivery::NotOffered),
                }
            }
            (Signal::GroupLeader(leader), Address::Process(to)) => {
                let control = self.forms.group_leader(leader.clone(), to.clone());
                queued(self.outbox.send(from, &control, |_| {}))
            }
            (Signal::Down { name, reference, reason }, Address::Process(to)) => {
                self.monitors.fired(reference, from);
                let sender = name.map_or_else(|| ProcessId::Pid(from.clone()), |name| ProcessId::Name(name.clone()));
                self.send_down(from, sender, to.clone(), reference.clone(), reason)
            }
            (Signal::Monitor(reference), to) => match to.process_id() {
                Some(to) => self.send_monitor(from.clone(), to, reference.clone()),
                None => Ok(Delivery::NotOffered),
            },
            (Signal::Demonitor(reference), to) => match to.process_id() {
                Some(to) => queued(self.send_demonitor(from.clone(), to, reference.clone())),
                None => Ok(Delivery::NotOffered),
            },
            // Links and exits are between pids.
            (_, Address::Name(..) | Address::Alias(..)) => Ok(Delivery::NotOffered),
        }
    }

    /// A linked process has ended.
    fn send_exit(&self, from: Pid, to: Pid, reason: &Reason, token: Option<&TraceToken>) -> Result<(), QueueError> {
        let reason = self.fit_reason(reason);
        let control = self.forms.with_token(self.forms.exit(from.clone(), to), token);
        self.send_with(&from, &control, &reason)
    }

    /// `exit(To, Reason)`.
    fn send_exit2(&self, from: Pid, to: Pid, reason: &Reason) -> Result<(), QueueError> {
        let reason = self.fit_reason(reason);
        self.send_with(&from.clone(), &self.forms.exit2(from, to), &reason)
    }

    /// A monitored process has ended, or was not there.
    pub(crate) fn send_down(
        &self,
        sender: &Pid,
        from: ProcessId,
        to: Pid,
        reference: Reference,
        reason: &Reason,
    ) -> Result<Delivery, QueueError> {
        let reason = self.fit_reason(reason);
        match self.forms.monitor_exit(from, to, reference) {
            Some(control) => self.send_with(sender, &control, &reason).map(|()| Delivery::Done),
            None => Ok(Delivery::NotOffered),
        }
    }

    /// A process spawned by `erpc` has ended; its exit reason carries the value of the call.
    pub(crate) fn send_returned(
        &self,
        process: Pid,
        to: Pid,
        reference: Reference,
        returned: Returned,
    ) -> Result<Delivery, QueueError> {
        let from = ProcessId::Pid(process.clone());
        if returned.value.has_records() {
            return self.send_down(&process, from, to, reference, &returned.into());
        }
        let Some(control) = self.forms.monitor_exit(from, to, reference) else {
            return Ok(Delivery::NotOffered);
        };
        let Returned { id, value, lease } = returned;
        if value.bytes().len() < Fragments::LARGE {
            let sent = self.outbox.send(&process, &control, |out| {
                id.encode_return(out);
                out.put(value.bytes());
            });
            return sent.map(|()| Delivery::Done);
        }
        let value = leased(value, lease);
        self.send_with(&process, &control, &Reason::Returned { id, value }).map(|()| Delivery::Done)
    }

    /// Sends a signal with its reason. A small one is encoded anew for this peer; one for which there is no memory is replaced.
    fn send_with(&self, sender: &Pid, control: &Offered<impl Control>, reason: &Reason) -> Result<(), QueueError> {
        let (sent, bytes) = match reason {
            Reason::Term(term) if !is_large(term) => {
                return self.outbox.end_if_lost(self.outbox.send(sender, control, |out| encode::term(term, out)));
            }
            Reason::Term(_) | Reason::Large(_) => {
                let encoded = reason.to_raw();
                (self.outbox.send_term(sender, control, &encoded), encoded.bytes().len())
            }
            // The share of the caller has paid for a large one.
            Reason::Returned { id, value } => {
                let start = |out: &mut MessageBuffer<'_>| id.encode_return(out);
                let sent = self.outbox.send_parts(sender, control, start, value, &[], Payer::Payload);
                (sent, value.bytes().len())
            }
        };
        match sent {
            Err(QueueError::NoMemory) => self.send_with(sender, control, &Reason::too_large(bytes)),
            sent => sent,
        }
    }

    fn send_link(&self, from: Pid, to: Pid) -> Result<(), QueueError> {
        let control = self.forms.link(from, to);
        self.outbox.send(&control.control().from, &control, |_| {})
    }

    /// The peer acknowledges an unlink later.
    fn send_unlink(&self, id: NonZeroU64, from: Pid, to: Pid) -> Result<Delivery, QueueError> {
        let Some(control) = self.forms.unlink(id, from, to) else { return Ok(Delivery::NotOffered) };
        self.outbox.send(&control.control().from, &control, |_| {}).map(|()| Delivery::Done)
    }

    pub(crate) fn send_monitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<Delivery, QueueError> {
        let Some(control) = self.forms.monitor(from, to, reference) else { return Ok(Delivery::NotOffered) };
        self.outbox.send(&control.control().from, &control, |_| {}).map(|()| Delivery::Done)
    }

    pub(crate) fn send_demonitor(&self, from: Pid, to: ProcessId, reference: Reference) -> Result<(), QueueError> {
        match self.forms.demonitor(from, to, reference) {
            Some(control) => self.outbox.send(&control.control().from, &control, |_| {}),
            None => Ok(()),
        }
    }
}
