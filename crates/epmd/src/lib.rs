#![forbid(unsafe_code)]
//! EPMD, the Erlang port mapper daemon, on tokio: a client and a server.
//!
//! EPMD knows on which port each node of a host listens. A node registers when it starts and stays registered
//! while its connection to EPMD is open; its peers ask EPMD at its host for the port, and then connect there.
//!
//! ```text
//!   our node ── Client::register ──▶ EPMD ◀── Client::lookup, names ── whoever looks for a node
//!            ◀─────── Lease                        the daemon `epmd`, or Server
//! ```
//!
//! * [`Client`] registers, looks up and lists. Its [`Lease`] registers the node again when EPMD has died and
//!   come back. The conversation is `erl_dist`'s, inside time-outs and size limits.
//! * [`Server`] takes the place of the daemon `epmd`.
//!
//! The messages are in [`peerl_proto::epmd`]. What this crate does not do: connect to the nodes themselves,
//! and start the daemon `epmd` as `erl` does.
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

/// What a node tells EPMD about itself: the same that EPMD then tells others.
pub type Registration = NodeInfo;
