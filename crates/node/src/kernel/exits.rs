//! Exit signals, and the propagation of the end of a process or a connection.
//!
//! Erlang docs: *Reference Manual*, section "Processes", "Exit Signals".

use std::collections::VecDeque;
use std::sync::Arc;

use peerl_term::Pid;

use super::address::Address;
use super::connection::Connection;
use super::long_work;
use super::place::Place;
use super::process::{Core, Down, EndedState, Envelope, Exit, Exits, Message, Monitored, Watched};
use super::reason::{self, Cause, Reason};
use super::signal::Signal;
use super::state::Kernel;

/// Processes that are about to end. A process may end those linked to it; a queue instead of recursion, which would overflow
/// the stack on a long chain of links.
#[derive(Default)]
pub(crate) struct Ending(VecDeque<(Arc<Core>, Reason)>);

impl Kernel {
    /// Ends a process: those that are linked to it or monitor it are told.
    pub(crate) fn end(&self, process: &Arc<Core>, reason: &Reason) {
        self.end_all(Ending(VecDeque::from([(process.clone(), reason.clone())])));
    }

    /// Ends these processes, and in turn those of this node that are linked to them.
    pub(super) fn end_all(&self, mut ending: Ending) {
        while let Some((process, reason)) = ending.0.pop_front() {
            long_work::run_if(process.has_much(), || {
                let Some(ended) = process.end(&reason.to_keep()) else { return };
                self.processes.remove(&process.pid, &ended.names, &ended.aliases);
                self.propagate_end(&process.pid, ended, &reason, &mut ending);
            });
        }
    }

    fn propagate_end(&self, pid: &Pid, mut ended: EndedState, reason: &Reason, ending: &mut Ending) {
        let reason = &reason.to_share();
        // A node that is not connected knows: its connection has ended.
        for linked in ended.links {
            let token = ended.trace.as_mut().and_then(|trace| trace.next(pid));
            let exit = Signal::Exit(reason, token.as_ref());
            let _ = self.signal_and(pid, Address::Process(&linked), exit, ending);
        }
        for (reference, watcher) in ended.watchers {
            let down = Signal::Down { name: watcher.name.as_ref(), reference: &reference, reason };
            let _ = self.signal_and(pid, Address::Process(&watcher.pid), down, ending);
        }
        for (reference, watched) in ended.watched {
            self.stop_watching(pid, &watched, &reference, ending);
        }
    }

    /// `exit(To, Reason)`: `kill` cannot be trapped, `normal` does nothing to a process that does not trap exits.
    pub(super) fn exit_request(&self, to: &Arc<Core>, from: Pid, reason: impl Into<Cause>, ending: &mut Ending) {
        let cause = reason.into();
        let ignored = to.alive().is_none_or(|state| state.exits == Exits::Ignore);
        if !ignored && cause.is_atom("kill") {
            ending.0.push_back((to.clone(), reason::atom("killed")));
        } else {
            self.exit_signal(to, from, cause, ending);
        }
    }

    /// The exit signal of a linked process, or of `exit/2`.
    pub(super) fn exit_signal(&self, to: &Arc<Core>, from: Pid, reason: impl Into<Cause>, ending: &mut Ending) {
        let cause = reason.into();
        let Some(exits) = to.alive().map(|state| state.exits) else { return };
        match exits {
            Exits::Trap => {
                let (priority, sender) = (cause.priority(), cause.sender().cloned());
                let (reason, token) = cause.into_raw();
                let message = Message::Exit(Box::new(Exit { from, reason }));
                to.deliver_signal_with(Envelope { message, token }, priority, sender.as_ref());
            }
            Exits::End if !cause.is_atom("normal") => {
                if let Some(reason) = cause.into_reason() {
                    ending.0.push_back((to.clone(), reason));
                }
            }
            Exits::End => {}
            // It is still decoded: a malformed one ends the connection that it came by.
            Exits::Ignore => drop(cause.into_reason()),
        }
    }

    /// A process of a peer calls `exit(To, Reason)`.
    pub(super) fn exit_by_peer(&self, from: Pid, to: &Pid, reason: impl Into<Cause>) {
        self.exit_process_by_peer(self.process(to), from, reason);
    }

    /// A process of a peer calls `exit(Alias, Reason)`.
    pub(super) fn exit_alias_by_peer(&self, from: Pid, to: Address<'_>, reason: impl Into<Cause>) {
        if let Place::Here(Some(process)) = self.place(to) {
            let priority = self.priority(&process, to);
            self.exit_process_by_peer(Some(process), from, reason.into().with_priority(priority));
        }
    }

    fn exit_process_by_peer(&self, to: Option<Arc<Core>>, from: Pid, reason: impl Into<Cause>) {
        let Some(process) = to else { return };
        let mut ending = Ending::default();
        self.exit_request(&process, from, reason, &mut ending);
        self.end_all(ending);
    }

    /// Breaks all links and monitors with a node whose connection has ended: `noconnection`.
    pub(super) fn break_ties(&self, connection: &Connection) {
        for (reference, process) in connection.monitors.close() {
            process.unwatch(&connection.atom, &reference);
        }
        let noconnection = reason::atom("noconnection");
        let of_node = |pid: &Pid| pid.node == connection.atom;
        let mut ending = Ending::default();
        for number in connection.ties.close() {
            let Some(process) = self.processes.numbered(number) else { continue };
            // It may have as many with other nodes.
            let (links, watched) = long_work::run_if(process.has_much(), || {
                let Some(mut state) = process.alive() else { return Default::default() };
                let gone = |watched: &Watched| match &watched.object {
                    Monitored::Process(pid) => of_node(pid),
                    Monitored::Name(_, of) => *of == connection.peer,
                };
                let watched: Vec<_> = state.watched.extract_if(|_, watched| gone(watched)).collect();
                (state.links.take_where(of_node), watched)
            });
            for (reference, Watched { object, .. }) in watched {
                let down = Down { reference, object, reason: noconnection.to_raw() };
                process.deliver_signal(Message::Down(Box::new(down)));
            }
            for pid in links {
                self.exit_signal(&process, pid, noconnection.clone(), &mut ending);
            }
        }
        self.end_all(ending);
    }
}
