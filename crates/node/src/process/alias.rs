//! Aliases: references to which a process lets others send, until it takes them back.
//!
//! Erlang docs: *Reference Manual*, section "Process Aliases".

use peerl_proto::control::Priority;
use peerl_term::{Encoded, Reference, Term};
use serde::Serialize;

use super::{NotSent, Payload, Process, SendError};
use crate::kernel::address::Address;
use crate::kernel::reason::Reason;
use crate::kernel::signal::Signal;

impl Process {
    /// Makes an alias: messages sent to it come to this process, as long as it is alive and has not
    /// [taken it back](Self::unalias). A reply that comes too late to such an address vanishes, instead of lying in the
    /// mailbox.
    pub fn alias(&self) -> Reference {
        self.inner().kernel.make_alias(self.core(), Priority::Ordinary)
    }

    /// Makes an alias by which signals that are sent with priority overtake the messages in the mailbox, as
    /// `erlang:alias([priority])` (OTP 28): messages, and exit signals that this process [traps](Self::trap_exit). They come before
    /// all others, in their own order.
    pub fn priority_alias(&self) -> Reference {
        self.inner().kernel.make_alias(self.core(), Priority::High)
    }

    /// Sends a message to an alias. The node that made it is connected to if it is not; a message to an alias that is no
    /// longer one vanishes.
    ///
    /// # Errors
    /// If the message cannot be encoded, or the node cannot be reached or knows no aliases.
    pub async fn send_to_alias(&self, alias: &Reference, message: &impl Serialize) -> Result<(), SendError> {
        self.send_to_alias_with(Priority::Ordinary, alias, message).await
    }

    /// Sends a message to an alias as [`send_to_alias`](Self::send_to_alias) does. With [`Priority::High`] it overtakes the
    /// messages in the receiver's mailbox, as with `erlang:send(Alias, Message, [priority])`, if the alias allows that: it was
    /// made by `erlang:alias([priority])` (OTP 28) or [`priority_alias`](Self::priority_alias). To another alias it is an ordinary
    /// message.
    ///
    /// # Errors
    /// As [`send_to_alias`](Self::send_to_alias).
    pub async fn send_to_alias_with(
        &self,
        priority: Priority,
        alias: &Reference,
        message: &impl Serialize,
    ) -> Result<(), SendError> {
        let mut payload = Encoded::default();
        peerl_term::serde::to_sink(message, &mut payload)?;
        self.inner().send_from(self.author(), Address::Alias(alias, priority), Payload::Encoded(payload)).await
    }

    /// Sends an exit signal to the process that has made an alias, as `exit(Alias, Reason)` and `exit(Alias, Reason,
    /// [priority])` of OTP 28. To an alias that is no longer one it does nothing. It does not connect to a node.
    ///
    /// # Errors
    /// If the node is not connected, or takes no exit signals for aliases (before OTP 28): [`NotSent::Unsendable`].
    pub fn exit_alias(&self, priority: Priority, alias: &Reference, reason: &Term) -> Result<(), NotSent> {
        let reason = Reason::from(reason.clone());
        let (from, to) = (&self.core().pid, Address::Alias(alias, priority));
        self.inner().kernel.signal(from, to, Signal::Exit2(&reason)).into_result()
    }

    /// Removes an alias. Returns whether it was one of this process.
    pub fn unalias(&self, alias: &Reference) -> bool {
        self.inner().kernel.remove_alias(self.core(), alias)
    }
}
