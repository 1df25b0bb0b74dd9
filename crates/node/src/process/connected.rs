//! Messages that are sent to a node only if it is connected, at once.

use std::sync::Arc;

use peerl_proto::control::Priority;
use peerl_term::{Limits, RawTerm, Term};

use super::send::{Author, envelope, queue, queue_in_turn};
use super::{Destination, Payload, Process};
use crate::inner::Inner;
use crate::kernel::address::Address;
use crate::kernel::connection::{Connection, QueueError};
use crate::kernel::place::Place;
use crate::kernel::process::Core;
use crate::kernel::router::Routed;
use crate::kernel::signal::Delivery;

/// Why a message was not sent to a node that was to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotSent {
    /// The node is not connected.
    #[error("the node is not connected")]
    NotConnected,
    /// The connection is about to end: what is queued is still written, and nothing more.
    #[error("the connection is about to end")]
    Closed,
    /// More is queued for the node than [`Limits::queued`](crate::Limits::queued), since it does not read, or than there is memory
    /// for: its connection ends. Or a process of this node has a full mailbox and makes its senders wait.
    #[error("the receiver does not take what is sent to it")]
    Full,
    /// The node cannot take the message: it would end the connection.
    #[error("the node cannot take the message")]
    Unsendable,
    /// The message is malformed. It had arrived from another node, which is told.
    #[error("the message is malformed")]
    Malformed,
}

impl From<QueueError> for NotSent {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Closed => Self::Closed,
            QueueError::Full => Self::Full,
            _ => Self::Unsendable,
        }
    }
}

impl Delivery {
    /// As for a message; to a process that is gone nothing is sent either.
    pub(super) fn into_result(self) -> Result<(), NotSent> {
        match self {
            Self::Done | Self::NoProcess => Ok(()),
            Self::NotOffered => Err(NotSent::Unsendable),
            Self::Unreachable => Err(NotSent::NotConnected),
        }
    }
}

impl Process {
    /// Sends a message at once, if its receiver's node is connected, as `erlang:send/3` with `noconnect` and `nosuspend`.
    ///
    /// Does not wait: the message is queued even while the connection is busy, behind all that this process has sent before,
    /// and before all that it sends afterwards. This is for messages that are small, and as few as signals: what is queued so
    /// counts for [`Limits::queued`](crate::Limits::queued), beyond which the connection ends. As in Erlang, nothing tells whether
    /// the message arrives.
    ///
    /// # Errors
    /// If the node is not connected, or the message cannot be queued.
    pub fn send_connected(&self, to: impl Into<Destination>, message: &Term) -> Result<(), NotSent> {
        self.inner.send_at_once(self.author(), &to.into(), Payload::Term(message))
    }

    /// Sends a message that is encoded already, as [`send_connected`](Self::send_connected). One that goes to many receivers is
    /// encoded once.
    ///
    /// # Errors
    /// As [`send_connected`](Self::send_connected); if the message has arrived from another node, also if it is malformed.
    pub fn send_connected_raw(&self, to: impl Into<Destination>, message: &RawTerm) -> Result<(), NotSent> {
        if message.is_own() {
            return self.inner.send_at_once(self.author(), &to.into(), Payload::Raw(message));
        }
        // Malformed bytes would end the connection of the next node that gets them.
        let message = message.decode().map_err(|_| NotSent::Malformed)?;
        self.inner.send_at_once(self.author(), &to.into(), Payload::Term(&message))
    }
}

impl Inner {
    /// Sends a message if that can be done at once.
    pub(super) fn send_at_once(&self, from: Author<'_>, to: &Destination, payload: Payload<'_>) -> Result<(), NotSent> {
        let address = to.address(&self.kernel.identity);
        let connection = match self.connected(address, &payload)? {
            Connected::Here(None) => return Ok(()),
            Connected::Here(Some(process)) => {
                let Some(message) = envelope(from, payload) else { return Err(NotSent::Full) };
                return match self.kernel.deliver(process, message, Priority::Ordinary, from.peer) {
                    Routed::Full(..) => Err(NotSent::Full),
                    _ => Ok(()),
                };
            }
            Connected::There(connection) => connection,
        };
        let queued = queue(&connection, from.core, address, payload).ok_or(NotSent::Unsendable)?;
        Ok(connection.outbox.end_if_lost(queued)?)
    }

    /// Sends a message as soon as there is room for it.
    pub(super) async fn send_if_connected(
        &self,
        from: Author<'_>,
        address: Address<'_>,
        payload: Payload<'_>,
    ) -> Result<(), NotSent> {
        let connection = match self.connected(address, &payload)? {
            Connected::Here(process) => {
                self.send_here(from, process, address, payload).await;
                return Ok(());
            }
            Connected::There(connection) => connection,
        };
        let queued =
            queue_in_turn(&connection, from.core, address, payload).await.transpose().ok_or(NotSent::Unsendable)?;
        Ok(connection.outbox.end_if_lost(queued)?)
    }

    fn connected(&self, to: Address<'_>, payload: &Payload<'_>) -> Result<Connected, NotSent> {
        let connection = match self.kernel.place(to) {
            Place::Here(process) => return Ok(Connected::Here(process)),
            Place::Connected(connection) => connection,
            Place::Unconnected => return Err(NotSent::NotConnected),
        };
        let is_fit = match payload {
            Payload::Term(term) => connection.can_take(term),
            Payload::Tagged(tag, value) => {
                let value = value.decode_with(&Limits::NONE).map_err(|_| NotSent::Malformed)?;
                connection.can_take(tag) && connection.can_take(&value)
            }
            Payload::Encoded(_) | Payload::Raw(_) => true,
        };
        if !is_fit {
            return Err(NotSent::Unsendable);
        }
        match to {
            // As to a process that has ended.
            Address::Process(pid) if connection.never_made(pid) => Ok(Connected::Here(None)),
            _ => Ok(Connected::There(connection)),
        }
    }
}

/// Where the receiver of a message is, which can be sent now.
enum Connected {
    Here(Option<Arc<Core>>),
    There(Arc<Connection>),
}
