#![forbid(unsafe_code)]
//! The command line `peerl`.

pub mod failure;
pub mod log;
pub mod out_file;
pub mod page_client;
pub mod page_server;
pub mod settings;
