//! Processes of OTP's behaviours at other nodes, from the side of a caller.

mod agent;
mod event_manager;
mod multi_call;
mod request;
mod server_ref;
mod supervisor_ref;

pub use agent::Agent;
pub use event_manager::EventManager;
pub use multi_call::{MultiCall, Replies, abcast, multi_call};
pub use request::{Elapsed, Request, Requests};
pub use server_ref::ServerRef;
pub use supervisor_ref::{ChildInfo, ChildState, SupervisorRef};
