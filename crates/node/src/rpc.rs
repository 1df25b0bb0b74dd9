//! Calls of peers, as `erpc`, `rpc` and `gen` make them.

mod call;
mod call_error;
mod generic;
mod multicall;
mod pmap;
mod reply;
mod rex;
mod span;

pub use call::Call;
pub use call_error::CallError;
pub use generic::{CallLabel, Caller, GenCall, GenRequest, ReplyError};
pub use multicall::Multicall;
pub use pmap::{ByNode, CallOf, Mapped, Pmap, Workers};
