//! Playwright, which drives a headless Chromium through the specifications in `tests/web`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool;

/// A command that runs the specifications of `tests/web` in its arguments.
///
/// # Panics
///
/// When Chromium, Node.js or Playwright is not installed.
pub fn playwright() -> Command {
    let web = specifications();
    let program = web.join("node_modules/@playwright/test/cli.js");
    assert!(program.is_file(), "this test needs Playwright, which is not installed: run scripts/setup-tests (as root)");
    let chromium = tool::require("chromium-headless-shell");
    let mut command = Command::new(tool::require("node"));
    command.arg(program).arg("test").current_dir(&web).env("PEERL_CHROMIUM", chromium);
    // The same fonts on every machine, for the same pictures.
    command.env("FONTCONFIG_FILE", web.join("fonts.conf"));
    command
}

/// The directory of the specifications.
pub fn specifications() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../web")
}
