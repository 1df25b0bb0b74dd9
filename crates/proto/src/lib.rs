#![forbid(unsafe_code)]
//! The Erlang distribution protocol as a sans-IO state machine.
//!
//! Nothing here opens a socket, starts a task, reads a clock or draws a random number: bytes, instants and challenges
//! are handed in; bytes and events come out.

pub mod channel;
pub mod control;
pub mod cookie;
pub mod epmd;
pub mod flags;
pub mod frame;
pub mod handshake;
pub mod node_name;
pub mod tick;

#[cfg(test)]
mod test_support;
