//! A connection after its handshake: frames in, messages out, and back.
//!
//! ```text
//!   Frame ──▶ Inbound { header with atom cache ─▶ Signal ─▶ reassembly } ──▶ Message
//!   Control + payload ──▶ Outbound { header with atom cache } ──▶ bytes of a frame, or Fragments
//! ```
//!
//! Erlang docs: *Distribution Protocol*, section "Protocol between Connected Nodes"; *External Term Format*, sections
//! "Distribution Header" and "Distribution Header for fragmented messages".

mod fragments;
mod inbound;
mod message_buffer;
mod outbound;
mod payload;
mod reassembly;
mod received_atoms;
mod rename;
mod sent_atoms;

pub use fragments::{Fragment, Fragments};
pub use inbound::Inbound;
pub use message_buffer::MessageBuffer;
pub use outbound::{Outbound, Unsendable};
pub use rename::Rename;

use peerl_term::{RawTerm, Term};

use crate::control::{ControlError, Signal};

/// What has come in one control message and its payload.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it is about.
    pub signal: Signal,
    /// The term of those signals that have one, not decoded yet. It shares the frame's memory.
    pub payload: Option<RawTerm>,
    /// Why it must have a payload and has none, and of how many bytes the payload was.
    pub lost: Option<(Loss, usize)>,
    /// The sequential trace token.
    pub token: Option<Term>,
    /// The number of the operation, which tells the form of the control message.
    pub operation: u8,
}

/// Why a message has lost its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It is larger than [`ChannelLimits::message`].
    #[error("it is too large")]
    TooLarge,
    /// More than [`ChannelLimits::reassembly`] bytes waited for fragments.
    #[error("too many bytes wait for the rest of their messages")]
    NoRoom,
    /// Its fragments did not go on for long.
    #[error("its sender has stopped in the middle for long")]
    GivenUp,
}

impl Message {
    /// A place for a message that is yet to be received.
    pub fn vacant() -> Self {
        Message { signal: Signal::vacant(), payload: None, lost: None, token: None, operation: 0 }
    }
}

/// What an [`Inbound`] keeps in memory. A message beyond a limit [loses its payload](Message::lost), and nothing else happens.
///
/// The peer knows the cookie, but may run amok; a limit keeps it from taking this node's memory along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelLimits {
    /// The most bytes of a payload.
    pub message: usize,
    /// The most bytes of all payloads that wait for fragments.
    pub reassembly: usize,
    /// The most messages that wait for fragments at a time. Of more, the oldest is forgotten; if it goes on, the connection
    /// ends.
    pub sequences: usize,
}

impl Default for ChannelLimits {
    /// 256 MiB a message; 4 GiB of 262,144 messages waiting, which is as many as a BEAM has processes.
    fn default() -> Self {
        ChannelLimits { message: 256 << 20, reassembly: 4 << 30, sequences: 1 << 18 }
    }
}

/// Why a frame can't be taken. The connection can't go on after any of these: what the peer thinks is in our atom
/// cache, or on its way in fragments, isn't. OTP closes it too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The frame starts with bytes that no frame starts with.
    #[error("unknown kind of frame")]
    UnknownFrame,
    /// The distribution header is cut short, or an atom in it is none.
    #[error("malformed distribution header")]
    Header,
    /// The distribution header refers to an atom that was never sent.
    #[error("reference to the empty slot {slot} of the atom cache")]
    EmptySlot {
        /// The slot.
        slot: u16,
    },
    /// The control message is none.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The control message must have a payload and has none, or the other way round.
    #[error("operation {operation} {}", if *.payload { "with a payload" } else { "without its payload" })]
    Payload {
        /// The operation.
        operation: u8,
        /// Whether there is one.
        payload: bool,
    },
    /// A fragment comes out of order, or doubly, or numbered 0.
    #[error("fragment {fragment} of sequence {sequence} out of order")]
    FragmentOrder {
        /// The sequence.
        sequence: u64,
        /// The fragment.
        fragment: u64,
    },
}

/// The bytes that frames start with.
mod lead {
    /// `PASS_THROUGH`: no header.
    pub(super) const PASS_THROUGH: u8 = 112;
    /// The version of the external term format.
    pub(super) const VERSION: u8 = 131;
    /// After [`VERSION`]: a distribution header.
    pub(super) const HEADER: u8 = 68;
    /// After [`VERSION`]: a distribution header and the first fragment.
    pub(super) const FIRST_FRAGMENT: u8 = 69;
    /// After [`VERSION`]: a later fragment.
    pub(super) const FRAGMENT: u8 = 70;
}

/// What the flags of a distribution header say of an atom, and of all.
mod header {
    /// The atom's name follows, for its slot.
    pub(super) const NEW_ENTRY: u8 = 8;
    /// The lengths of names have two bytes.
    pub(super) const LONG_ATOMS: u8 = 1;
}
