//! Aliases: references to which a process lets others send, until it takes them back.
//!
//! Erlang docs: *Reference Manual*, section "Process Aliases".

use peerl_proto::node_name::NodeName;
use peerl_term::{Encoded, Reference};
use serde::Serialize;

use super::{Payload, Process, SendError};
use crate::kernel::identity::Identity;

/// A message is for an alias of a node that knows none.
#[derive(Debug, thiserror::Error)]
#[error("the peer knows no aliases")]
struct NoAliases;

impl Process {
    /// Makes an alias: messages sent to it come to this process, as long as it is alive and has not
    /// [taken it back](Self::unalias). A reply that comes too late to such an address vanishes, instead of lying in the
    /// mailbox.
    pub fn alias(&self) -> Reference {
        let identity: &Identity = &self.inner().kernel.identity;
        let number = identity.next_reference_number();
        if let Some(mut state) = self.core().alive() {
            state.aliases.add(number);
            self.inner().kernel.processes.add_alias(number, self.core().clone());
        }
        identity.reference(number)
    }

    /// Sends a message to an alias. The node that made it is connected to if it is not; a message to an alias that is no
    /// longer one vanishes.
    ///
    /// # Errors
    /// If the message cannot be encoded, or the node cannot be reached or knows no aliases.
    pub async fn send_to_alias(&self, alias: &Reference, message: &impl Serialize) -> Result<(), SendError> {
        let mut payload = Encoded::default();
        peerl_term::serde::to_sink(message, &mut payload)?;
        let inner = self.inner();
        if inner.kernel.identity.is_own(alias.node()) {
            inner.send_here(inner.kernel.process_of_alias(alias), Payload::Encoded(payload)).await;
            return Ok(());
        }
        let connection = inner.network.connect(&NodeName::new(alias.node())?).await?;
        let failed = |error: &dyn std::error::Error| SendError::Connection {
            peer: connection.peer.clone(),
            what: error.to_string(),
        };
        let control =
            connection.forms.alias_send(self.pid().clone(), alias.clone()).ok_or_else(|| failed(&NoAliases))?;
        connection.outbox.ready(self.pid(), payload.bytes().len()).await.map_err(|error| failed(&error))?;
        let sent = connection.outbox.send_term(self.pid(), &control, &Payload::Encoded(payload).into_raw());
        sent.map_err(|error| failed(&error))
    }

    /// Takes an alias back. Says whether it was one of this process.
    pub fn unalias(&self, alias: &Reference) -> bool {
        let Some(number) = self.inner().kernel.identity.reference_number(alias) else { return false };
        let removed = self.core().alive().is_some_and(|mut state| state.aliases.remove(number));
        if removed {
            self.inner().kernel.processes.remove_alias(number);
        }
        removed
    }
}
