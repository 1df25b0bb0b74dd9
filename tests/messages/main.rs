//! Messages and signals between processes, and the terms in them.

#[path = "../intruder/mod.rs"]
mod intruder;
#[path = "../stage/mod.rs"]
mod stage;

mod aliases;
mod connected_sends;
mod frames;
mod large_messages;
mod mailboxes;
mod message_limits;
mod monitors;
mod node_monitors;
mod signals;
mod stale_pids;
mod state_tables;
mod term_text;
mod terms;
mod trace_tokens;
