#![forbid(unsafe_code)]
//! The command line `peerl`.

pub mod page_client;
pub mod page_server;
