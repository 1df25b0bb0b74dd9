use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering};

/// The bytes that connections have carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// From peers.
    pub received: u64,
    /// To peers.
    pub sent: u64,
}

impl AddAssign for Transferred {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.sent += other.sent;
    }
}

/// Counts the bytes of one connection.
#[derive(Debug, Default)]
pub(crate) struct TransferCounter {
    received: AtomicU64,
    sent: AtomicU64,
}

impl TransferCounter {
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> Transferred {
        Transferred { received: self.received.load(Ordering::Relaxed), sent: self.sent.load(Ordering::Relaxed) }
    }
}
