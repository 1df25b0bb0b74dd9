#![forbid(unsafe_code)]
//! A Rust-native Erlang distribution node.
