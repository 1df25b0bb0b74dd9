//! Connections come up and go down, and those who wait for that are told.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use peerl_proto::handshake::Established;
use peerl_proto::handshake::arbitration::AttemptId;
use peerl_proto::node_name::NodeName;
use peerl_proto::tick::TickTimer;
use peerl_term::Atom;
use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::event::Level;
use crate::granted_names::Grant;
use crate::inner::Inner;
use crate::process::{Core, Message, NodeDown, NodeUp};
use crate::{NodeDownReason, NodeEvent, Visibility, reader, writer};

/// The target of the lines of the log that tell which members come and go.
const MEMBERS: &str = "peerl::members";

impl Inner {
    /// Starts the tasks of a connection whose handshake has ended well, and shows it to everybody.
    pub(crate) fn bring_up(
        self: &Arc<Self>,
        attempt: AttemptId,
        stream: TcpStream,
        buffer: BytesMut,
        established: Established,
        own_name: NodeName,
        grant: Option<Grant>,
    ) {
        // A name that came through the handshake fits an atom.
        let Ok(atom) = Atom::new(established.peer.as_str()) else { return };
        let ticks = TickTimer::new(Instant::now(), self.net_ticktime, TickTimer::DEFAULT_INTENSITY);
        let mut connection =
            Connection::new(attempt, atom, &established, own_name, &self.identity, ticks, &self.limits);
        connection.grant = grant;
        let connection = Arc::new(connection);
        match connection.visibility() {
            Visibility::Visible => tracing::info!(target: MEMBERS, peer = %connection.peer, "node up"),
            Visibility::Hidden => tracing::info!(peer = %connection.peer, visibility = ?Visibility::Hidden, "node up"),
        }
        // A receiver of the event finds the node connected; what the node sends is read after it.
        {
            let _held = self.coming_up.lock();
            self.peers.publish(&connection);
            let (node, visibility) = (connection.peer.clone(), connection.visibility());
            self.node_monitors.tell(&Message::NodeUp(Box::new(NodeUp { node: node.clone(), visibility })));
            let _ = self.events.send(NodeEvent::NodeUp { node, visibility });
        }
        let (read_half, write_half) = stream.into_split();
        tokio::spawn(writer::write(self.clone(), connection.clone(), write_half));
        tokio::spawn(reader::read(self.clone(), connection.clone(), read_half, buffer));
        if self.stopped.is_cancelled() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
    }

    /// Ends a connection; only the first caller does anything. When this returns, all processes know that the node
    /// is gone, and nobody finds the connection any more.
    pub(crate) fn bring_down(&self, connection: &Arc<Connection>, reason: NodeDownReason) {
        if !connection.close() {
            return;
        }
        let reason = if connection.outbox.is_finishing() { NodeDownReason::Shutdown } else { reason };
        match reason.level(connection.visibility()) {
            Level::Warning => tracing::warn!(target: MEMBERS, peer = %connection.peer, %reason, "node down"),
            Level::Info => tracing::info!(peer = %connection.peer, %reason, "node down"),
        }
        connection.calls.close(&reason);
        connection.monitors.close();
        self.node_gone(&connection.peer);
        let _held = self.coming_up.lock();
        self.peers.down(connection);
        let node = connection.peer.clone();
        let down = NodeDown { node: node.clone(), reason: reason.clone() };
        self.node_monitors.tell(&Message::NodeDown(Box::new(down)));
        let _ = self.events.send(NodeEvent::NodeDown { node, reason });
    }

    /// Has a process told of nodes from now on; gives those that are connected already.
    pub(crate) fn monitor_nodes(&self, process: &Arc<Core>) -> Vec<NodeUp> {
        let _held = self.coming_up.lock();
        self.node_monitors.add(process);
        let connected = self.peers.all().into_iter();
        connected.map(|peer| NodeUp { node: peer.peer.clone(), visibility: peer.visibility() }).collect()
    }
}
