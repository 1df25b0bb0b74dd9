//! Servers: processes that handle requests one after another.
//!
//! Erlang docs: stdlib, [`gen_server`](https://www.erlang.org/doc/apps/stdlib/gen_server.html); OTP Design Principles,
//! *sys and proc_lib*.

mod behaviour;
pub use behaviour::{Answer, Outcome, Server, Stop, later, reply};
mod context;
pub use context::Context;
mod debug;
mod guarded;
pub(crate) use guarded::guarded;
mod message;
mod receive_loop;
mod start;
pub use start::{Options, Running, StartError};
mod system;
#[cfg(test)]
mod tests;
