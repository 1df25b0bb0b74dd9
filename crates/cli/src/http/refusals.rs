//! The log of refused requests and connections, bounded so that clients cannot flood it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use peerl_proto::admission::Rejections;

use crate::printable::printable;

/// An extension of an answer that refuses its request. The first refusal of each address and kind is logged with the
/// client's address, further ones are summed up. The kind is the reason, without text that the client chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub &'static str);

/// The log of a server.
#[derive(Debug)]
pub(super) struct Refusals {
    server: SocketAddr,
    rejections: Mutex<Rejections>,
}

impl Refusals {
    /// The most characters of a logged path.
    const PATH: usize = 100;

    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, rejections: Mutex::default() }
    }

    /// Records a refused request.
    pub(super) fn request(&self, client: SocketAddr, path: &str, Refused(kind): Refused) {
        if self.is_first(client.ip(), kind) {
            let path: String = path.chars().take(Self::PATH).collect();
            tracing::warn!(server = %self.server, %client, path = %printable(&path), "refused a request: {kind}");
        }
    }

    /// Records a connection that was closed for another one, or not accepted.
    pub(super) fn connection(&self, client: IpAddr, kind: &'static str) {
        if self.is_first(client, kind) {
            tracing::warn!(server = %self.server, %client, "too many HTTP connections: {kind}");
        }
    }

    /// Waits until a summary is due, and logs it.
    pub(super) async fn sum_up(&self) {
        let due = self.rejections().due();
        match due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
        let summary = self.rejections().summary(Instant::now());
        if let Some(summary) = summary {
            let (count, within) = (summary.count(), summary.within());
            tracing::warn!(server = %self.server, count, ?within, "refused more by HTTP: {summary}");
        }
    }

    fn is_first(&self, client: IpAddr, kind: &'static str) -> bool {
        self.rejections().is_first(client, kind, Instant::now())
    }

    fn rejections(&self) -> MutexGuard<'_, Rejections> {
        self.rejections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
