//! Programs that come as Python packages.

use std::path::PathBuf;
use std::process::Command;

use crate::{otp, tool};

/// A command that runs a program of the Python environment of `scripts/setup-tests`: `python`, `cfn-lint`, `hadolint`
/// and other programs of its packages.
///
/// # Panics
///
/// When it is not installed.
pub fn python_tool(program: &str) -> Command {
    Command::new(path(program))
}

pub(crate) fn path(program: &str) -> PathBuf {
    let installed = otp::cache().join("moto/bin").join(program);
    match installed.is_file() {
        true => installed,
        false => tool::require(program),
    }
}
