//! The processes that every node has, and that its peers talk to.

mod check;
mod group_leader;
mod logger;
mod net_kernel;
mod rex;
mod service;
mod services;
mod start;
mod unfinished;

pub use check::SystemError;
pub(crate) use group_leader::Output;
pub(crate) use services::Services;
pub(crate) use start::start;
