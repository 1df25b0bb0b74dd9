//! How a node leaves its cluster: it takes nothing new, answers what is under way, and closes all its links at once.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use peerl_proto::flags::DistributionFlags;
use tokio::time::timeout;

use crate::inner::Inner;
use crate::kernel::connection::Connection;
use crate::node::Node;

/// How long a peer may take to show that it has read its answers, and to close a link that this node has closed.
const READING: Duration = Duration::from_secs(5);
const CLOSING: Duration = Duration::from_secs(1);

impl Node {
    /// Takes nothing new, and waits until the calls of peers that are under way have been answered.
    ///
    /// From the first moment on the node no longer listens, and EPMD no longer knows its name. New calls on the links
    /// that are up are refused with `noconnection`, so that the callers ask another node: `erpc` raises
    /// `{erpc,noconnection}`, and `rpc:call` gives `{badrpc,nodedown}`. The links stay up until
    /// [`shutdown`](Self::shutdown), even those with peers that wait for nothing: a peer that loses this node may tell
    /// the others to disconnect from it too (OTP's `prevent_overlapping_partitions`), and they might still wait.
    ///
    /// When this returns, the peers have read their answers, as far as they say so in time.
    pub async fn drain(&self) {
        self.inner.leave();
        tokio::join!(self.inner.network.epmd.unregister(), async {
            join_all(self.inner.running().map(|service| service.drain())).await;
            self.inner.kernel.served.all_answered().await;
            join_all(self.inner.kernel.connections.all().iter().map(|connection| self.read_by_peer(connection))).await;
        });
    }

    /// Whether nothing new is taken any more, since [`drain`](Self::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.inner.kernel.is_draining()
    }

    /// Stops the node: gives its name back to EPMD, lets its services [finish](crate::RunningService::shutdown), and closes all
    /// links at once. What is queued for the peers is still written, if they take it within a second.
    pub async fn shutdown(&self) {
        self.inner.leave();
        self.inner.network.epmd.unregister().await;
        for service in self.inner.running().rev() {
            service.shutdown().await;
        }
        let connections = self.inner.kernel.connections.all();
        for connection in &connections {
            connection.outbox.finish();
        }
        let _ = timeout(CLOSING, join_all(connections.iter().map(|connection| connection.closed.cancelled()))).await;
        self.inner.network.epmd.release().await;
        self.inner.stop();
    }

    /// Waits until a peer has read all that was sent to it so far: it answers a ping only then. A written answer may be
    /// on its way for long where the link is slow.
    async fn read_by_peer(&self, connection: &Arc<Connection>) {
        // Who makes calls without this flag answers no pings (C nodes).
        if connection.flags.contains(DistributionFlags::SPAWN) && !connection.closed.is_cancelled() {
            let _ = timeout(READING, self.ping(&connection.peer)).await;
        }
    }
}

impl Inner {
    /// From now on no peer connects, and no call is taken.
    fn leave(&self) {
        self.kernel.drain();
        self.network.unlisted.cancel();
    }
}
