//! The contestants: BEAM nodes, a peerl worker in a separate process, a C node, other crates, and a plain socket.
#![allow(dead_code, unused_imports, reason = "each benchmark uses a part")]

mod beam;
mod ei;
pub(crate) mod membership;
mod raw;
mod rivals;
mod stage;
mod worker;

pub(crate) use beam::{call_rate, name, per_call, send, sink, start_beam, start_epmd, sunk};
pub(crate) use ei::CNode;
pub(crate) use raw::Raw;
pub(crate) use rivals::{EdpNode, ErlRpc};
pub(crate) use stage::Stage;
pub(crate) use worker::{Worker, run_if_worker, start_node};
