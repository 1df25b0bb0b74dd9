#![forbid(unsafe_code)]
//! A running Erlang distribution node on tokio.
//!
//! ```text
//!   socket ─▶ reader task ─▶ frames ─▶ messages ─▶ router ─▶ mailboxes, calls, links and monitors, exports
//!   socket ◀─ writer task ◀─ outbox ◀────────────────────── senders
//! ```
//!
//! A [`Node`] is a member of the cluster that BEAM nodes cannot tell from their own kind: they ping it, see it in
//! `nodes()`, and call it with `rpc` and `erpc`. It calls them with [`Node::call`], and serves them the functions
//! that are [exported](Node::export), and no others.
//!
//! A node of this crate is bare: it has the processes and functions that the program gives it. `peerl::node` adds what peers
//! expect of every node, such as `net_kernel`, which answers pings.
//!
//! ```no_run
//! use peerl_node::{Mfa, NodeBuilder};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = NodeBuilder::new("rust@127.0.0.1").cookie("secret").start().await?;
//! node.export("greeter", "greet", |(name,): (String,)| async move { Ok(format!("hello {name}")) })?;
//! let peer = "beam@127.0.0.1".parse()?;
//! let reversed: Vec<u8> = node.call(&peer, Mfa::new("lists", "reverse", (vec![1, 2, 3],))?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! What it does not do yet: `global` and `pg`, and code that moves between nodes.

mod builder;
mod drain;
mod export;
mod inner;
mod kernel;
#[cfg(feature = "metrics")]
pub mod metrics;
mod mfa;
mod network;
mod node;
mod peer;
mod process;
mod renewal;
mod rpc;
mod running_service;
mod service;
mod serving;
mod start_error;
pub mod testing;

pub use builder::NodeBuilder;
pub use export::{Arguments, CallContext, Functions, Handler, RawCall};
pub use kernel::event::{ConnectionId, NodeDownReason, NodeEvent, Visibility};
pub use kernel::exception::{Class, Exception};
#[cfg(feature = "metrics")]
pub use kernel::figures::{Dropped, FunctionFigures, PeerFigures};
pub use kernel::limits::Limits;
pub use kernel::long_work::long_work;
pub use kernel::paced_tasks::PacedTasks;
pub use kernel::process::{
    Down, Exit, MailboxPolicy, Message, Monitored, NodeDown, NodeUp, Overflow, ProcessInfo, ProcessSummary,
};
pub use kernel::repeats::Repeats;
pub use kernel::transferred::Transferred;
pub use kernel::violation::Violation;
pub use mfa::{Mfa, MfaError};
pub use network::connect_error::ConnectError;
pub use network::cookie_file::{CookieFileError, is_private, read_cookie};
pub use network::epmd::{Epmd, Registered};
pub use network::transport;
pub use node::{Node, Nodes, WeakNode};
pub use peer::Peer;
pub use peerl_proto::budget::{Budget, Lease, Share};
pub use peerl_proto::channel::{ChannelLimits, Loss};
pub use peerl_proto::connection::QueueError;
pub use peerl_proto::control::Priority;
pub use peerl_proto::cookie::{Cookie, CookieError};
pub use peerl_proto::error_chain::ErrorChain;
pub use peerl_proto::node_name::{NodeName, NodeNameError};
pub use peerl_term::{Atom, Pid, Reference, Term};
pub use process::{Destination, Ended, NotSent, Process, ProcessSender, RegisterError, SendError};
pub use rpc::{
    ByNode, Call, CallError, CallLabel, CallOf, Caller, GenCall, GenRequest, Mapped, Multicall, Pmap, ReplyError,
    Workers,
};
pub use running_service::{RunningService, ServiceError};
pub use service::Service;
pub use serving::{PeerCall, Refused, ServedCall};
pub use start_error::StartError;
