#![forbid(unsafe_code)]
//! The Erlang distribution protocol as a sans-IO state machine.

pub mod epmd;
