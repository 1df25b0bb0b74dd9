//! What processes do to each other: exit signals, links, monitors; and what the end of a process or a connection
//! means to the others.
//!
//! Erlang docs: *Reference Manual*, section "Processes".

use std::collections::VecDeque;
use std::sync::Arc;

use peerl_proto::control::ProcessId;
use peerl_proto::node_name::NodeName;
use peerl_term::{Pid, RawTerm, Reference};

use crate::kernel::process::{Core, Down, EndedState, Exit, Exits, Message, Monitored, Watched};
use crate::kernel::reason::{self, Cause, Reason};
use crate::kernel::state::Kernel;

impl Kernel {
    /// The process with this pid, if it lives.
    pub(crate) fn process(&self, pid: &Pid) -> Option<Arc<Core>> {
        self.processes.get(&self.identity, pid)
    }

    /// The process that has this alias, if it lives and the alias is of this node.
    pub(crate) fn process_of_alias(&self, alias: &Reference) -> Option<Arc<Core>> {
        self.processes.of_alias(self.identity.reference_number(alias)?)
    }

    /// `exit(To, Reason)`: `kill` cannot be trapped, `normal` does nothing to a process that does not trap exits.
    pub(crate) fn exit_request(&self, to: &Arc<Core>, from: Pid, reason: impl Into<Cause>) {
        let cause = reason.into();
        let ignored = to.alive().is_none_or(|state| state.exits == Exits::Ignore);
        if !ignored && cause.is_atom("kill") {
            self.end(to, &reason::atom("killed"));
        } else {
            self.exit_signal(to, from, cause);
        }
    }

    /// The exit signal of a linked process, or of `exit/2`.
    pub(crate) fn exit_signal(&self, to: &Arc<Core>, from: Pid, reason: impl Into<Cause>) {
        let cause = reason.into();
        let Some(exits) = to.alive().map(|state| state.exits) else { return };
        match exits {
            Exits::Trap => to.deliver_signal(Message::Exit(Box::new(Exit { from, reason: cause.into_raw() }))),
            Exits::End if !cause.is_atom("normal") => {
                if let Some(reason) = cause.into_reason() {
                    self.end(to, &reason);
                }
            }
            Exits::End => {}
            // It is still looked at: one that is malformed ends the connection that it came by.
            Exits::Ignore => drop(cause.into_reason()),
        }
    }

    /// Ends a process: whoever is linked to it or monitors it is told. Ends, in turn, those of this node that were
    /// linked to it.
    pub(crate) fn end(&self, process: &Arc<Core>, reason: &Reason) {
        let mut ending: VecDeque<(Arc<Core>, Reason)> = VecDeque::from([(process.clone(), reason.clone())]);
        while let Some((process, reason)) = ending.pop_front() {
            let Some(ended) = process.end(&reason) else { continue };
            self.processes.remove(&process.pid, &ended.names, &ended.aliases);
            self.propagate_end(&process.pid, ended, &reason, &mut ending);
        }
    }

    fn propagate_end(&self, pid: &Pid, ended: EndedState, reason: &Reason, ending: &mut VecDeque<(Arc<Core>, Reason)>) {
        for linked in ended.links {
            if let Some(other) = self.process(&linked) {
                let exits = other.alive().and_then(|mut state| state.links.ended(pid).then_some(state.exits));
                match exits.unwrap_or(Exits::Ignore) {
                    Exits::Trap => {
                        let exit = Exit { from: pid.clone(), reason: reason.to_raw() };
                        other.deliver_signal(Message::Exit(Box::new(exit)));
                    }
                    Exits::End if !reason.is_atom("normal") => ending.push_back((other, reason.clone())),
                    Exits::End | Exits::Ignore => {}
                }
            } else if let Some(connection) = self.connections.get(&linked.node) {
                // What cannot be sent is settled by the end of the connection.
                let _ = connection.send_exit(pid.clone(), linked, reason);
            }
        }
        for (reference, watcher) in ended.watchers {
            if self.identity.is_local(&watcher.pid) {
                self.monitor_fired(&watcher.pid, &reference, reason.to_raw());
            } else if let Some(connection) = self.connections.get(&watcher.pid.node) {
                connection.monitors.fired(&reference, pid);
                let from = watcher.name.map_or_else(|| ProcessId::Pid(pid.clone()), ProcessId::Name);
                let _ = connection.send_down(pid, from, watcher.pid, reference, reason);
            }
        }
        for (reference, watched) in ended.watched {
            self.stop_watching(pid, &watched, &reference);
        }
    }

    /// Tells the watched side that the monitor is no more.
    pub(crate) fn stop_watching(&self, watcher: &Pid, watched: &Watched, reference: &Reference) {
        if let Some(here) = &watched.here {
            let process = self.process(here);
            if let Some(mut state) = process.as_ref().and_then(|process| process.alive()) {
                state.unwatch(&watcher.node, reference);
            }
            return;
        }
        let (node, id) = match &watched.object {
            Monitored::Process(pid) => (&pid.node, ProcessId::Pid(pid.clone())),
            Monitored::Name(name, node) => (node.as_atom(), ProcessId::Name(name.clone())),
        };
        if let Some(connection) = self.connections.get(node) {
            let _ = connection.send_demonitor(watcher.clone(), id, reference.clone());
        }
    }

    /// What a local process monitors has ended.
    pub(crate) fn monitor_fired(&self, watcher: &Pid, reference: &Reference, reason: RawTerm) {
        let Some(process) = self.process(watcher) else { return };
        let watched = process.alive().and_then(|mut state| state.watched.remove(reference));
        if let Some(Watched { object, .. }) = watched {
            process.deliver_signal(Message::Down(Box::new(Down { reference: reference.clone(), object, reason })));
        }
    }

    /// All processes learn that a node cannot be reached any more: `noconnection`.
    pub(crate) fn node_gone(&self, node: &NodeName) {
        let noconnection = reason::atom("noconnection");
        let of_node = |pid: &Pid| pid.node == *node.as_atom();
        for process in self.processes.all() {
            let (links, watched) = {
                let Some(mut state) = process.alive() else { continue };
                state.watchers.retain(|_, watcher| !of_node(&watcher.pid));
                if state.spawner.as_ref().is_some_and(|(_, pid)| of_node(pid)) {
                    state.spawner = None;
                }
                let gone = |watched: &Watched| match &watched.object {
                    Monitored::Process(pid) => of_node(pid),
                    Monitored::Name(_, of) => of == node,
                };
                let watched: Vec<_> = state.watched.extract_if(|_, watched| gone(watched)).collect();
                (state.links.take_where(of_node), watched)
            };
            for (reference, Watched { object, .. }) in watched {
                process.deliver_signal(Message::Down(Box::new(Down {
                    reference,
                    object,
                    reason: noconnection.to_raw(),
                })));
            }
            for pid in links {
                self.exit_signal(&process, pid, noconnection.clone());
            }
        }
    }
}
