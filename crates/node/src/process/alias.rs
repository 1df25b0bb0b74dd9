//! Aliases: references to which a process lets others send, until it takes them back.
//!
//! Erlang docs: *Reference Manual*, section "Process Aliases".

use peerl_term::{Encoded, Reference};
use serde::Serialize;

use super::{Payload, Process, SendError};
use crate::kernel::address::Address;
use crate::kernel::identity::Identity;

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
        self.inner().send_from(self.pid(), Address::Alias(alias), Payload::Encoded(payload)).await
    }

    /// Removes an alias. Returns whether it was one of this process.
    pub fn unalias(&self, alias: &Reference) -> bool {
        let Some(number) = self.inner().kernel.identity.reference_number(alias) else { return false };
        let removed = self.core().alive().is_some_and(|mut state| state.aliases.remove(number));
        if removed {
            self.inner().kernel.processes.remove_alias(number);
        }
        removed
    }
}
