#![forbid(unsafe_code)]
//! Finding the peers of an Erlang node, and keeping the mesh joined.
