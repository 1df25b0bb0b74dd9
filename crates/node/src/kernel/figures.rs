//! What connections and functions have done, counted for metrics. Without the feature `metrics`, nothing is counted.
//!
//! A connection's figures are its own: no two connections count in one place, and only its reader or its writer counts.

#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod on;

#[cfg(not(feature = "metrics"))]
pub(crate) use off::{ConnectionCounts, FormerPeers, OutcomeCounts};
#[cfg(feature = "metrics")]
pub(crate) use on::{ConnectionCounts, FormerPeers, OutcomeCounts};
#[cfg(feature = "metrics")]
pub use on::{FunctionFigures, PeerFigures};

/// Why a message of a peer reached no process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(not(feature = "metrics"), allow(unreachable_pub, reason = "public with the figures"))]
pub enum Dropped {
    /// There is no process with this pid, name or alias.
    NoProcess,
    /// The mailbox is full, and its [policy](crate::MailboxPolicy) is to drop messages, or to end the process.
    MailboxFull,
    /// It is larger than the [limits](crate::Limits) of messages.
    TooLarge,
}

#[cfg(feature = "metrics")]
impl Dropped {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::NoProcess, Self::MailboxFull, Self::TooLarge];

    /// The reason as a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoProcess => "no_process",
            Self::MailboxFull => "mailbox_full",
            Self::TooLarge => "too_large",
        }
    }
}
