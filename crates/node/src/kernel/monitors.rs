//! Monitors: a process is told when another one ends.
//!
//! Erlang docs: *Reference Manual*, section "Processes", "Monitors".

use std::sync::Arc;

use peerl_proto::control::{Priority, ProcessId};
use peerl_term::{Pid, RawTerm, Reference};

use super::address::Address;
use super::connection::{Added, Connection};
use super::exits::Ending;
use super::process::{Core, Down, Message, MonitorId, Monitored, Watched, Watcher};
use super::reason;
use super::serving::PeerCalls;
use super::signal::{Delivery, Signal};
use super::state::Kernel;
use super::violation::Violation;

impl Core {
    /// What this process monitors has ended, as this peer tells if it is one of a peer.
    pub(super) fn monitor_fired(&self, reference: &Reference, reason: RawTerm, teller: Option<&Arc<PeerCalls>>) {
        let watched = self.alive().and_then(|mut state| state.watched.remove(reference));
        if let Some(Watched { object, .. }) = watched {
            let down = Message::Down(Box::new(Down { reference: reference.clone(), object, reason }));
            self.deliver_signal_with(down, Priority::Ordinary, teller);
        }
    }
}

impl Kernel {
    /// Monitors a process. If that is not there, or its node is not connected, `noproc` or `noconnection` comes at once.
    pub(crate) fn monitor(&self, watcher: &Arc<Core>, object: Monitored, reference: &Reference) {
        let place = self.place((&object).into());
        let watched = Watched { object: object.clone(), here: None, _tie: place.tie(&watcher.pid) };
        let Some(mut state) = watcher.alive() else { return };
        state.watched.insert(reference.clone(), watched);
        drop(state);
        let reason = match self.signal_in(place, &watcher.pid, (&object).into(), Signal::Monitor(reference)) {
            Delivery::Done | Delivery::NotOffered => None,
            Delivery::NoProcess => Some("noproc"),
            Delivery::Unreachable => Some("noconnection"),
        };
        if let Some(reason) = reason {
            watcher.monitor_fired(reference, reason::atom(reason).to_raw(), None);
        }
        if watcher.alive().is_none() {
            // It has ended meanwhile, and the demonitor of its end may have been sent before the monitor.
            let watched = Watched { object, here: None, _tie: None };
            self.stop_watching(&watcher.pid, &watched, reference, &mut Ending::default());
        }
    }

    /// Ends a monitor. Returns whether it was still there.
    pub(crate) fn demonitor(&self, watcher: &Core, reference: &Reference) -> bool {
        let watched = watcher.alive().and_then(|mut state| state.watched.remove(reference));
        let Some(watched) = watched else { return false };
        self.stop_watching(&watcher.pid, &watched, reference, &mut Ending::default());
        true
    }

    /// Removes the monitor from the monitored process.
    pub(super) fn stop_watching(&self, watcher: &Pid, watched: &Watched, reference: &Reference, ending: &mut Ending) {
        let to = watched.here.as_ref().map_or_else(|| Address::from(&watched.object), Address::Process);
        // A node that is not connected has no monitors of this one.
        let _ = self.signal_and(watcher, to, Signal::Demonitor(reference), ending);
    }

    /// A process of this node monitors another one of this node.
    pub(super) fn monitored_here(
        &self,
        watcher: &Pid,
        to: Address<'_>,
        process: Option<Arc<Core>>,
        reference: &Reference,
    ) {
        let Some(watching) = self.process(watcher) else { return };
        let name = match to {
            Address::Name(name, _) => Some(name.clone()),
            Address::Process(_) | Address::Alias(..) => None,
        };
        let id = MonitorId { node: watcher.node.clone(), reference: reference.clone() };
        let watched = process.filter(|process| {
            let state = process.alive();
            state.map(|mut state| state.watchers.insert(id, Watcher { pid: watcher.clone(), name })).is_some()
        });
        match watched {
            Some(process) => {
                if let Some(watched) = watching.alive().as_mut().and_then(|state| state.watched.get_mut(reference)) {
                    watched.here = Some(process.pid.clone());
                }
            }
            None => watching.monitor_fired(reference, reason::atom("noproc").to_raw(), None),
        }
    }

    /// A process of a peer monitors one of this node.
    pub(super) fn monitored_by_peer(
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
            let replaced = match connection.monitors.add(reference.clone(), process.clone()) {
                Added::New => None,
                Added::Replaced(before) => Some(before),
                Added::Closed => return Ok(()),
                Added::NoRoom => return Err(Violation::TooManyMonitors),
            };
            // With the connection's name of the node and the process's own, which take no memory of their own.
            let node = connection.atom.clone();
            let name = name.map(|name| state.names.iter().find(|own| **own == name).cloned().unwrap_or(name));
            let watcher = Watcher { pid: Pid { node: node.clone(), ..from }, name };
            state.watchers.insert(MonitorId { node, reference: reference.clone() }, watcher);
            drop(state);
            if let Some(before) = replaced
                && before.pid != process.pid
            {
                before.unwatch(&connection.atom, &reference);
            }
            return Ok(());
        }
        let _ = connection.send_down(&self.requester, to, from, reference, &reason::atom("noproc"))?;
        Ok(())
    }

    /// A process of a peer ends a monitor. The target in the message is ignored: the name may have moved.
    pub(super) fn demonitored_by_peer(&self, connection: &Connection, reference: &Reference) {
        if let Some(process) = connection.monitors.remove(reference) {
            process.unwatch(&connection.atom, reference);
        }
    }
}
