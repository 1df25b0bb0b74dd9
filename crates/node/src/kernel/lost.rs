//! Messages whose payload was dropped: it was too large, or the reassembly buffer was full.
//!
//! Such a message fails alone. A caller that waits for it gets an error; a plain message is dropped.

use std::sync::Arc;

use peerl_proto::channel::Loss;
use peerl_proto::control::Signal;
use peerl_term::Reference;

use crate::kernel::address::Address;
use crate::kernel::connection::{Answer, Connection};
use crate::kernel::figures::Dropped;
use crate::kernel::reason::Reason;
use crate::kernel::serving::{self, SYSTEM_LIMIT};
use crate::kernel::state::Kernel;
use crate::kernel::violation::Violation;

impl Kernel {
    /// Logs that payloads are dropped, and handles the signal without it.
    #[cold]
    pub(crate) fn lost(
        self: &Arc<Self>,
        connection: &Arc<Connection>,
        signal: &Signal,
        loss: Loss,
        bytes: usize,
    ) -> Result<(), Violation> {
        connection.counts.dropped(Dropped::TooLarge);
        let warning = || {
            let (peer, limit) = (connection.peer.as_str().escape_debug(), self.limits.channel.message);
            let sender = signal.sender().map_or_else(|| "unknown".to_owned(), |pid| format!("{pid:?}"));
            format!("dropped the contents of a message: {loss} peer={peer} sender={sender} bytes={bytes} limit={limit}")
        };
        self.lost_messages.warn("messages whose contents were dropped", warning);
        let reason = || Reason::too_large(bytes);
        let answer = Answer::Lost(loss, bytes);
        match signal {
            Signal::SpawnRequest(request) => {
                serving::refuse(self, connection, request.reference.clone(), request.from.clone(), SYSTEM_LIMIT)?;
            }
            Signal::Exit { from, to } => self.link_broken_by_peer(connection, from, to, reason())?,
            Signal::Exit2 { from, to } => self.exit_by_peer(from.clone(), to, reason()),
            Signal::Exit2ToAlias { from, to, priority } => {
                self.exit_alias_by_peer(from.clone(), Address::Alias(to, *priority), reason());
            }
            Signal::MonitorExit { to, reference, .. } if self.identity.is_same(to, &self.requester) => {
                self.answer_lost(connection, reference, answer);
            }
            Signal::MonitorExit { to, reference, .. } => self.down(connection, to, reference, reason().to_raw()),
            Signal::SendToAlias { to, .. } | Signal::SendToAliasWithPriority { to, .. } => {
                self.answer_lost(connection, to, answer)
            }
            // The others have no payload, or no process waits for it.
            _ => {}
        }
        Ok(())
    }

    /// Fails a request of this node. (Aliases of processes are not requests.)
    fn answer_lost(&self, connection: &Connection, reference: &Reference, answer: Answer) {
        if let Some(number) = self.identity.reference_number(reference) {
            connection.calls.answer(number, answer);
        }
    }
}
