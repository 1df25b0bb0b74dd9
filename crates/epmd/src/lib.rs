#![forbid(unsafe_code)]
//! EPMD, the Erlang port mapper daemon, on tokio: a client and a server.
//!
//! EPMD maps the names of a host's nodes to ports. A node registers when it starts and stays registered while its
//! connection to EPMD is open; its peers query EPMD at its host for the port, and then connect to it.
//!
//! ```text
//!   our node ── Client::register ──▶ EPMD ◀── Client::lookup, names ── a node that connects
//!            ◀─────── Lease                        the daemon `epmd`, or Server
//! ```
//!
//! * [`Client`] registers, looks up and lists nodes. Its [`Lease`] registers the node again after a restart of EPMD.
//!   It uses `erl_dist`, with time-outs and size limits.
//! * [`Server`] replaces the daemon `epmd`.
//!
//! The messages are in [`peerl_proto::epmd`]. This crate does not connect to nodes, and does not start the daemon
//! `epmd` as `erl` does.
//!
//! ```no_run
//! use peerl_epmd::{Client, Config, Registration, Server, environment};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let addresses = environment::listen_addresses(environment::port()?)?;
//! let server = Server::bind(addresses, Config::from_env()).await?.spawn();
//!
//! let client = Client::from_env()?;
//! let lease = client.register(Registration::new("alfa".parse()?, 9100)).await?;
//! println!("registered, creation {}", lease.creation());
//! if let Some(beta) = client.lookup("beta").await? {
//!     println!("beta listens on port {}", beta.port);
//! }
//! lease.release().await;
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod addresses;
pub use addresses::{addresses_of, in_places};
mod client;
pub use client::Client;
pub mod environment;
mod error;
pub use error::Error;
mod lease;
pub use lease::{Lease, LeaseState};
mod server;
pub use server::{CommandCheck, Config, End, Server, ServerHandle};
mod wire;

pub use peerl_proto::epmd::{
    AliveName, DEFAULT_PORT, DumpEntry, DumpState, KillResponse, NameEntry, NameError, NodeInfo, NodeType,
    StopResponse, TransportProtocol,
};

/// A node's description, as registered with EPMD and returned by it.
pub type Registration = NodeInfo;
