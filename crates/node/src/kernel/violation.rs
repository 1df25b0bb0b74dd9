use peerl_proto::connection::{QueueError, ReceiveError};
use peerl_term::DecodeError;

/// A violation of the protocol by a peer. Its connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// A frame is not a message of the protocol.
    #[error(transparent)]
    Malformed(#[from] ReceiveError),
    /// A term is malformed. Terms are decoded later than the message that carries them.
    #[error("a payload is malformed: {0}")]
    Payload(DecodeError),
    /// A message came without its payload.
    #[error("a message whose payload is missing")]
    NoPayload,
    /// A signal names a sender that is not a process of the peer.
    #[error("a {signal} from a process of another node")]
    Foreign {
        /// The signal.
        signal: &'static str,
    },
    /// Its monitors and links, and what else is kept for it, take more than its share of the node's memory.
    #[error("it has more monitors and links than its share of the memory has room for")]
    TooManyMonitors,
    /// It has sent more small messages than may wait here.
    #[error("more messages of the peer wait than it may have memory here")]
    TooMuchMemory,
    /// The answer cannot be queued: the peer does not read.
    #[error(transparent)]
    Congested(#[from] QueueError),
}
