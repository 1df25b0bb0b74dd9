#![forbid(unsafe_code)]
//! An EPMD client and server on tokio.
