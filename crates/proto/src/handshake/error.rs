//! Why a handshake failed, and whose fault it was.

use super::ForeignProtocol;
use crate::{
    flags::DistributionFlags,
    node_name::{NodeName, NodeNameError},
};

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent something else than what the protocol has at this point.
    #[error("the peer sent {} instead of its {expected}", Tag(*tag))]
    Unexpected {
        /// The message that was due.
        expected: &'static str,
        /// The first byte of what came; `None` for an empty message.
        tag: Option<u8>,
    },
    /// A message doesn't have the form it must have.
    #[error("the peer's {message} message is malformed: {what}")]
    Malformed {
        /// The message.
        message: &'static str,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A length says that the message is longer than any handshake message can be.
    #[error("the peer announced a handshake message of {length} bytes; is this an Erlang node?")]
    MessageTooLong {
        /// The length announced.
        length: usize,
    },
    /// The peer speaks another protocol.
    #[error("the peer speaks {protocol}")]
    Foreign {
        /// The protocol.
        protocol: ForeignProtocol,
    },
    /// The peer answered with a status that doesn't exist.
    #[error("the peer answered with the unknown status {status:?}")]
    UnknownStatus {
        /// The status, at most 40 bytes of it.
        status: String,
    },
    /// The peer's name is not the name of a node.
    #[error("the peer's name is invalid: {0}")]
    PeerName(NodeNameError),
    /// The peer that was dialled answers to another name.
    #[error("{dialled} answered as {answered}; the address belongs to another node")]
    WrongName {
        /// The name dialled.
        dialled: NodeName,
        /// The name in the challenge.
        answered: String,
    },
    /// The peer can't do something that we require.
    #[error("{peer} lacks what this node requires: {}", Flags(*missing))]
    MissingFlags {
        /// The peer, or its host when it has no name yet.
        peer: String,
        /// What it lacks.
        missing: DistributionFlags,
    },
    /// The peer refuses us: we aren't in its list of allowed nodes, or lack a flag that it requires.
    #[error("{peer} does not allow this node to connect")]
    NotAllowed {
        /// The peer.
        peer: NodeName,
    },
    /// The digest doesn't prove our cookie.
    #[error("{peer} has another cookie")]
    CookieMismatch {
        /// The peer.
        peer: NodeName,
    },
    /// The peer gave us a name although we have one, or gave none although we asked for one.
    #[error("{peer} misunderstood this node's name: {what}")]
    Naming {
        /// The peer.
        peer: NodeName,
        /// What went wrong.
        what: &'static str,
    },
    /// The peer closed the connection; most often it means `probably`.
    #[error("the peer closed the connection in the handshake: {probably}")]
    Closed {
        /// What it most often means at this point.
        probably: &'static str,
    },
    /// The peer let the set-up time pass.
    #[error("the peer did not send its {waiting_for} in time")]
    Timeout {
        /// The message that was due.
        waiting_for: &'static str,
    },
}

/// Whose fault it is that a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer broke the protocol, or is no Erlang node.
    Peer,
    /// Both are right, but of versions or settings that can't work together.
    Incompatible,
    /// A setting is wrong: the cookie, the name, the peer's allow list, the address.
    Configuration,
    /// The network or the peer's life: it closed or fell silent.
    Transport,
}

impl HandshakeError {
    /// The reason in a few words, without anything that the peer has chosen.
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
            Self::Naming { .. } => "name misunderstood",
            Self::Closed { .. } => "closed",
            Self::Timeout { .. } => "timeout",
        }
    }

    /// Whose fault it was.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Unexpected { .. }
            | Self::Malformed { .. }
            | Self::MessageTooLong { .. }
            | Self::UnknownStatus { .. }
            | Self::PeerName(_)
            | Self::Naming { .. } => Fault::Peer,
            Self::MissingFlags { .. } | Self::Foreign { .. } => Fault::Incompatible,
            Self::WrongName { .. } | Self::NotAllowed { .. } | Self::CookieMismatch { .. } => Fault::Configuration,
            Self::Closed { .. } | Self::Timeout { .. } => Fault::Transport,
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
