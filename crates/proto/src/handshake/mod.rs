//! The handshake that opens every connection, as one type per state.
//!
//! ```text
//!   initiator                                 acceptor
//!   start ── name ──────────────────────────▶ ExpectName
//!   ExpectStatus ◀───────────────── status ── Introduced::{Named, Dynamic}
//!   (AnswerAlive ── true / false ───────────▶ ExpectAliveAnswer)
//!   ExpectChallenge ◀─────────── challenge ──
//!             ── reply ─────────────────────▶ ExpectReply
//!   ExpectAck ◀──────────────────────── ack ──
//!   Established                               Established
//! ```
//!
//! Every state is consumed by the message that it waits for, so a message out of order cannot be processed.
//! [`Handshake`] holds any state, for a driver that takes message by message. States take a message without its
//! length (see [`HandshakeReader`]) and return bytes to write. The driver supplies the challenges: this crate has no
//! randomness of its own. [`SetupTimer`] bounds the time, and [`arbitration`] decides when two nodes connect to each
//! other at once.
//!
//! Erlang docs: *Distribution Protocol*, section "Distribution Handshake".

pub mod acceptor;
pub mod arbitration;
pub mod initiator;

mod error;
mod exchange;
mod foreign_protocol;
mod framing;
mod message;
mod setup_timer;

pub use error::{AssignedNameError, HandshakeError, MessageError};
pub use exchange::{Handshake, Step};
pub use foreign_protocol::ForeignProtocol;
pub use framing::{Framing, HandshakeReader};
pub use setup_timer::SetupTimer;

use crate::{cookie::Cookie, flags::DistributionFlags, node_name::NodeName};

/// A node's description of itself in a handshake.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// This node's name.
    pub name: NodeName,
    /// This node's creation, which distinguishes restarts under the same name.
    pub creation: u32,
    /// The capabilities of this node.
    pub flags: DistributionFlags,
    /// The capabilities that a peer must have. [`DistributionFlags::MANDATORY_26`], which OTP 26 and later require,
    /// admits OTP 25 too: it has these flags, but does not require them.
    pub required: DistributionFlags,
    /// The secret shared with the peer.
    pub cookie: Cookie,
    /// The transport's framing.
    pub framing: Framing,
}

impl LocalNode {
    /// A node on plain TCP that accepts peers from OTP 25 on.
    pub fn new(name: NodeName, creation: u32, flags: DistributionFlags, cookie: Cookie) -> Self {
        LocalNode { name, creation, flags, required: DistributionFlags::MANDATORY_26, cookie, framing: Framing::Short }
    }
}

/// The result of a successful handshake. From here on the connection carries frames with `u32` lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The peer's name.
    pub peer: NodeName,
    /// The peer's creation.
    pub creation: u32,
    /// The capabilities of both sides.
    pub flags: DistributionFlags,
    /// The capabilities of the peer.
    pub peer_flags: DistributionFlags,
}
