//! The calls of peers that are under way, and what they take of the peers' shares.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use peerl_proto::connection::LARGE;
use peerl_term::RawTerm;

use super::served::PeerCalls;
use crate::kernel::exception::Exception;
use crate::kernel::exports::Outcome;
use crate::kernel::limits::Limits;
use crate::kernel::reason::leased;
use crate::kernel::state::Kernel;

/// A call of a peer, until it has been answered.
pub(crate) struct Active {
    kernel: Arc<Kernel>,
    calls: Arc<PeerCalls>,
    /// What is taken for it of the peer's memory.
    bytes: usize,
}

/// Why a call is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The node is about to leave, as a node that cannot be reached any more.
    #[error("the node is about to leave")]
    Draining,
    /// The peer has too many under way, or all have; or there is no memory left for it.
    #[error("too many calls are under way")]
    Busy,
}

impl Active {
    /// Takes a call. One that is taken while the node begins to drain is waited for.
    ///
    /// For large arguments their message holds a lease; it is told how many bytes others have.
    pub(crate) fn begin(node: &Arc<Kernel>, calls: &Arc<PeerCalls>, arguments: usize) -> Result<Self, Refused> {
        let bytes = Limits::CALL + if arguments > LARGE { 0 } else { arguments * Limits::ARGUMENT };
        let is_taken = calls.share.take(1);
        if !is_taken || !calls.memory.take(bytes) {
            calls.share.give_back(usize::from(is_taken));
            return Err(if node.is_draining() { Refused::Draining } else { Refused::Busy });
        }
        let active = Self { kernel: node.clone(), calls: calls.clone(), bytes };
        if node.is_draining() {
            return Err(Refused::Draining);
        }
        calls.taken.fetch_add(1, Ordering::Relaxed);
        Ok(active)
    }

    /// Takes a call that has come as a message with arguments of so many bytes, from this peer if that is known.
    pub(crate) fn begin_of(
        node: &Arc<Kernel>,
        peer: Option<&Arc<PeerCalls>>,
        arguments: usize,
    ) -> Result<Self, Refused> {
        Self::begin(node, peer.unwrap_or(&node.served.of_nobody), arguments)
    }

    /// Takes memory for what else is kept with the call.
    pub(super) fn with(mut self, bytes: usize) -> Result<Self, Refused> {
        if !self.calls.memory.take(bytes) {
            return Err(Refused::Busy);
        }
        self.bytes += bytes;
        Ok(self)
    }

    /// Waits until the connection has ended by which the call has come.
    pub(crate) async fn closed(&self) {
        self.calls.closed.cancelled().await;
    }

    /// The peer of the call; none if a process of this node has asked for it.
    pub(crate) fn peer(&self) -> Option<&Arc<PeerCalls>> {
        Some(&self.calls).filter(|calls| calls.peer.is_some())
    }

    pub(crate) fn kernel(&self) -> &Arc<Kernel> {
        &self.kernel
    }

    /// Takes room for large arguments that are encoded anew, and for what decoding them takes, as long as they are kept; none,
    /// if there is not that much.
    pub(crate) fn measured(&self, arguments: RawTerm) -> Option<RawTerm> {
        self.calls.measured(arguments)
    }

    /// The encoded value, with room for a large one as long as it is kept; `system_limit`, if there is not that much.
    pub(crate) fn value(&self, outcome: Outcome) -> Result<RawTerm, Exception> {
        let value = outcome?;
        let bytes = value.bytes().len();
        if bytes <= LARGE {
            return Ok(value.into());
        }
        let lease = self.calls.memory.lease(bytes).ok_or_else(Exception::system_limit)?;
        Ok(leased(value, Some(lease)))
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.calls.memory.give_back(self.bytes);
        self.calls.share.give_back(1);
        if self.kernel.is_draining() {
            self.kernel.served.ended.notify_waiters();
        }
    }
}
