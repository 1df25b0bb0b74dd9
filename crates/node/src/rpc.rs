//! Calls between nodes, as `erpc`, `rpc` and `gen` make them.

mod apply;
mod arguments;
mod call;
mod call_log;
mod generic;
mod job;
mod multicall;
mod outcome;
mod pmap;
mod rex;
mod serve;

pub(crate) use apply::{Applied, apply, refuse_apply};
pub(crate) use arguments::Arguments;
pub use call::{Call, CallError};
pub(crate) use generic::reply_tag;
pub use generic::{Caller, GenCall, GenRequest, ReplyError};
pub(crate) use outcome::{Reply, badrpc};
pub use pmap::{ByNode, CallOf, Mapped, Pmap, Workers};
pub(crate) use serve::{Active, Refused, Served, Spawn, refuse, serve, take_spawn};
