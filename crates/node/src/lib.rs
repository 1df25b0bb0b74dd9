#![forbid(unsafe_code)]
//! A running Erlang distribution node on tokio.
//!
//! ```text
//!   socket ─▶ reader task ─▶ frames ─▶ messages ─▶ router ─▶ mailboxes, calls, links and monitors, exports
//!   socket ◀─ writer task ◀─ outbox ◀────────────────────── whoever sends
//! ```
//!
//! A [`Node`] is a member of the cluster that BEAM nodes cannot tell from their own kind: they ping it, see it in
//! `nodes()`, and call it with `rpc` and `erpc`. It calls them with [`Node::call`], and serves them the functions
//! that are [exported](Node::export), and no others.
//!
//! ```no_run
//! use peerl_node::{Exception, Mfa, Node};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder("rust@127.0.0.1").cookie("secret").start().await?;
//! node.export("greeter", "greet", 1, |(name,): (String,)| async move { Ok::<_, Exception>(format!("hello {name}")) })?;
//! let peer = "beam@127.0.0.1".parse()?;
//! let reversed: Vec<u8> = node.call(&peer, Mfa::new("lists", "reverse", (vec![1, 2, 3],))?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do yet: `global` and `pg`, TLS, and code that moves between nodes.

mod accept;
mod bad_argument;
mod bring_up;
mod builder;
mod connect_error;
mod connection;
mod cookie_file;
mod dial;
mod drain;
mod epmd;
mod event;
mod exception;
mod export;
mod exports;
mod format;
mod granted_names;
mod group_leaders;
mod guest;
mod handshake;
mod identity;
mod inner;
mod limits;
mod listener;
mod lost;
mod mfa;
mod node;
mod peers;
mod process;
mod reader;
mod reason;
mod repeats;
mod router;
mod rpc;
mod signals;
mod start_error;
mod system;
mod writer;

pub use builder::NodeBuilder;
pub use connect_error::ConnectError;
pub use cookie_file::{CookieFileError, is_private, read_cookie};
pub use epmd::{Epmd, Registered};
pub use event::{LogEvent, NodeDownReason, NodeEvent, Visibility};
pub use exception::{Class, Exception};
pub use limits::Limits;
pub use mfa::{Mfa, MfaError};
pub use node::{Node, Nodes, WeakNode};
pub use peerl_proto::channel::{ChannelLimits, Loss};
pub use peerl_proto::cookie::{Cookie, CookieError};
pub use peerl_proto::node_name::{NodeName, NodeNameError};
pub use peerl_term::{Atom, Pid, Reference, Term};
pub use process::{
    Destination, Down, Ended, Exit, MailboxPolicy, Message, Monitored, NodeDown, NodeUp, Overflow, Process,
    ProcessInfo, RegisterError, SendError,
};
pub use rpc::{ByNode, Call, CallError, CallOf, Caller, GenCall, GenRequest, Mapped, Pmap, ReplyError, Workers};
pub use start_error::StartError;
pub use system::SystemError;
