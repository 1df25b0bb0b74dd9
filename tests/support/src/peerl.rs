//! The `peerl` binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The `peerl` binary of the profile with which the test was built, up to date.
///
/// It is `PEERL_BIN` where that is set, else the one that cargo offers to tests of its own package, else it is built.
///
/// # Panics
///
/// When it does not build.
pub fn peerl_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        ["PEERL_BIN", "CARGO_BIN_EXE_peerl", "NEXTEST_BIN_EXE_peerl"]
            .iter()
            .find_map(|name| std::env::var_os(name).map(PathBuf::from))
            .unwrap_or_else(build)
    })
}

/// A command that runs `peerl` without environment variables that change its behaviour.
pub fn peerl_command() -> Command {
    let mut command = Command::new(peerl_binary());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("PEERL_") || name.starts_with("ERL_")) {
            command.env_remove(name);
        }
    }
    command
}

fn build() -> PathBuf {
    // A test is at TARGET/PROFILE/deps/NAME.
    let test = std::env::current_exe().expect("a test knows its own path");
    let directory = test.parent().and_then(Path::parent).expect("a test lies in a target directory");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Cargo's variables for the test's own package would rebuild ring and all its dependents.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            cargo.env_remove(name);
        }
    }
    let status = cargo
        // Of the whole workspace: with the features of a single package, its dependencies would be built anew.
        .args(["build", "--quiet", "--workspace", "--bin", "peerl", "--profile", profile])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .env("CARGO_TARGET_DIR", directory.parent().expect("a profile lies in a target directory"))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the peerl binary does not build");
    directory.join("peerl")
}
