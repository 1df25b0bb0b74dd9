#![forbid(unsafe_code)]
//! A running Erlang distribution node on tokio.
