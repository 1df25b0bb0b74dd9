//! Monitors: a process is told when another one ends.
//!
//! Erlang docs: *Reference Manual*, section "Monitors".

use peerl_proto::control::ProcessId;
use peerl_proto::node_name::NodeName;
use peerl_term::Reference;

use super::{Destination, Place, Process};
use crate::kernel::connection::Connection;
use crate::kernel::process::{MonitorId, Monitored, Watched, Watcher};
use crate::kernel::reason;

/// A monitor that has been noted on this side.
struct Begun {
    reference: Reference,
    id: ProcessId,
    /// The node of the monitored process, if it is another one. It has to be told.
    remote: Option<NodeName>,
}

impl Process {
    /// Monitors a process: when it ends, [`Message::Down`](crate::Message::Down) comes; at once, if it is not there or cannot
    /// be reached. Of a node that takes no monitors (nodes on `ei`, Jinterface) only the loss of the connection is noticed, as
    /// in OTP.
    pub async fn monitor(&self, target: impl Into<Destination>) -> Reference {
        let begun = self.begin_monitor(target.into());
        if let Some(node) = &begun.remote {
            let connection = self.inner.network.connect(node).await.ok();
            self.monitor_there(connection.as_deref(), &begun);
        }
        begun.reference
    }

    /// Monitors a process as [`monitor`](Self::monitor) does, but neither connects nor waits: if its node is not connected,
    /// [`Message::Down`](crate::Message::Down) with `noconnection` is in the mailbox at once. It is in order with what this
    /// process [sends](Self::send_connected).
    pub fn monitor_connected(&self, target: impl Into<Destination>) -> Reference {
        let begun = self.begin_monitor(target.into());
        if let Some(node) = &begun.remote {
            let connection = self.inner.kernel.connections.get(node.as_atom());
            self.monitor_there(connection.as_deref(), &begun);
        }
        begun.reference
    }

    /// Ends a monitor. Says whether it was still there; if not, its [`Message::Down`](crate::Message::Down) has come or is in
    /// the mailbox.
    pub fn demonitor(&self, reference: &Reference) -> bool {
        let watched = self.core.alive().and_then(|mut state| state.watched.remove(reference));
        let Some(watched) = watched else { return false };
        self.inner.kernel.stop_watching(&self.core.pid, &watched, reference);
        true
    }

    /// Notes a monitor. If the monitored process is of this node, that is all.
    fn begin_monitor(&self, target: Destination) -> Begun {
        let kernel = &self.inner.kernel;
        let reference = kernel.identity.next_reference();
        let (object, id) = match target {
            Destination::Process(pid) => (Monitored::Process(pid.clone()), ProcessId::Pid(pid)),
            Destination::Name(name) => {
                (Monitored::Name(name.clone(), kernel.identity.name.clone()), ProcessId::Name(name))
            }
            Destination::Remote(name, node) => (Monitored::Name(name.clone(), node), ProcessId::Name(name)),
        };
        let place = self.inner.place_of(&object);
        let here = match &place {
            Place::Here(process) => process.as_ref().map(|process| process.pid.clone()),
            Place::There(_) => None,
        };
        if let Some(mut state) = self.core.alive() {
            state.watched.insert(reference.clone(), Watched { object: object.clone(), here });
        }
        let process = match place {
            Place::There(node) => return Begun { reference, id, remote: Some(node) },
            Place::Here(process) => process,
        };
        let name = match object {
            Monitored::Name(name, _) => Some(name),
            Monitored::Process(_) => None,
        };
        let watcher = Watcher { pid: self.core.pid.clone(), name };
        let monitor = MonitorId { node: self.core.pid.node.clone(), reference: reference.clone() };
        match process.as_ref().and_then(|process| process.alive()) {
            Some(mut state) => drop(state.watchers.insert(monitor, watcher)),
            None => kernel.monitor_fired(&self.core.pid, &reference, reason::atom("noproc").to_raw()),
        }
        Begun { reference, id, remote: None }
    }

    /// Tells the node of the monitored process.
    fn monitor_there(&self, connection: Option<&Connection>, begun: &Begun) {
        let (from, reference) = (&self.core.pid, &begun.reference);
        let sent =
            connection.is_some_and(|to| to.send_monitor(from.clone(), begun.id.clone(), reference.clone()).is_ok());
        if !sent {
            self.inner.kernel.monitor_fired(from, reference, reason::atom("noconnection").to_raw());
        }
    }
}
