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
//! Every state is consumed by the message that it waits for, so a message out of order can't be handled by accident.
//! A driver that takes message by message holds them as one [`Handshake`].
//! States take a message without its length (see [`HandshakeReader`]) and give back bytes that are ready to be written.
//! Challenges are handed in: this crate has no randomness of its own. Time is watched by [`SetupTimer`], and what
//! to do when two nodes connect to each other at once is decided by [`arbitration`].
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

pub use error::{Fault, HandshakeError};
pub use exchange::{Handshake, Step};
pub use foreign_protocol::ForeignProtocol;
pub use framing::{Framing, HandshakeReader};
pub use setup_timer::SetupTimer;

use crate::{cookie::Cookie, flags::DistributionFlags, node_name::NodeName};

/// What a node says about itself in a handshake.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// This node's name.
    pub name: NodeName,
    /// This node's creation: which incarnation of the name it is.
    pub creation: u32,
    /// What this node can do.
    pub flags: DistributionFlags,
    /// What a peer must be able to do. With [`DistributionFlags::MANDATORY_26`], as OTP 26 and later require it, OTP 25 is
    /// accepted too: it has these flags, and does not require them.
    pub required: DistributionFlags,
    /// The secret shared with the peer.
    pub cookie: Cookie,
    /// The transport's framing.
    pub framing: Framing,
}

impl LocalNode {
    /// A node on plain TCP that takes peers from OTP 25 on.
    pub fn new(name: NodeName, creation: u32, flags: DistributionFlags, cookie: Cookie) -> Self {
        LocalNode { name, creation, flags, required: DistributionFlags::MANDATORY_26, cookie, framing: Framing::Short }
    }
}

/// What is known when a handshake has ended well. From here on the connection has `u32` frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Established {
    /// The peer's name.
    pub peer: NodeName,
    /// The peer's creation.
    pub creation: u32,
    /// What both sides can do.
    pub flags: DistributionFlags,
    /// What the peer said that it can do.
    pub peer_flags: DistributionFlags,
}
