//! The framing of a connection after its handshake: frames to messages, and messages to frames.
//!
//! ```text
//!   Frame ──▶ MessageDecoder { header with atom cache ─▶ Signal ─▶ reassembly } ──▶ Message
//!   Control + payload ──▶ MessageEncoder { header with atom cache } ──▶ bytes of a frame, or Fragments
//! ```
//!
//! Erlang docs: *Distribution Protocol*, section "Protocol between Connected Nodes"; *External Term Format*, sections
//! "Distribution Header" and "Distribution Header for fragmented messages".

mod fragments;
mod message_buffer;
mod message_decoder;
mod message_encoder;
mod payload;
mod reassembly;
mod received_atoms;
mod rename;
mod sent_atoms;

pub use fragments::{Fragment, Fragments};
pub use message_buffer::MessageBuffer;
pub use message_decoder::MessageDecoder;
pub use message_encoder::{MessageEncoder, Unsendable};
pub use rename::Rename;

use peerl_term::{RawTerm, Term};

use crate::{
    control::{ControlError, Signal},
    fault::Fault,
};

/// A control message and its payload, as received.
#[derive(Clone, Debug)]
pub struct Message {
    /// What the control message says.
    pub signal: Signal,
    /// The signal's term, if it has one, not decoded yet. It shares the frame's memory.
    pub payload: Option<RawTerm>,
    /// Why a required payload is missing, and the payload's size in bytes.
    pub lost: Option<(Loss, usize)>,
    /// The sequential trace token, if there is one.
    pub token: Option<Term>,
    /// The operation number, which tells the form of the control message.
    pub operation: u8,
}

/// Why the payload of a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It is larger than [`ChannelLimits::message`].
    #[error("it is too large")]
    TooLarge,
    /// More than [`ChannelLimits::reassembly`] bytes waited for fragments.
    #[error("too many bytes wait for the rest of their messages")]
    NoRoom,
    /// No fragment of it arrived for too long.
    #[error("its sender has stopped in the middle for long")]
    GivenUp,
}

impl Message {
    /// A placeholder that [`ReceiveHalf::next`](crate::connection::ReceiveHalf::next) overwrites.
    pub fn vacant() -> Self {
        Message { signal: Signal::vacant(), payload: None, lost: None, token: None, operation: 0 }
    }
}

/// Memory limits of a [`MessageDecoder`]. A message beyond a limit [loses its payload](Message::lost), with no other
/// effect.
///
/// Even a peer that knows the cookie may misbehave: without limits it could exhaust this node's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelLimits {
    /// The largest payload in bytes.
    pub message: usize,
    /// The most bytes of all incomplete payloads.
    pub reassembly: usize,
    /// The most incomplete messages. Beyond that the oldest is dropped; a further fragment of it ends the connection.
    pub sequences: usize,
}

impl Default for ChannelLimits {
    /// 256 MiB per message; 4 GiB in 262,144 incomplete messages, which is a BEAM's default limit of processes.
    fn default() -> Self {
        ChannelLimits { message: 256 << 20, reassembly: 4 << 30, sequences: 1 << 18 }
    }
}

/// Why a frame cannot be accepted. The connection cannot continue: the peer's view of this node's atom cache and
/// incomplete messages no longer holds. OTP closes it too.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// No kind of frame begins with these bytes.
    #[error("unknown kind of frame")]
    UnknownFrame,
    /// The distribution header is truncated, or holds an invalid atom.
    #[error("malformed distribution header")]
    Header,
    /// The distribution header refers to an empty slot.
    #[error("reference to the empty slot {slot} of the atom cache")]
    EmptySlot {
        /// The slot.
        slot: u16,
    },
    /// The control message is invalid.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A required payload is missing, or there is one where none is allowed.
    #[error("operation {operation} {}", if *.payload { "with a payload" } else { "without its payload" })]
    Payload {
        /// The operation.
        operation: u8,
        /// Whether there is a payload.
        payload: bool,
    },
    /// A fragment is out of order, repeated, or numbered 0.
    #[error("fragment {fragment} of sequence {sequence} out of order")]
    FragmentOrder {
        /// The sequence.
        sequence: u64,
        /// The fragment.
        fragment: u64,
    },
}

impl ChannelError {
    /// Always the peer's: it knows what this node offered.
    pub fn fault(&self) -> Fault {
        Fault::PeerMisbehaved
    }
}

/// The first bytes of frames.
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

/// The flags in a distribution header: of one atom, and of all.
mod header {
    /// The atom's name follows, for its slot.
    pub(super) const NEW_ENTRY: u8 = 8;
    /// Lengths of names take two bytes.
    pub(super) const LONG_ATOMS: u8 = 1;
}
