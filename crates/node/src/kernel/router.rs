//! Where a message goes: to a mailbox, a pending call, the links and monitors, or an exported function.

use std::mem;
use std::num::NonZeroU64;
use std::sync::Arc;

use peerl_proto::channel::Message as Received;
use peerl_proto::control::{ProcessId, Signal, SpawnRequest};
use peerl_term::{Atom, Pid, RawTerm, Reference};

use crate::kernel::connection::{Added, Answer, Connection, QueueError};
use crate::kernel::process::{Core, Exits, Message, MonitorId, Overflow, Watcher};
use crate::kernel::reason::{self, Cause};
use crate::kernel::reply_tag::reply_tag;
use crate::kernel::serving;
use crate::kernel::serving::Spawn;
use crate::kernel::state::Kernel;

/// What became of a message.
pub(crate) enum Routed {
    Done,
    /// A process is to be spawned.
    Spawn(Spawn),
    /// The mailbox is full, and the process wants the connection to wait.
    Full(Arc<Core>, Message),
}

/// What a peer must not do; its connection ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a message whose payload is missing")]
    NoPayload,
    #[error("a {signal} from a process of another node")]
    Foreign { signal: &'static str },
    #[error(transparent)]
    Congested(#[from] QueueError),
}

impl Kernel {
    /// Carries a message of a peer to where it belongs. The place of the message is for the next one then.
    pub(crate) fn route(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        message: &mut Received,
    ) -> Result<Routed, Violation> {
        if let Some((loss, bytes)) = message.lost.take() {
            return self.lost(connection, &message.signal, loss, bytes).map(|()| Routed::Done);
        }
        let payload = message.payload.take();
        // The signal is matched in its place: moving it costs more than reading it.
        match &mut message.signal {
            Signal::Send { to, .. } => return Ok(self.route_message(connection, to, required(payload)?)),
            Signal::SendToName { to, .. } => return Ok(self.route_named(to, required(payload)?)),
            Signal::SendToAlias { to, .. } => return Ok(self.route_alias(connection, to, required(payload)?)),
            Signal::SpawnRequest(request) => return self.spawn(connection, request, required(payload)?),
            Signal::SpawnReply { reference, result, .. } => self.spawned(connection, reference, result)?,
            Signal::MonitorExit { to, reference, .. } => self.down(connection, to, reference, required(payload)?),
            Signal::Monitor { from, to, reference } => {
                let to = mem::replace(to, ProcessId::Pid(Pid::VACANT));
                let reference = mem::replace(reference, Reference::VACANT);
                self.monitored_by(connection, taken(from), to, reference)?;
            }
            Signal::Demonitor { reference, .. } => self.demonitored_by(connection, reference),
            Signal::Link { from, to } => self.linked_by(connection, taken(from), taken(to))?,
            Signal::Unlink { id, from, to } => self.unlinked_by(connection, *id, taken(from), taken(to))?,
            Signal::UnlinkAck { id, from, to } => {
                if let Some(process) = self.process(to)
                    && let Some(mut state) = process.alive()
                {
                    state.links.unlink_acknowledged(from, *id);
                }
            }
            Signal::Exit { from, to } => self.link_broken(connection, from, to, required(payload)?)?,
            Signal::Exit2 { from, to } => self.exit_by(taken(from), to, required(payload)?),
            Signal::Exit2ToAlias { from, to } => self.exit_alias_by(taken(from), to, required(payload)?),
            Signal::GroupLeader { from, to } => {
                if let Some(process) = self.process(to)
                    && let Some(mut state) = process.alive()
                {
                    state.group_leader = Some(taken(from));
                }
            }
        }
        Ok(Routed::Done)
    }

    fn spawn(
        self: &Arc<Self>,
        connection: &Connection,
        request: &mut SpawnRequest,
        arguments: RawTerm,
    ) -> Result<Routed, Violation> {
        if request.from.node != connection.atom {
            return Err(Violation::Foreign { signal: "spawn request" });
        }
        Ok(serving::take_spawn(self, connection, request, arguments)?.map_or(Routed::Done, Routed::Spawn))
    }

    fn route_message(&self, connection: &Connection, to: &Pid, payload: RawTerm) -> Routed {
        if self.identity.is_same(to, &self.requester) {
            self.reply_by_tag(connection, payload);
            return Routed::Done;
        }
        match self.process(to) {
            Some(process) => self.deliver(process, Message::User(kept(payload))),
            None => Routed::Done,
        }
    }

    fn route_named(&self, to: &Atom, payload: RawTerm) -> Routed {
        match self.processes.whereis(to) {
            Some(process) => self.deliver(process, Message::User(kept(payload))),
            None => Routed::Done,
        }
    }

    /// Puts a message into a mailbox, or does what the process wants done if that is full.
    pub(crate) fn deliver(&self, process: Arc<Core>, message: Message) -> Routed {
        match process.deliver(message) {
            Ok(()) => Routed::Done,
            Err((message, Overflow::Wait)) => Routed::Full(process, message),
            Err((_, Overflow::Drop)) => {
                tracing::warn!(pid = ?process.pid, "dropped a message: the mailbox is full");
                Routed::Done
            }
            Err((_, Overflow::Exit)) => {
                tracing::error!(pid = ?process.pid, "ended a process: its mailbox is full");
                self.end(&process, &reason::atom("mailbox_overflow"));
                Routed::Done
            }
        }
    }

    /// An alias of this node is one of a process, or the reference of a request that waits for its reply.
    fn route_alias(&self, connection: &Connection, to: &Reference, payload: RawTerm) -> Routed {
        let Some(number) = self.identity.reference_number(to) else { return Routed::Done };
        match self.processes.of_alias(number) {
            Some(process) => self.deliver(process, Message::User(kept(payload))),
            None => {
                connection.calls.answer(number, Answer::Reply(payload));
                Routed::Done
            }
        }
    }

    /// A reply that was sent to the pid of the one who asked, not to the alias: the tag in it names the request.
    fn reply_by_tag(&self, connection: &Connection, payload: RawTerm) {
        if let Some(reference) = reply_tag(&payload)
            && let Some(number) = self.identity.reference_number(&reference)
        {
            connection.calls.answer(number, Answer::Reply(payload));
        }
    }

    fn spawned(
        &self,
        connection: &Connection,
        request: &Reference,
        result: &Result<Pid, Atom>,
    ) -> Result<(), Violation> {
        let Some(number) = self.identity.reference_number(request) else { return Ok(()) };
        match result {
            Ok(pid) => {
                if connection.calls.spawned(number, pid) {
                    let (from, to) = (self.requester.clone(), ProcessId::Pid(pid.clone()));
                    connection.send_demonitor(from, to, request.clone())?;
                }
            }
            Err(error) => connection.calls.answer(number, Answer::NotSpawned(error.clone())),
        }
        Ok(())
    }

    fn down(&self, connection: &Connection, to: &Pid, reference: &Reference, reason: RawTerm) {
        if self.identity.is_same(to, &self.requester) {
            if let Some(number) = self.identity.reference_number(reference) {
                connection.calls.answer(number, Answer::Down(reason));
            }
            return;
        }
        self.monitor_fired(to, &self.identity.own_reference(reference), reason);
    }

    fn monitored_by(
        &self,
        connection: &Connection,
        from: Pid,
        to: ProcessId,
        reference: Reference,
    ) -> Result<(), Violation> {
        if from.node != connection.atom {
            return Err(Violation::Foreign { signal: "monitor" });
        }
        let (process, name) = match &to {
            ProcessId::Pid(pid) => (self.process(pid), None),
            ProcessId::Name(name) => (self.processes.whereis(name), Some(name.clone())),
        };
        if let Some(process) = process
            && let Some(mut state) = process.alive()
        {
            let added = connection.monitors.add(reference.clone(), process.clone());
            if !matches!(added, Added::Closed) {
                state.watchers.insert(
                    MonitorId { node: from.node.clone(), reference: reference.clone() },
                    Watcher { pid: from, name },
                );
            }
            drop(state);
            if let Added::Replaced(before) = added
                && before.pid != process.pid
            {
                unwatch(&before, connection, &reference);
            }
            return Ok(());
        }
        let _ = connection.send_down(&self.requester, to, from, reference, &reason::atom("noproc"))?;
        Ok(())
    }

    /// The target that the message names does not matter: a name may have moved since.
    fn demonitored_by(&self, connection: &Connection, reference: &Reference) {
        if let Some(process) = connection.monitors.remove(reference) {
            unwatch(&process, connection, reference);
        }
    }

    fn linked_by(&self, connection: &Connection, from: Pid, to: Pid) -> Result<(), Violation> {
        if from.node != connection.atom {
            return Err(Violation::Foreign { signal: "link" });
        }
        if let Some(process) = self.process(&to)
            && let Some(mut state) = process.alive()
        {
            state.links.linked_by(from);
            return Ok(());
        }
        Ok(connection.send_exit(to, from, &reason::atom("noproc"))?)
    }

    /// The acknowledgement, if the peer waits for one, goes out before anything that the process sends from now on.
    fn unlinked_by(
        &self,
        connection: &Connection,
        id: Option<NonZeroU64>,
        from: Pid,
        to: Pid,
    ) -> Result<(), Violation> {
        if from.node != connection.atom || from.creation != connection.creation {
            return Ok(());
        }
        let process = self.process(&to);
        let mut state = process.as_ref().and_then(|process| process.alive());
        if let Some(state) = &mut state {
            state.links.unlinked_by(&from);
        }
        let Some(id) = id else { return Ok(()) };
        let ack = connection.forms.unlink_ack(id, to, from);
        Ok(connection.outbox.send(&ack.control().from, &ack, |_| {})?)
    }

    /// A linked process of the peer has ended.
    pub(crate) fn link_broken(
        &self,
        connection: &Connection,
        from: &Pid,
        to: &Pid,
        reason: impl Into<Cause>,
    ) -> Result<(), Violation> {
        if from.node != connection.atom {
            return Err(Violation::Foreign { signal: "link's end" });
        }
        let Some(process) = self.process(to) else { return Ok(()) };
        let mut cause = reason.into();
        if process.alive().is_none_or(|state| state.exits != Exits::Trap) {
            // First of all: if the reason is malformed, the link is left for the end of the connection to break.
            match cause.into_reason() {
                Some(reason) => cause = reason.into(),
                None => return Ok(()),
            }
        }
        let active = process.alive().is_some_and(|mut state| state.links.ended(from));
        if active {
            self.exit_signal(&process, from.clone(), cause);
        }
        Ok(())
    }

    /// A process of the peer calls `exit(To, Reason)`.
    pub(crate) fn exit_by(&self, from: Pid, to: &Pid, reason: impl Into<Cause>) {
        if let Some(process) = self.process(to) {
            self.exit_request(&process, from, reason);
        }
    }

    /// A process of the peer calls `exit(Alias, Reason)`.
    pub(crate) fn exit_alias_by(&self, from: Pid, to: &Reference, reason: impl Into<Cause>) {
        if let Some(process) = self.process_of_alias(to) {
            self.exit_request(&process, from, reason);
        }
    }
}

/// A process of the peer monitors this one no longer.
fn unwatch(process: &Core, connection: &Connection, reference: &Reference) {
    if let Some(mut state) = process.alive() {
        state.unwatch(&connection.atom, reference);
    }
}

/// A payload that may lie in a mailbox for long. A small one is copied: it would keep the buffer in memory that it was
/// read into, which may be a thousand times as large, and which the mailbox's limit does not count.
fn kept(payload: RawTerm) -> RawTerm {
    const SMALL: usize = 1 << 10;
    if payload.bytes().len() < SMALL { payload.unshared() } else { payload }
}

/// Takes the pid out of a signal whose place is for the next one.
fn taken(pid: &mut Pid) -> Pid {
    mem::replace(pid, Pid::VACANT)
}

fn required(payload: Option<RawTerm>) -> Result<RawTerm, Violation> {
    payload.ok_or(Violation::NoPayload)
}
