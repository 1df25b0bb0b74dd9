#![forbid(unsafe_code)]
//! The binary `peerl`.

use std::process::ExitCode;

/// Gives memory back to the system soon after it is freed: that of large messages, and of peers that have had much.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    peerl_cli::run(std::env::args_os()).into()
}
