//! The HTTP server that all parts of peerl share, and common layers of their routes.
//!
//! ```text
//!   serve(listener, router, limits) ──▶ server ──▶ connection ──▶ the router
//!                                         │            └── tells what it waits for ──┐
//!                                         └── connections: who is closed for a new one ◀──┘
//!   access    who may ask: the bearer of a token, or requests by this host's own name
//!   layers    limits of requests, `no-store`, errors as JSON
//! ```

mod access;
pub use access::{Access, AccessError, admit, is_this_host};
mod connection;
mod json;
mod kept_bytes;
pub use json::{error, json};
mod layers;
pub use layers::{RequestLimits, api, json_errors, no_store};
mod limits;
pub use limits::{Lifetime, Limits};
mod connection_state;
mod connection_table;
mod refusals;
pub use refusals::Refused;
mod server;
pub use server::{Server, Stopped, serve};
mod token;
pub use token::Token;
