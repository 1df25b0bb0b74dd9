//! Links between processes: when one of the two ends, the other gets an exit signal.
//!
//! Erlang docs: *Reference Manual*, section "Processes", "Links"; *Distribution Protocol*, section "New Link Protocol".

use std::num::NonZeroU64;
use std::sync::Arc;

use peerl_term::Pid;

use super::address::Address;
use super::connection::Connection;
use super::exits::Ending;
use super::long_work;
use super::process::{Core, Exits};
use super::reason::{self, Cause};
use super::signal::{Delivery, Signal};
use super::state::Kernel;
use super::violation::Violation;

impl Core {
    /// Another process links to this one. Returns whether this one is alive.
    pub(super) fn linked_by(&self, other: &Pid) -> bool {
        self.alive().map(|mut state| state.links.linked_by(other.clone())).is_some()
    }
}

impl Kernel {
    /// Links a process to another one. If that is not there, or its node is not connected, the process gets an exit signal
    /// with `noproc` or `noconnection`.
    pub(crate) fn link(&self, process: &Arc<Core>, other: &Pid) {
        if *other == process.pid {
            return;
        }
        let place = self.place(Address::Process(other));
        let tie = place.tie(&process.pid);
        let is_new = process.alive().is_some_and(|mut state| state.links.link(other.clone(), tie));
        if !is_new {
            return;
        }
        let reason = match self.signal_in(place, &process.pid, Address::Process(other), Signal::Link) {
            Delivery::Done | Delivery::NotOffered => None,
            Delivery::NoProcess => Some("noproc"),
            Delivery::Unreachable => Some("noconnection"),
        };
        if let Some(reason) = reason {
            let mut ending = Ending::default();
            self.break_link(process, other, reason::atom(reason), &mut ending);
            self.end_all(ending);
        }
        if let Some(reason) = process.exit_reason() {
            // It has ended meanwhile, and the exit signal of its end may have been sent before the link.
            let _ = self.signal(&process.pid, Address::Process(other), Signal::Exit(&reason, None));
        }
    }

    /// Ends a link, if there is one.
    pub(crate) fn unlink(&self, process: &Arc<Core>, other: &Pid) {
        let Some(id) = process.alive().and_then(|mut state| state.links.unlink(other)) else { return };
        let delivery = self.signal(&process.pid, Address::Process(other), Signal::Unlink(id));
        let Some(mut state) = process.alive() else { return };
        // Nobody acknowledges what was not sent. If the peer has no memory left, its old signals may belong to a new link.
        let is_kept = delivery == Delivery::Done
            && self.connections.get(&other.node).is_none_or(|peer| state.links.is_owed(other, &peer.memory));
        if !is_kept {
            state.links.unlink_acknowledged(other, id.get());
        }
    }

    /// A process that was linked to this one has ended, or cannot be reached.
    pub(super) fn break_link(&self, to: &Arc<Core>, from: &Pid, cause: impl Into<Cause>, ending: &mut Ending) {
        let was_active = to.alive().is_some_and(|mut state| state.links.ended(from));
        if was_active {
            self.exit_signal(to, from.clone(), cause, ending);
        }
    }

    /// A process of a peer links to one of this node.
    pub(super) fn linked_by_peer(&self, connection: &Connection, from: &Pid, to: &Pid) -> Result<(), Violation> {
        if from.node != connection.atom {
            return Err(Violation::Foreign { signal: "link" });
        }
        // With the connection's name of the node, which takes no memory of its own.
        let other = Pid { node: connection.atom.clone(), ..*from };
        let process = self.process(to);
        let grows = process.as_ref().and_then(|process| Some(process.alive()?.links.grow_long())).unwrap_or(false);
        let linked = long_work::run_if(grows, || {
            let process = process?;
            let tie = connection.ties.tie(&process.pid);
            Some(process.alive()?.links.linked_by_peer(other, &connection.memory, tie))
        });
        match linked {
            Some(true) => {}
            Some(false) => return Err(Violation::TooManyMonitors),
            None => {
                let noproc = reason::atom("noproc");
                let _ = connection.signal(to, Address::Process(from), Signal::Exit(&noproc, None))?;
            }
        }
        Ok(())
    }

    /// A process of a peer unlinks from one of this node. The acknowledgement, if the peer waits for one, goes out before
    /// anything that the process sends from now on.
    pub(super) fn unlinked_by_peer(
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

    /// A process of a peer acknowledges that the link is no more.
    pub(super) fn unlink_acknowledged_by_peer(&self, id: u64, from: &Pid, to: &Pid) {
        if let Some(process) = self.process(to)
            && let Some(mut state) = process.alive()
        {
            state.links.unlink_acknowledged(from, id);
        }
    }

    /// A linked process of a peer has ended.
    pub(super) fn link_broken_by_peer(
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
            // Decoded first: if the reason is malformed, the end of the connection breaks the link.
            match cause.into_reason() {
                Some(reason) => cause = reason.into(),
                None => return Ok(()),
            }
        }
        let mut ending = Ending::default();
        self.break_link(&process, from, cause, &mut ending);
        self.end_all(ending);
        Ok(())
    }
}
