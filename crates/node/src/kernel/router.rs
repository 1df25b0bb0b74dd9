//! Routes what a peer sends: to a mailbox, a pending call, links and monitors, or an exported function.

use std::mem;
use std::sync::Arc;

use peerl_proto::channel::Message as Received;
use peerl_proto::control::{Priority, ProcessId, Signal, SpawnRequest, TraceToken};
use peerl_term::{Atom, Pid, RawTerm, Reference};

use crate::kernel::address::Address;
use crate::kernel::connection::{Answer, Connection};
use crate::kernel::figures::Dropped;
use crate::kernel::long_work;
use crate::kernel::process::{Core, Envelope, Message, Overflow};
use crate::kernel::reason::{self, Cause};
use crate::kernel::reply_tag::reply_tag;
use crate::kernel::serving;
use crate::kernel::serving::{PeerCalls, Spawn};
use crate::kernel::state::Kernel;
use crate::kernel::violation::Violation;

/// The outcome of routing a message.
pub(crate) enum Routed {
    Done,
    /// The mailbox is full, and the process wants the connection to wait.
    Full(Arc<Core>, Envelope),
    /// The message reaches no process.
    Dropped(Dropped),
}

impl Kernel {
    /// Routes a message of a peer; adds the process that it wants spawned to `spawns`. Afterwards the storage of the message is
    /// reused for the next one.
    pub(crate) fn route(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        message: &mut Received,
        spawns: &mut Vec<Spawn>,
    ) -> Result<Routed, Violation> {
        connection.counts.received();
        if let Some((loss, bytes)) = message.lost.take() {
            return self.lost(connection, &message.signal, loss, bytes).map(|()| Routed::Done);
        }
        let payload = message.payload.take();
        let token = message.token.take().and_then(|token| TraceToken::from_term(&token)).map(Box::new);
        // The signal is matched in place: moving it costs more than reading it.
        match &mut message.signal {
            Signal::Send { to, .. } => return Ok(self.route_message(connection, to, required(payload)?, token)),
            Signal::SendToName { to, .. } => return Ok(self.route_named(connection, to, required(payload)?, token)),
            Signal::SendToAlias { to, .. } => {
                return Ok(self.route_alias(connection, (to, Priority::Ordinary), required(payload)?, token));
            }
            Signal::SendToAliasWithPriority { to, .. } => {
                return Ok(self.route_alias(connection, (to, Priority::High), required(payload)?, token));
            }
            Signal::SpawnRequest(request) => {
                spawns.extend(self.spawn(connection, request, required(payload)?, token)?);
            }
            Signal::SpawnReply { reference, result, .. } => self.spawned(connection, reference, result)?,
            Signal::MonitorExit { to, reference, .. } => self.down(connection, to, reference, required(payload)?),
            Signal::Monitor { from, to, reference } => {
                let to = mem::replace(to, ProcessId::Pid(Pid::VACANT));
                let reference = mem::replace(reference, Reference::VACANT);
                let from = taken(from);
                long_work::run_if(connection.monitors.grow_long(), || {
                    self.monitored_by_peer(connection, from, to, reference)
                })?;
            }
            Signal::Demonitor { reference, .. } => self.demonitored_by_peer(connection, reference),
            Signal::Link { from, to } => self.linked_by_peer(connection, from, to)?,
            Signal::Unlink { id, from, to } => self.unlinked_by_peer(connection, *id, taken(from), taken(to))?,
            Signal::UnlinkAck { id, from, to } => self.unlink_acknowledged_by_peer(*id, from, to),
            Signal::Exit { from, to } => {
                let cause = Cause::from(required(payload)?).with_token(token).with_sender(&connection.served);
                self.link_broken_by_peer(connection, from, to, cause)?;
            }
            Signal::Exit2 { from, to } => {
                let cause = Cause::from(required(payload)?).with_token(token).with_sender(&connection.served);
                self.exit_by_peer(taken(from), to, cause);
            }
            Signal::Exit2ToAlias { from, to, priority } => {
                let cause = Cause::from(required(payload)?).with_token(token).with_sender(&connection.served);
                self.exit_alias_by_peer(taken(from), Address::Alias(to, *priority), cause);
            }
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
        token: Option<Box<TraceToken>>,
    ) -> Result<Option<Spawn>, Violation> {
        if request.from.node != connection.atom {
            return Err(Violation::Foreign { signal: "spawn request" });
        }
        Ok(serving::take_spawn(self, connection, request, arguments, token)?)
    }

    fn route_message(
        &self,
        connection: &Connection,
        to: &Pid,
        payload: RawTerm,
        token: Option<Box<TraceToken>>,
    ) -> Routed {
        if self.identity.is_same(to, &self.requester) {
            self.reply_by_tag(connection, payload);
            return Routed::Done;
        }
        match self.process(to) {
            Some(process) => {
                let message = Envelope { message: Message::of_peer(payload), token };
                self.deliver(process, message, Priority::Ordinary, Some(&connection.served))
            }
            None => Routed::Dropped(Dropped::NoProcess),
        }
    }

    fn route_named(
        &self,
        connection: &Connection,
        to: &Atom,
        payload: RawTerm,
        token: Option<Box<TraceToken>>,
    ) -> Routed {
        match self.processes.whereis(to) {
            Some(process) => {
                let message = Envelope { message: Message::of_peer(payload), token };
                self.deliver(process, message, Priority::Ordinary, Some(&connection.served))
            }
            None => Routed::Dropped(Dropped::NoProcess),
        }
    }

    /// Puts a message into a mailbox, from a peer that has this share; if the mailbox is full, follows its policy.
    pub(crate) fn deliver(
        &self,
        process: Arc<Core>,
        message: impl Into<Envelope>,
        priority: Priority,
        sender: Option<&Arc<PeerCalls>>,
    ) -> Routed {
        match process.deliver(message, priority, sender) {
            Ok(()) => Routed::Done,
            Err((message, Overflow::Wait)) => Routed::Full(process, message),
            Err((_, Overflow::Drop)) => {
                let warning = || format!("dropped a message for {:?}: its mailbox is full", process.pid);
                self.dropped_messages.warn("messages for full mailboxes dropped", warning);
                Routed::Dropped(Dropped::MailboxFull)
            }
            Err((_, Overflow::Exit)) => {
                self.end_overflowing(&process);
                Routed::Dropped(Dropped::MailboxFull)
            }
        }
    }

    /// Ends a process whose mailbox is full.
    pub(super) fn end_overflowing(&self, process: &Arc<Core>) {
        tracing::error!(pid = ?process.pid, "ended a process: its mailbox is full");
        self.end(process, &reason::atom("mailbox_overflow"));
    }

    /// A message for a process is dropped, since the peer that has caused it has no memory left for it.
    pub(crate) fn no_room(&self, process: &Core) {
        let warning = || format!("dropped a message for {:?}: its peer has no memory left for it", process.pid);
        self.dropped_messages.warn("messages of peers without memory dropped", warning);
    }

    /// An alias of this node belongs to a process, or is the reference of a pending request.
    fn route_alias(
        &self,
        connection: &Connection,
        (to, sent): (&Reference, Priority),
        payload: RawTerm,
        token: Option<Box<TraceToken>>,
    ) -> Routed {
        let Some(number) = self.identity.reference_number(to) else { return Routed::Done };
        match self.processes.of_alias(number) {
            Some(process) => {
                let priority = self.priority(&process, Address::Alias(to, sent));
                let message = Envelope { message: Message::of_peer(payload), token };
                self.deliver(process, message, priority, Some(&connection.served))
            }
            None => {
                connection.calls.answer(number, Answer::Reply(payload));
                Routed::Done
            }
        }
    }

    /// A reply that was sent to the requester's pid instead of the alias: its tag identifies the request.
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

    pub(super) fn down(&self, connection: &Connection, to: &Pid, reference: &Reference, reason: RawTerm) {
        if self.identity.is_same(to, &self.requester) {
            if let Some(number) = self.identity.reference_number(reference) {
                connection.calls.answer(number, Answer::Down(reason));
            }
            return;
        }
        if let Some(process) = self.process(to) {
            process.monitor_fired(&self.identity.own_reference(reference), reason, Some(&connection.served));
        }
    }
}

/// Takes the pid out of a signal whose storage is reused.
fn taken(pid: &mut Pid) -> Pid {
    mem::replace(pid, Pid::VACANT)
}

fn required(payload: Option<RawTerm>) -> Result<RawTerm, Violation> {
    payload.ok_or(Violation::NoPayload)
}
