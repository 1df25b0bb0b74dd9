//! A connection that is up, without its socket: bytes in and signals out, signals in and bytes out.
//!
//! ```text
//!   socket ──▶ ReceiveHalf { frames ─▶ atom cache ─▶ fragments } ──▶ Message
//!   control message + payload ──▶ SendHalf { atom cache ─▶ queue, lanes of large messages, ticks } ──▶ Batch ──▶ socket
//! ```
//!
//! The halves share nothing, so that one task can read while another one writes. What has been read is told to the
//! [`SendHalf`], which writes the ticks and knows when the peer is dead.

mod lanes;
mod receive;
mod send;

pub use lanes::Sender;
pub use receive::{ReceiveError, ReceiveHalf};
pub use send::{Batch, Busy, Freed, QueueError, SendHalf};
