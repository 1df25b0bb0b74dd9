//! The OTP releases under test, and the start of their programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tool;

/// A release of Erlang/OTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Otp {
    /// OTP 25 with Elixir 1.14, installed on the machine (Debian 12).
    V25,
    /// OTP 27 with Elixir 1.18, in a separate root directory (Debian 13).
    V27,
    /// OTP 29 with a newer Elixir, in a separate root directory (Debian sid).
    V29,
}

/// The releases of an interop test: OTP 25 alone, or all of them with `PEERL_OTP_MATRIX=1`.
pub fn matrix() -> Vec<Otp> {
    match std::env::var("PEERL_OTP_MATRIX").as_deref() {
        Ok("1") => vec![Otp::V25, Otp::V27, Otp::V29],
        _ => vec![Otp::V25],
    }
}

impl Otp {
    /// The number of the release, as in `erlang:system_info(otp_release)`.
    pub fn number(self) -> u32 {
        match self {
            Self::V25 => 25,
            Self::V27 => 27,
            Self::V29 => 29,
        }
    }

    /// A command that runs a program of this release with file descriptors 3 and 4 as the command's own standard
    /// input and output; the program's standard input is empty and its standard output is its standard error.
    pub(crate) fn command(self, program: &str) -> Command {
        self.command_after("exec 3<&0 4>&1 1>&2 </dev/null", program)
    }

    /// A command that runs a program of this release.
    pub(crate) fn plain_command(self, program: &str) -> Command {
        self.command_after(":", program)
    }

    /// A command that runs a program of this release in its own terminal, whose input and output are the command's.
    /// The arguments contain no single quotes.
    ///
    /// # Panics
    ///
    /// When the release is not installed.
    pub fn in_terminal(self, program: &str, arguments: &[&str]) -> Command {
        let inner = self.plain_command(program);
        let words = std::iter::once(inner.get_program()).chain(inner.get_args()).map(|word| word.to_string_lossy());
        let line: Vec<String> = words.chain(arguments.iter().map(|word| (*word).into())).map(quoted).collect();
        let mut command = Command::new(tool::require("script"));
        command.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]).env("TERM", "xterm");
        command
    }

    /// A command of the shell, and then a program of this release.
    fn command_after(self, first: &str, program: &str) -> Command {
        let Some(root) = self.root() else {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("{first}; exec \"$@\""), "sh"]).arg(tool::require(program));
            return command;
        };
        assert!(
            root.join("usr/bin").join(program).exists(),
            "this test needs OTP {} in {}: run PEERL_OTP_MATRIX=1 scripts/setup-tests (as root)",
            self.number(),
            root.display()
        );
        // The mounts are in a separate name space and vanish with the node, so that deleting the root directory is
        // never dangerous. /tmp is shared, for the files that a test passes to its nodes.
        let script = format!(
            "set -e; root=$1; shift; for directory in /dev /proc /tmp; do mount --rbind $directory \"$root$directory\"; \
             done; [ -e \"$root/etc/hosts\" ] || echo 127.0.0.1 localhost > \"$root/etc/hosts\"; {first}; exec chroot \"$root\" \"$@\""
        );
        let mut command = Command::new(tool::require("unshare"));
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(root).arg(program);
        command
    }

    /// The root directory in which this release is installed; `None` for the machine's own.
    fn root(self) -> Option<PathBuf> {
        if self == Self::V25 {
            return None;
        }
        Some(cache().join(format!("otp{}", self.number())))
    }
}

/// The directory with the modules of OTP 25's observer, `etop` among them.
///
/// # Panics
///
/// When it is not installed.
pub fn observer() -> PathBuf {
    let libraries = cache().join("observer/usr/lib/erlang/lib");
    let found = std::fs::read_dir(&libraries).into_iter().flatten().flatten().map(|entry| entry.path().join("ebin"));
    found
        .into_iter()
        .find(|path| path.join("etop.beam").exists())
        .unwrap_or_else(|| panic!("this test needs etop in {}: run scripts/setup-tests", libraries.display()))
}

/// The directory with OTP's own tests, and with the libraries that run them.
///
/// # Panics
///
/// When they are not installed.
pub fn suites() -> PathBuf {
    let suites = cache().join("suites");
    assert!(suites.exists(), "this test needs {}: run PEERL_OTP_SUITES=1 scripts/setup-tests", suites.display());
    suites
}

/// The root directory of RabbitMQ and ejabberd, which are not installed on the machine.
///
/// # Panics
///
/// When they are not there.
pub fn neighbours() -> PathBuf {
    let root = cache().join("neighbours");
    assert!(root.exists(), "this test needs {}: run PEERL_NEIGHBOURS=1 scripts/setup-tests", root.display());
    root
}

fn quoted(word: std::borrow::Cow<'_, str>) -> String {
    assert!(!word.contains('\''), "{word}");
    format!("'{word}'")
}

/// The directory in which `scripts/setup-tests` installs what the machine itself lacks.
pub(crate) fn cache() -> PathBuf {
    std::env::var_os("PEERL_OTP_CACHE")
        .map(PathBuf::from)
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache"))
}
