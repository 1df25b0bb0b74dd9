//! An established connection without its socket: bytes in, signals out; signals in, bytes out.
//!
//! ```text
//!   socket ──▶ ReceiveHalf { frames ─▶ atom cache ─▶ fragments } ──▶ Message
//!   control message + payload ──▶ SendHalf { atom cache ─▶ queue, lanes of large messages, ticks } ──▶ Batch ──▶ socket
//! ```
//!
//! The halves share nothing, so one task can read while another writes. The driver reports each read to the
//! [`SendHalf`], which sends ticks and detects a dead peer.

mod batch;
mod buffers;
mod lanes;
mod measuring;
mod receive;
mod send;

pub use batch::{Batch, Freed};
pub use lanes::Sender;
pub use measuring::LARGE;
pub use receive::{ReceiveError, ReceiveHalf};
pub use send::{Busy, Payer, QueueError, SendHalf};
