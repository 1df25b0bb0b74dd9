//! Programs of others: nodes, libraries, OTP's own tests, and tools that read traffic.

#[path = "../recorder/mod.rs"]
mod recorder;
#[path = "../stage/mod.rs"]
mod stage;

mod elixir;
mod foreign_crates;
mod foreign_nodes;
mod neighbours;
mod otp_suites;
mod packet_captures;
