#![forbid(unsafe_code)]
//! The binary `peerl`.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerl_cli::run(std::env::args_os()).into()
}
