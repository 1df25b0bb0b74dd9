//! Delivery of signals to processes of this node and of connected nodes.
//!
//! Erlang docs: *Reference Manual*, section "Processes", "Delivery of Signals".

use std::sync::Arc;

use peerl_term::Pid;

use super::address::Address;
use super::exits::Ending;
use super::place::Place;
use super::process::Core;
use super::reason::{self, Cause};
use super::signal::{Delivery, Signal};
use super::state::Kernel;

impl Kernel {
    /// Sends a signal of a process of this node.
    pub(crate) fn signal(&self, from: &Pid, to: Address<'_>, signal: Signal<'_>) -> Delivery {
        self.signal_in(self.place(to), from, to, signal)
    }

    /// As [`signal`](Self::signal), to a process of which it is known where it is.
    pub(super) fn signal_in(&self, place: Place, from: &Pid, to: Address<'_>, signal: Signal<'_>) -> Delivery {
        let mut ending = Ending::default();
        let delivery = self.signal_in_and(place, from, to, signal, &mut ending);
        self.end_all(ending);
        delivery
    }

    /// As [`signal`](Self::signal), but adds the processes that the signal ends to `ending`.
    pub(super) fn signal_and(&self, from: &Pid, to: Address<'_>, signal: Signal<'_>, ending: &mut Ending) -> Delivery {
        self.signal_in_and(self.place(to), from, to, signal, ending)
    }

    fn signal_in_and(
        &self,
        place: Place,
        from: &Pid,
        to: Address<'_>,
        signal: Signal<'_>,
        ending: &mut Ending,
    ) -> Delivery {
        match place {
            Place::Here(process) => {
                self.signal_here(from, to, process, signal, ending);
                Delivery::Done
            }
            // If it cannot be queued, the connection is about to end.
            Place::Connected(connection) => connection.signal(from, to, signal).unwrap_or(Delivery::Unreachable),
            Place::Unconnected => Delivery::Unreachable,
        }
    }

    fn signal_here(
        &self,
        from: &Pid,
        to: Address<'_>,
        process: Option<Arc<Core>>,
        signal: Signal<'_>,
        ending: &mut Ending,
    ) {
        match (signal, process) {
            (Signal::Link, process) => {
                let linked = process.is_some_and(|process| process.linked_by(from));
                if let (false, Address::Process(to), Some(sender)) = (linked, to, self.process(from)) {
                    self.break_link(&sender, to, reason::atom("noproc"), ending);
                }
            }
            (Signal::Unlink(id), process) => {
                if let Some(mut state) = process.as_ref().and_then(|process| process.alive()) {
                    state.links.unlinked_by(from);
                }
                if let Address::Process(to) = to
                    && let Some(sender) = self.process(from)
                    && let Some(mut state) = sender.alive()
                {
                    state.links.unlink_acknowledged(to, id.get());
                }
            }
            (Signal::Exit(reason, token), Some(process)) => {
                let token = token.map(|token| Box::new(token.clone()));
                self.break_link(&process, from, Cause::from(reason.clone()).with_token(token), ending);
            }
            (Signal::Exit2(reason), Some(process)) => {
                let cause = Cause::from(reason.clone()).with_priority(self.priority(&process, to));
                self.exit_request(&process, from.clone(), cause, ending);
            }
            (Signal::GroupLeader(leader), Some(process)) => {
                if let Some(mut state) = process.alive() {
                    state.group_leader = Some(leader.clone());
                }
            }
            (Signal::Monitor(reference), process) => self.monitored_here(from, to, process, reference),
            (Signal::Demonitor(reference), Some(process)) => {
                if let Some(mut state) = process.alive() {
                    state.unwatch(&from.node, reference);
                }
            }
            (Signal::Down { reference, reason, .. }, Some(process)) => {
                process.monitor_fired(reference, reason.to_raw(), None);
            }
            (
                Signal::Exit(..)
                | Signal::Exit2(_)
                | Signal::GroupLeader(_)
                | Signal::Demonitor(_)
                | Signal::Down { .. },
                None,
            ) => {}
        }
    }
}
