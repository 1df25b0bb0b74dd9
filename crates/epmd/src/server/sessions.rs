use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use peerl_proto::admission::{PendingConnections, Rejections};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::sleep_until;
use tracing::warn;

use super::Shared;
use super::session::{HeldLease, Outcome, Session};

/// The connections without an answer yet, and the log of rejected ones.
pub(super) struct Sessions {
    tasks: JoinSet<(SocketAddr, Outcome)>,
    pending: PendingConnections<Id, AbortHandle>,
    rejections: Rejections,
}

impl Sessions {
    pub(super) fn new(limit: usize) -> Self {
        Self { tasks: JoinSet::new(), pending: PendingConnections::new(limit), rejections: Rejections::new() }
    }

    /// Serves a client; closes the oldest connection of the address with the most, if necessary.
    pub(super) fn begin(&mut self, shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
        let Ok(local) = stream.local_addr() else { return };
        let session = Session::new(shared, stream, peer, is_local(peer, local));
        let task = self.tasks.spawn(async move { (peer, session.serve().await) });
        if let Some(displaced) = self.pending.admit(task.id(), task, peer.ip().into()) {
            displaced.handle.abort();
            let address = displaced.origin.address();
            if self.rejections.is_first(address, "displaced", Instant::now()) {
                warn!(%address, "EPMD has too many connections and closes the oldest silent one of this address");
            }
        }
    }

    /// Waits until a node has registered; processes ended sessions and the log in the meantime.
    pub(super) async fn next_lease(&mut self) -> HeldLease {
        loop {
            let ended = tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => ended,
                () = due(&self.rejections) => {
                    self.tell_of_rejections();
                    continue;
                }
            };
            let (id, ended) = match ended {
                Ok((id, ended)) => (id, Some(ended)),
                Err(error) => (error.id(), None),
            };
            self.pending.release(id);
            match ended {
                Some((_, Outcome::Leased(lease))) => return lease,
                Some((peer, Outcome::Rejected(rejection))) => {
                    if self.rejections.is_first(peer.ip(), rejection.kind(), Instant::now()) {
                        warn!(%peer, "EPMD has turned a client away: {rejection}");
                    }
                }
                Some((_, Outcome::Served)) | None => {}
            }
        }
    }

    /// Waits until all sessions have ended.
    pub(super) async fn finish(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    pub(super) fn cannot_accept(&mut self, address: IpAddr, error: &io::Error) {
        if self.rejections.is_first(address, "not accepted", Instant::now()) {
            warn!(%error, "EPMD can't accept a connection");
        }
    }

    fn tell_of_rejections(&mut self) {
        if let Some(summary) = self.rejections.summary(Instant::now()) {
            warn!(count = summary.count(), within = ?summary.within(), "EPMD has turned more clients away: {summary}");
        }
    }
}

/// Waits until a summary is due.
async fn due(rejections: &Rejections) {
    match rejections.due() {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Whether a client is on this host: it connects from a loopback address, or from the address that it connects to.
fn is_local(peer: SocketAddr, local: SocketAddr) -> bool {
    let (peer, local) = (peer.ip().to_canonical(), local.ip().to_canonical());
    peer.is_loopback() || peer == local
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_this_host() {
        let local = |peer: &str, local: &str| {
            let address = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 4369);
            is_local(address(peer), address(local))
        };
        assert!(local("127.0.0.1", "127.0.0.1"));
        assert!(local("127.1.2.3", "127.0.0.1"));
        assert!(local("::1", "::1"));
        assert!(local("::ffff:127.0.0.1", "::ffff:127.0.0.1"));
        assert!(local("10.0.0.7", "10.0.0.7"));
        assert!(!local("10.0.0.8", "10.0.0.7"));
        assert!(!local("::ffff:10.0.0.8", "10.0.0.7"));
    }
}
