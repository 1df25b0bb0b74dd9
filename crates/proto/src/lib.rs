#![forbid(unsafe_code)]
//! The Erlang distribution protocol as a sans-IO state machine.
//!
//! The crate opens no socket, starts no task, reads no clock and draws no random number: its driver passes in bytes,
//! instants and challenges, and gets bytes and events. Each connection needs a socket from its driver:
//!
//! ```text
//!   admission  which connections may wait at an open port
//!   epmd       the port mapper: names and ports of nodes
//!   handshake  authentication; simultaneous attempts (arbitration)
//!      │
//!      ▼ Established
//!   connection  ReceiveHalf: bytes ──▶ signal and payload
//!               SendHalf: control message and payload ──▶ bytes, ticks
//!      │ made of
//!      ▼
//!   frame, channel (atom caches, fragments), control (messages), tick
//! ```
//!
//! It supports OTP 25 and later: visible and hidden nodes, dynamic names, pass-through framing, distribution headers
//! with the atom cache and fragments in both directions, and all control messages up to OTP 29. It does not support
//! the handshakes of releases before OTP 23 (except their first message, which OTP 27 still accepts) and compressed
//! terms in frames (no OTP sends them). Processes, links and names are the topic of the crate `peerl-node`.
//!
//! A handshake, both sides of it:
//!
//! ```
//! use peerl_proto::{
//!     cookie::Cookie,
//!     flags::DistributionFlags,
//!     handshake::{LocalNode, acceptor::*, initiator::{self, AfterStatus}, HandshakeReader},
//! };
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let node = |name: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let cookie = Cookie::new("secret")?;
//!     Ok(LocalNode::new(name.parse()?, 1, DistributionFlags::FULL_MEMBER, cookie))
//! };
//! let reader = HandshakeReader::default();
//! let (mut to_a, mut to_b) = (bytes::BytesMut::new(), bytes::BytesMut::new());
//!
//! // a@host calls b@host by name ...
//! let (a, out) = initiator::start(node("a@host")?, "b@host".parse()?);
//! to_b.extend_from_slice(&out);
//! let name = reader.next(&mut to_b)?.ok_or("incomplete")?;
//! let Introduced::Named(caller) = ExpectName::new(node("b@host")?).receive(&name).map_err(|r| r.error)? else {
//!     return Err("a@host has a name".into());
//! };
//! // ... b@host accepts and challenges it ...
//! let (b, out) = caller.accept(0x1234_5678);
//! to_a.extend_from_slice(&out.concat());
//! let status = reader.next(&mut to_a)?.ok_or("incomplete")?;
//! let AfterStatus::Proceed(a) = a.receive(&status)? else { return Err("not accepted".into()) };
//! // ... and each proves that it knows the cookie.
//! let challenge = reader.next(&mut to_a)?.ok_or("incomplete")?;
//! let (a, out) = a.receive(&challenge, 0x9abc_def0)?;
//! to_b.extend_from_slice(&out);
//! let reply = reader.next(&mut to_b)?.ok_or("incomplete")?;
//! let AfterReply::Established(at_b, out) = b.receive(&reply)? else { return Err("no reply".into()) };
//! to_a.extend_from_slice(&out);
//! let at_a = a.receive(&reader.next(&mut to_a)?.ok_or("incomplete")?)?;
//! assert_eq!((at_a.peer.as_str(), at_b.peer.as_str()), ("b@host", "a@host"));
//! # Ok(())
//! # }
//! ```

pub mod admission;
pub mod budget;
pub mod channel;
pub mod connection;
pub mod control;
pub mod cookie;
pub mod epmd;
pub mod error_chain;
pub mod fault;
pub mod flags;
pub mod frame;
pub mod handshake;
pub mod node_name;
pub mod tick;

#[cfg(test)]
mod test_support;
