//! Aliases: references to which a process lets others send, until it takes them back.
//!
//! Erlang docs: *Reference Manual*, section "Process Aliases".

use peerl_term::{Encoded, Reference};
use serde::Serialize;

use super::{Payload, Process, SendError};
use crate::kernel::address::Address;

impl Process {
    /// Makes an alias: messages sent to it come to this process, as long as it is alive and has not
    /// [taken it back](Self::unalias). A reply that comes too late to such an address vanishes, instead of lying in the
    /// mailbox.
    pub fn alias(&self) -> Reference {
        self.inner().kernel.make_alias(self.core())
    }

    /// Sends a message to an alias. The node that made it is connected to if it is not; a message to an alias that is no
    /// longer one vanishes.
    ///
    /// # Errors
    /// If the message cannot be encoded, or the node cannot be reached or knows no aliases.
    pub async fn send_to_alias(&self, alias: &Reference, message: &impl Serialize) -> Result<(), SendError> {
        let mut payload = Encoded::default();
        peerl_term::serde::to_sink(message, &mut payload)?;
        self.inner().send_from(self.core(), Address::Alias(alias), Payload::Encoded(payload)).await
    }

    /// Removes an alias. Returns whether it was one of this process.
    pub fn unalias(&self, alias: &Reference) -> bool {
        self.inner().kernel.remove_alias(self.core(), alias)
    }
}
