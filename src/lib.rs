#![forbid(unsafe_code)]
//! A Rust-native Erlang distribution node: it joins BEAM clusters as a full member, calls Erlang and Elixir nodes,
//! and serves their calls.
//!
//! ```text
//!   peerl                 this facade
//!   ├─ peerl_discovery    who the peers are; keeping the mesh joined      → [`discovery`]
//!   ├─ peerl_phoenix      Phoenix.PubSub                                  → [`phoenix`]
//!   ├─ peerl_otp          what OTP gives every node; servers, groups       → [`otp`]
//!   ├─ peerl_node         the running node: connections, processes, calls → this module
//!   ├─ peerl_epmd         EPMD, client and server                         → [`epmd`]
//!   ├─ peerl_proto        the distribution protocol, without I/O          → [`proto`]
//!   └─ peerl_term         terms and their external format                 → [`term`]
//! ```
//!
//! A program starts a [`Node`] with [`node`], [calls](Node::call) functions of its peers, [exports](Node::export)
//! functions for them to call, and distributes work among them with [`pmap`](Node::pmap). A [`Process`] has a pid and a
//! mailbox. [`testing`] has clusters in memory for the program's tests.
//!
//! ```no_run
//! use peerl::Mfa;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let node = peerl::node("rust@127.0.0.1").cookie("secret").start().await?;
//! node.export("rust", "double", |(n,): (i64,)| async move { Ok(2 * n) })?;
//! let sum: i64 = node.call(&"beam@127.0.0.1".parse()?, Mfa::new("lists", "sum", (vec![1, 2, 3],))?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! Supported: OTP 25 to 29 as peers, visible or hidden; `rpc` and `erpc` both ways; links, monitors, aliases; `gen`
//! calls both ways; names and locks of the cluster with [`global`](NodeGlobal::global); process groups with [`pg`](otp::pg); EPMD
//! as client and as server. Not yet: TLS.

pub use peerl_node::*;

pub mod testing;

pub use peerl_discovery as discovery;
pub use peerl_epmd as epmd;
pub use peerl_otp as otp;
pub use peerl_otp::global::NodeGlobal;
pub use peerl_otp::{LogEvent, System, SystemError, check_system, guest, node};
pub use peerl_phoenix as phoenix;
pub use peerl_proto as proto;
pub use peerl_term as term;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../docs/how-to-test.md")]
struct HowToTest;

#[cfg(doctest)]
#[doc = include_str!("../docs/how-to-metrics.md")]
struct HowToMetrics;
