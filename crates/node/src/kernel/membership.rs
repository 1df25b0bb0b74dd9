//! Connections come up and go down, and node monitors are told.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use super::connection::Connection;
use super::event::{Level, NodeDownReason, NodeEvent, Visibility};
use super::long_work;
use super::process::{Core, Message, NodeDown, NodeUp};
use super::state::Kernel;
use super::transferred::Transferred;

/// To forget what a peer has takes long if it has more bytes: monitors and links, mostly.
const MUCH: usize = 1 << 20;

/// It takes long, too, if processes of this node have more links and monitors with the peer.
const MANY: usize = 1024;

/// The log target of node up and node down.
const MEMBERS: &str = "peerl::members";

impl Kernel {
    /// Makes a new connection visible. A receiver of the event finds the node connected.
    pub(crate) fn connection_up(&self, connection: &Arc<Connection>) {
        match connection.visibility() {
            Visibility::Visible => tracing::info!(target: MEMBERS, peer = %connection.peer, "node up"),
            Visibility::Hidden => tracing::info!(peer = %connection.peer, visibility = ?Visibility::Hidden, "node up"),
        }
        let held = self.changing.lock();
        self.connections.insert(connection);
        let (node, visibility) = (connection.peer.clone(), connection.visibility());
        let exceeded = self.node_monitors.tell(&Message::NodeUp(Box::new(node_up(connection))));
        let _ = self.events.send(NodeEvent::NodeUp { node, visibility });
        drop(held);
        exceeded.iter().for_each(|process| self.end_overflowing(process));
    }

    /// Ends a connection; only the first call has an effect. When this returns, all links and monitors with the node are
    /// broken, and the connection is no longer found. `release` frees the peer's slot for a new connection. It gets a function
    /// that hides this connection, so that both happen in one step.
    pub(crate) fn connection_down(
        &self,
        connection: &Arc<Connection>,
        reason: NodeDownReason,
        release: impl FnOnce(&dyn Fn()),
    ) {
        if !connection.close() {
            return;
        }
        let reason = if connection.outbox.is_finishing() { NodeDownReason::Shutdown } else { reason };
        match reason.level(connection.visibility()) {
            Level::Warning => tracing::warn!(target: MEMBERS, peer = %connection.peer, %reason, "node down"),
            Level::Info => tracing::info!(peer = %connection.peer, %reason, "node down"),
        }
        long_work::run_if(has_much(connection), || {
            connection.calls.close(&reason);
            self.break_ties(connection);
        });
        let held = self.changing.lock();
        let transferred = connection.transferred.total();
        *self.formerly_transferred.lock() += transferred;
        self.former_peers.lock().add(connection.peer.as_atom(), transferred, &connection.counts);
        release(&|| self.connections.remove(connection));
        let node = connection.peer.clone();
        let down = NodeDown { node: node.clone(), reason: reason.clone(), connection: connection.id() };
        let exceeded = self.node_monitors.tell(&Message::NodeDown(Box::new(down)));
        let _ = self.events.send(NodeEvent::NodeDown { node, reason });
        drop(held);
        exceeded.iter().for_each(|process| self.end_overflowing(process));
    }

    /// Waits for the turn of the end of a connection, if that takes long.
    pub(crate) async fn turn_to_end(&self, connection: &Connection) -> Option<OwnedSemaphorePermit> {
        if has_much(connection) { long_work::turn().await } else { None }
    }

    /// What all connections have carried, those included that are no longer up.
    pub(crate) fn transferred(&self) -> Transferred {
        let _held = self.changing.lock();
        let mut total = *self.formerly_transferred.lock();
        self.connections.all().iter().for_each(|connection| total += connection.transferred.total());
        total
    }

    /// Adds a node monitor; returns the nodes that are connected already.
    pub(crate) fn monitor_nodes(&self, process: &Arc<Core>) -> Vec<NodeUp> {
        let _held = self.changing.lock();
        self.node_monitors.add(process);
        self.connections.all().iter().map(|connection| node_up(connection)).collect()
    }

    /// Removes a node monitor. Returns whether there was one.
    pub(crate) fn demonitor_nodes(&self, process: &Arc<Core>) -> bool {
        self.node_monitors.remove(process)
    }
}

/// Whether it takes long to forget what there is of a connection.
fn has_much(connection: &Connection) -> bool {
    connection.memory.taken() > MUCH || connection.ties.len() > MANY
}

fn node_up(connection: &Connection) -> NodeUp {
    NodeUp { node: connection.peer.clone(), visibility: connection.visibility(), connection: connection.id() }
}
