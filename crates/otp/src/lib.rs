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
//! A [`Server`] corresponds to Erlang's `gen_server`: BEAM nodes call it, cast to it, inspect it with `sys`, and stop
//! it, with the same functions as for their own servers.
//!
//! [`ServerRef`], [`EventManager`], [`Agent`] and [`SupervisorRef`] are those of other nodes, to be called; [`rpc`] has what Erlang's
//! `rpc` and `erpc` have beyond single calls.
//!
//! [`node`] sets up a node with everything that peers expect of one: the processes of [`System`] (`net_kernel`, `rex`,
//! `logger`, a group leader) and [`functions`].
//!
//! [`global`] makes a visible node a full member of a mesh: names and locks are the same at all of its nodes.
//!
//! [`functions`] are those that tools of the BEAM expect on every node.

mod chardata;
mod client;
pub use client::{
    Agent, ChildInfo, ChildState, Elapsed, EventManager, MultiCall, Replies, Request, Requests, ServerRef,
    SupervisorRef, abcast, multi_call,
};
pub mod functions;
pub mod global;
mod last_element;
mod lasting;
mod node;
pub mod pg;
pub use node::{guest, node};
mod node_shares;
mod panic;
mod places;
pub mod rpc;
mod server;
pub use server::{Answer, Context, Options, Outcome, Running, Server, StartError, Stop, later, reply};
mod state_form;
mod supervisor;
pub use supervisor::{ChildError, ChildSpec, Handle, Intensity, Parent, Restart, Shutdown, Strategy, Supervisor};
mod system;
pub use system::{LogEvent, System, SystemError, check_system};
mod task_supervisor;
pub use task_supervisor::TaskSupervisor;
mod term_memory;
