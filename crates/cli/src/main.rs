#![forbid(unsafe_code)]
//! The binary `peerl`.

fn main() {}
