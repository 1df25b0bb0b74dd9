//! Why a handshake failed.

use super::ForeignProtocol;
use crate::{
    fault::Fault,
    flags::DistributionFlags,
    node_name::{NodeName, NodeNameError},
};

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent another message than the protocol requires at this point.
    #[error("the peer sent {} instead of its {expected}", Tag(*tag))]
    Unexpected {
        /// The required message.
        expected: &'static str,
        /// The first byte of the message; `None` if it was empty.
        tag: Option<u8>,
    },
    /// A message has the wrong form.
    #[error("the peer's {message} message is malformed: {what}")]
    Malformed {
        /// The message.
        message: &'static str,
        /// What is wrong with it.
        what: MessageError,
    },
    /// The announced length exceeds that of any handshake message.
    #[error("the peer announced a handshake message of {length} bytes; is this an Erlang node?")]
    MessageTooLong {
        /// The announced length.
        length: usize,
    },
    /// The peer speaks another protocol.
    #[error("the peer speaks {protocol}")]
    Foreign {
        /// The protocol.
        protocol: ForeignProtocol,
    },
    /// The peer answered with an unknown status.
    #[error("the peer answered with the unknown status {status:?}")]
    UnknownStatus {
        /// Its first 40 bytes.
        status: String,
    },
    /// The peer's name is not a valid node name.
    #[error("the peer's name is invalid: {0}")]
    PeerName(NodeNameError),
    /// The dialled peer has another name.
    #[error("{dialled} answered as {answered}; the address belongs to another node")]
    WrongName {
        /// The dialled name.
        dialled: NodeName,
        /// The name in the challenge.
        answered: String,
    },
    /// The peer lacks required capabilities.
    #[error("{peer} lacks what this node requires: {}", Flags(*missing))]
    MissingFlags {
        /// The peer, or its host if it has no name yet.
        peer: String,
        /// The missing capabilities.
        missing: DistributionFlags,
    },
    /// The peer refuses this node: it is not in the peer's list of allowed nodes, or lacks a required flag.
    #[error("{peer} does not allow this node to connect")]
    NotAllowed {
        /// The peer.
        peer: NodeName,
    },
    /// The digest does not match this node's cookie.
    #[error("{peer} has another cookie")]
    CookieMismatch {
        /// The peer.
        peer: NodeName,
    },
    /// The peer assigned this node an invalid name, an unrequested one, or none.
    #[error("{peer} assigned this node's name wrongly: {what}")]
    Naming {
        /// The peer.
        peer: NodeName,
        /// What is wrong.
        what: AssignedNameError,
    },
    /// The peer closed the connection.
    #[error("the peer closed the connection in the handshake: {probably}")]
    Closed {
        /// The most likely reason at this point.
        probably: &'static str,
    },
    /// The set-up time elapsed without a message.
    #[error("the peer did not send its {waiting_for} in time")]
    Timeout {
        /// The required message.
        waiting_for: &'static str,
    },
}

/// What is wrong with the form of a handshake message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is shorter than its fields.
    #[error("too few bytes")]
    Truncated,
    /// Bytes follow its last field.
    #[error("bytes after its end")]
    TrailingBytes,
    /// The name is not UTF-8.
    #[error("a name that is not UTF-8")]
    NameText,
    /// The answer to `alive` is neither `true` nor `false`.
    #[error("neither true nor false")]
    NoBoolean,
}

/// What is wrong with the name that a peer assigns to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssignedNameError {
    /// This node has a name and did not ask for one.
    #[error("it assigns a name to a node that has one")]
    Unrequested,
    /// The name is on another host.
    #[error("it assigns a name on another host")]
    OtherHost,
    /// This node asked for a name and got none.
    #[error("it assigns no name to a node that asked for one")]
    Missing,
}

impl HandshakeError {
    /// The reason in a few words, without text that the peer chose.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unexpected { .. } => "unexpected message",
            Self::Malformed { .. } => "malformed message",
            Self::MessageTooLong { .. } => "message too long",
            Self::Foreign { .. } => "foreign protocol",
            Self::UnknownStatus { .. } => "unknown status",
            Self::PeerName(_) => "invalid name",
            Self::WrongName { .. } => "wrong name",
            Self::MissingFlags { .. } => "missing capabilities",
            Self::NotAllowed { .. } => "not allowed",
            Self::CookieMismatch { .. } => "wrong cookie",
            Self::Naming { .. } => "wrong name assigned",
            Self::Closed { .. } => "closed",
            Self::Timeout { .. } => "timeout",
        }
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unexpected { .. }
            | Self::Malformed { .. }
            | Self::MessageTooLong { .. }
            | Self::UnknownStatus { .. }
            | Self::PeerName(_)
            | Self::Naming { .. } => Fault::PeerMisbehaved,
            Self::MissingFlags { .. } | Self::Foreign { .. } => Fault::PeerIncompatible,
            Self::WrongName { .. } | Self::NotAllowed { .. } | Self::CookieMismatch { .. } => Fault::Misconfigured,
            Self::Closed { .. } | Self::Timeout { .. } => Fault::ConnectionLost,
        }
    }
}

struct Tag(Option<u8>);

impl std::fmt::Display for Tag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("an empty message"),
            Some(tag) if tag.is_ascii_graphic() => write!(f, "a message '{}'", tag as char),
            Some(tag) => write!(f, "a message with tag {tag}"),
        }
    }
}

struct Flags(DistributionFlags);

impl std::fmt::Display for Flags {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        bitflags::parser::to_writer(&self.0, f)
    }
}
