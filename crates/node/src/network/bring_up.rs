//! Connections come up and go down.

use std::sync::Arc;

use bytes::BytesMut;
use peerl_proto::handshake::Established;
use peerl_proto::handshake::arbitration::AttemptId;
use peerl_proto::node_name::NodeName;
use peerl_proto::tick::TickTimer;
use peerl_term::Atom;

use super::granted_names::Grant;
use super::state::Network;
use super::transport::Stream;
use super::{reader, writer};
use crate::kernel::clock;
use crate::kernel::connection::{Connection, Timing};
use crate::kernel::event::NodeDownReason;
use crate::kernel::violation::Violation;

impl Network {
    /// Starts the tasks of a connection whose handshake has ended well, and makes it visible.
    pub(crate) fn bring_up(
        self: &Arc<Self>,
        attempt: AttemptId,
        stream: Stream,
        buffer: BytesMut,
        established: Established,
        own_name: NodeName,
        grant: Option<Grant>,
    ) {
        // A name that came through the handshake fits an atom.
        let Ok(atom) = Atom::new(established.peer.as_str()) else { return };
        let ticks = TickTimer::new(clock::now(), self.net_ticktime, TickTimer::DEFAULT_INTENSITY);
        let timing = Timing { ticks, wait: self.transport.short_wait() };
        let kernel = &self.kernel;
        let side = kernel.side(atom.clone());
        let connection = Connection::new(attempt, atom, &established, own_name, timing, side);
        let connection = Arc::new(connection);
        // What the node sends is read after its coming up is told.
        kernel.connection_up(&connection);
        self.attempts.up(&connection);
        tokio::spawn(writer::write(self.clone(), connection.clone(), stream.write));
        let read = reader::read(self.clone(), connection.clone(), stream.read, buffer);
        tokio::spawn(async move {
            read.await;
            drop(grant);
        });
        if !connection.has_room() {
            self.bring_down(&connection, NodeDownReason::Protocol(Violation::TooMuchMemory));
        }
        if self.stopped.is_cancelled() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
    }

    /// Ends a connection; only the first call has an effect. When this returns, all links and monitors with the node are broken,
    /// and the connection is no longer found.
    pub(crate) fn bring_down(&self, connection: &Arc<Connection>, reason: NodeDownReason) {
        self.kernel.connection_down(connection, reason, |hide| self.attempts.down(connection, hide));
    }

    /// Ends all connections and attempts to connect, and gives the name back to EPMD without waiting.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        self.unlisted.cancel();
        self.epmd.abandon();
        self.attempts.abort();
        for connection in self.kernel.connections.all() {
            self.bring_down(&connection, NodeDownReason::Shutdown);
        }
    }
}
