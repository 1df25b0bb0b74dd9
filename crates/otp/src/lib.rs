#![forbid(unsafe_code)]
//! Behaviours of Erlang/OTP for Rust programs, on the public interface of a [`Node`](peerl_node::Node).
//!
//! ```text
//!   gen_server:call, cast, stop   sys:get_state, suspend, …   exit signals
//!                 │                         │                      │
//!                 ▼                         ▼                      ▼
//!             mailbox of a process ─▶ the loop of a server ─▶ your `Server`
//! ```
//!
//! A [`Server`] is what `gen_server` is in Erlang: BEAM nodes call it, cast to it, look into it with `sys`, and stop it,
//! with the functions that they use for their own servers.
//!
//! [`functions`] are those that tools of the BEAM expect at every node.

pub mod functions;
mod server;
pub use server::{Answer, Context, Options, Outcome, Running, Server, StartError, Stop, later, reply};
