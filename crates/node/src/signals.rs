//! What processes do to each other: exit signals, links, monitors; and what the end of a process or a connection
//! means to the others.
//!
//! Erlang docs: *Reference Manual*, section "Processes".

use std::collections::VecDeque;
use std::sync::Arc;

use peerl_proto::control::ProcessId;
use peerl_proto::node_name::NodeName;
use peerl_term::{Pid, RawTerm, Reference};

use crate::node::Inner;
use crate::process::{Core, Down, Exit, Message, Monitored, Remains};
use crate::reason;

impl Inner {
    /// The process with this pid, if it lives.
    pub(crate) fn process(&self, pid: &Pid) -> Option<Arc<Core>> {
        self.processes.get(&self.identity, pid)
    }

    /// The process that has this alias, if it lives and the alias is of this node.
    pub(crate) fn process_of_alias(&self, alias: &Reference) -> Option<Arc<Core>> {
        self.processes.of_alias(self.identity.reference_number(alias)?)
    }

    /// `exit(To, Reason)`: `kill` cannot be trapped, `normal` does nothing to a process that does not trap exits.
    pub(crate) fn exit_request(&self, to: &Arc<Core>, from: Pid, reason: &RawTerm) {
        if reason::is_atom(reason, "kill") {
            self.end(to, &reason::atom("killed"));
        } else {
            self.exit_signal(to, from, reason);
        }
    }

    /// The exit signal of a linked process, or of `exit/2`.
    pub(crate) fn exit_signal(&self, to: &Arc<Core>, from: Pid, reason: &RawTerm) {
        let trapped = to.alive().is_some_and(|state| state.trap_exit);
        if trapped {
            to.deliver_signal(Message::Exit(Box::new(Exit { from, reason: reason.clone() })));
        } else if !reason::is_atom(reason, "normal") {
            self.end(to, reason);
        }
    }

    /// Ends a process: whoever is linked to it or monitors it is told. Ends, in turn, those of this node that were
    /// linked to it.
    pub(crate) fn end(&self, process: &Arc<Core>, reason: &RawTerm) {
        let mut ending: VecDeque<(Arc<Core>, RawTerm)> = VecDeque::from([(process.clone(), reason.clone())]);
        while let Some((process, reason)) = ending.pop_front() {
            let Some(remains) = process.end(&reason) else { continue };
            self.processes.remove(&process.pid, &remains.names, &remains.aliases);
            self.bury(&process.pid, remains, &reason, &mut ending);
        }
    }

    fn bury(&self, pid: &Pid, remains: Remains, reason: &RawTerm, ending: &mut VecDeque<(Arc<Core>, RawTerm)>) {
        for linked in remains.links {
            if let Some(other) = self.process(&linked) {
                let (active, trapping) = match other.alive() {
                    Some(mut state) => (state.links.ended(pid), state.trap_exit),
                    None => continue,
                };
                if active && trapping {
                    other.deliver_signal(Message::Exit(Box::new(Exit { from: pid.clone(), reason: reason.clone() })));
                } else if active && !reason::is_atom(reason, "normal") {
                    ending.push_back((other, reason.clone()));
                }
            } else if let Some(connection) = self.peers.get(&linked.node) {
                // What cannot be sent is settled by the end of the connection.
                let _ = connection.send_exit(pid.clone(), linked, reason);
            }
        }
        for (reference, watcher) in remains.watchers {
            if self.identity.is_local(&watcher.pid) {
                self.monitor_fired(&watcher.pid, &reference, reason.clone());
            } else if let Some(connection) = self.peers.get(&watcher.pid.node) {
                let from = watcher.name.map_or_else(|| ProcessId::Pid(pid.clone()), ProcessId::Name);
                let _ = connection.send_down(pid, from, watcher.pid, reference, reason);
            }
        }
        for (reference, watched) in remains.watched {
            self.stop_watching(pid, &watched, &reference);
        }
    }

    /// Tells the watched side that the monitor is no more.
    pub(crate) fn stop_watching(&self, watcher: &Pid, watched: &Monitored, reference: &Reference) {
        let (process, node, id) = match watched {
            Monitored::Process(pid) => (self.process(pid), &pid.node, ProcessId::Pid(pid.clone())),
            Monitored::Name(name, node) => (
                (*node == self.identity.name).then(|| self.processes.whereis(name)).flatten(),
                node.as_atom(),
                ProcessId::Name(name.clone()),
            ),
        };
        if let Some(process) = process {
            if let Some(mut state) = process.alive() {
                state.watchers.remove(reference);
            }
        } else if let Some(connection) = self.peers.get(node) {
            let _ = connection.send_demonitor(watcher.clone(), id, reference.clone());
        }
    }

    /// What a local process monitors has ended.
    pub(crate) fn monitor_fired(&self, watcher: &Pid, reference: &Reference, reason: RawTerm) {
        let Some(process) = self.process(watcher) else { return };
        let object = process.alive().and_then(|mut state| state.watched.remove(reference));
        if let Some(object) = object {
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
                let gone = |object: &Monitored| match object {
                    Monitored::Process(pid) => of_node(pid),
                    Monitored::Name(_, of) => of == node,
                };
                let watched: Vec<_> = state.watched.extract_if(|_, object| gone(object)).collect();
                (state.links.take_where(of_node), watched)
            };
            for (reference, object) in watched {
                process.deliver_signal(Message::Down(Box::new(Down {
                    reference,
                    object,
                    reason: noconnection.clone(),
                })));
            }
            for pid in links {
                self.exit_signal(&process, pid, &noconnection);
            }
        }
    }
}
