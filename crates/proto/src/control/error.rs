//! Why bytes are not a control message.

use peerl_term::DecodeError;

use crate::fault::Fault;

/// Why bytes are not a control message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// They are not a term, or an element has the wrong type.
    #[error("malformed control message: {0}")]
    Term(DecodeError),
    /// An element has the right type, but an invalid value.
    #[error("malformed control message: {0}")]
    Field(FieldError),
    /// No such operation exists.
    #[error("unknown operation {0}")]
    UnknownOperation(u64),
    /// The tuple has too many or too few elements.
    #[error("operation {operation} with a tuple of {arity} elements")]
    WrongArity {
        /// The operation.
        operation: u8,
        /// The number of elements.
        arity: usize,
    },
}

/// Why an element of a control message is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FieldError {
    /// The flags call the receiver an alias and a name.
    #[error("the receiver is an alias and a name")]
    AliasAndName,
    /// The receiver of an exit signal is a name.
    #[error("an exit signal to a name")]
    ExitToName,
    /// The receiver is a name, but the flags do not say so.
    #[error("the receiver is a name without the flag for one")]
    UnflaggedName,
    /// An unlink has the number 0.
    #[error("an unlink with the id 0")]
    UnlinkId,
    /// A function is not `{Module, Function, Arity}`.
    #[error("the function is not {{Module, Function, Arity}}")]
    Function,
    /// The arity of a function exceeds 32 bits.
    #[error("an arity of more than 32 bits")]
    Arity,
    /// The flags of a spawn reply exceed 32 bits.
    #[error("spawn reply flags of more than 32 bits")]
    SpawnReplyFlags,
}

impl ControlError {
    /// Always the peer's.
    pub fn fault(&self) -> Fault {
        Fault::PeerMisbehaved
    }
}

impl From<DecodeError> for ControlError {
    fn from(error: DecodeError) -> Self {
        Self::Term(error)
    }
}

impl From<FieldError> for ControlError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}
