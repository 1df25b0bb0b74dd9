//! Calls that peers make: an exported function is evaluated, and the peer gets the outcome.

mod active;
mod apply;
mod arguments;
mod call_log;
mod job;
mod outcome;
mod serve;
mod served;

pub(crate) use active::Active;
pub use active::Refused;
pub(crate) use apply::{Applied, apply, refuse_apply};
pub(crate) use arguments::Arguments;
pub(crate) use serve::{SYSTEM_LIMIT, Spawn, refuse, serve, take_spawn};
pub(crate) use served::{PeerCalls, Served};
