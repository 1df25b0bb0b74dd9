#![forbid(unsafe_code)]
//! Erlang terms and the external term format.
