//! Peers, networks and strangers that do not behave.

#[path = "../intruder/mod.rs"]
mod intruder;
#[path = "../stage/mod.rs"]
mod stage;

mod failures;
mod handshakes;
mod harm_between_machines;
mod malformed_controls;
mod malformed_payloads;
mod net_ticks;
mod strangers;
