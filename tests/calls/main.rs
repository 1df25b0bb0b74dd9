//! Calls, and the processes and servers that answer them.

#[path = "../intruder/mod.rs"]
mod intruder;
#[path = "../stage/mod.rs"]
mod stage;

mod apply;
mod draining;
mod exports;
mod functions;
mod gen_calls;
mod group_leader;
mod remote_calls;
mod servers;
mod spawn_requests;
mod system_processes;
