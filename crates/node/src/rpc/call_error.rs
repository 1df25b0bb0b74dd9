use std::time::Duration;

use peerl_proto::channel::Loss;
use peerl_term::{Atom, Term};

use crate::kernel::connection::{Answer, QueueError};
use crate::kernel::event::NodeDownReason;
use crate::kernel::exception::Exception;
use crate::network::connect_error::ConnectError;

/// Why a call gave no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The peer cannot be reached. The call was not made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection ended before the answer came. The call may have been made or not.
    #[error("the connection to the node ended before the answer came")]
    NodeDown,
    /// This node ended the connection before the answer came, and says why. The call may have been made or not.
    #[error("this node ended the connection before the answer came: {0}")]
    Disconnected(NodeDownReason),
    /// The answer came, and could not be kept.
    #[error("the answer of {bytes} bytes was dropped: {loss}")]
    AnswerLost {
        /// Why.
        loss: Loss,
        /// How many bytes it has.
        bytes: usize,
    },
    /// The answer did not come in time. The called function goes on, and its answer is dropped.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The function ended in an exception.
    #[error("the function failed with {0}")]
    Exception(Exception),
    /// The process in which the function ran was ended by a signal with this reason.
    #[error("the process that made the call was ended: {0:?}")]
    Signal(Term),
    /// The peer's `erpc` refused the call.
    #[error("the call was refused: {0:?}")]
    Erpc(Term),
    /// The peer did not spawn a process for the call: `system_limit` if it is busy, `noconnection` if it is shutting
    /// down, `notsup` if it cannot.
    #[error("the node did not take the call: {0}")]
    NotSpawned(Atom),
    /// The node spawns nothing for its peers (C nodes, Jinterface), and no process there has answered the call as a message
    /// to `rex`.
    #[error("this kind of node takes no such calls: it spawns no processes for others, and nothing answers at rex")]
    NoRex,
    /// No node could be reached for a while; see [`Pmap::patience`](crate::Pmap::patience).
    #[error("no node could be reached that would make the call")]
    NobodyToAsk,
    /// The value is not of the type that was asked for.
    #[error("the result is not of the expected type")]
    Decode(#[from] peerl_term::serde::Error),
    /// What the peer sent is malformed.
    #[error("the answer is malformed")]
    Malformed(#[from] peerl_term::DecodeError),
    /// The call cannot be sent: it is too large for the peer, or the peer does not read.
    #[error("the call cannot be sent")]
    Send(#[source] QueueError),
}

impl From<NodeDownReason> for CallError {
    fn from(reason: NodeDownReason) -> Self {
        match reason {
            NodeDownReason::ConnectionClosed | NodeDownReason::Io(_) => Self::NodeDown,
            reason => Self::Disconnected(reason),
        }
    }
}

impl From<Exception> for CallError {
    fn from(exception: Exception) -> Self {
        Self::Exception(exception)
    }
}

/// What an answer means that is not the one that was asked for.
impl From<Answer> for CallError {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::NotSpawned(error) => Self::NotSpawned(error),
            Answer::Lost(loss, bytes) => Self::AnswerLost { loss, bytes },
            Answer::Disconnected(reason) => reason.into(),
            Answer::Down(_) | Answer::Reply(_) => Self::NodeDown,
        }
    }
}

pub(super) fn not_sent(error: QueueError) -> CallError {
    match error {
        QueueError::Closed => CallError::NodeDown,
        other => CallError::Send(other),
    }
}
