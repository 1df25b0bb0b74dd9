//! Nodes other than BEAMs, on OTP's libraries for C and Java.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{COOKIE, ProcessGuard, tool};

/// The time that a node may take to compile and start.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A node on OTP's library for C (`ei`) or Java (Jinterface), with [`COOKIE`]. Both answer pings, and answer `{Pid,
/// Message}` to `echo` with the message.
pub struct ForeignNode {
    name: String,
    process: ProcessGuard,
    _directory: TempDir,
}

/// A [`ForeignNode`]'s handling of calls, which are messages to `rex`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rex {
    /// It answers them with `{Module, Function, Arguments}`.
    Answers,
    /// There is no such process.
    Missing,
}

impl ForeignNode {
    /// Compiles and starts a C node of this name, which registers with the EPMD on this port.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn c(name: &str, epmd_port: u16, rex: Rex) -> Self {
        Self::c_by(name, epmd_port, rex, |command| command)
    }

    /// Like [`c`](Self::c), with a modified command, such as one that runs on a [`Machine`](crate::Machine).
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn c_by(name: &str, epmd_port: u16, rex: Rex, within: impl FnOnce(Command) -> Command) -> Self {
        let directory = tempfile::tempdir_in("/tmp").expect("a directory for the node");
        let program = directory.path().join("node");
        let library = newest("/usr/lib/erlang/lib", "erl_interface-");
        let mut cc = Command::new(tool::require("cc"));
        cc.args(["-O1", "-D_REENTRANT", "-o"]).arg(&program);
        cc.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/programs/node.c"));
        cc.arg("-I").arg(library.join("include")).arg("-L").arg(library.join("lib")).args(["-lei", "-pthread"]);
        let compiled = cc.output().expect("cc starts");
        assert!(compiled.status.success(), "cc: {}", String::from_utf8_lossy(&compiled.stderr));
        Self::start(name, Command::new(program), epmd_port, rex, within, directory)
    }

    /// Compiles and starts a Java node of this name, which registers with the EPMD on this port.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn java(name: &str, epmd_port: u16, rex: Rex) -> Self {
        let directory = tempfile::tempdir_in("/tmp").expect("a directory for the node");
        let archive = newest("/usr/lib/erlang/lib", "jinterface-").join("priv/OtpErlang.jar");
        let mut java = Command::new(tool::require("java"));
        java.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp"]).arg(archive);
        java.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/programs/JavaNode.java"));
        Self::start(name, java, epmd_port, rex, |command| command, directory)
    }

    fn start(
        name: &str,
        mut command: Command,
        epmd_port: u16,
        rex: Rex,
        within: impl FnOnce(Command) -> Command,
        directory: TempDir,
    ) -> Self {
        command.args([name, COOKIE]).args((rex == Rex::Answers).then_some("rex"));
        command.env("ERL_EPMD_PORT", epmd_port.to_string()).env("HOME", directory.path());
        let process = ProcessGuard::spawn(&mut within(command));
        process.wait_for_line("ready", START_LIMIT);
        Self { name: name.to_owned(), process, _directory: directory }
    }

    /// The full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's output: of a C node, a line for each control message (`op 6 net_kernel`).
    pub fn output(&self) -> String {
        self.process.stdout()
    }

    /// Waits until the node has printed a line that contains this.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub fn wait_for(&self, part: &str) {
        self.process.wait_for_line(part, START_LIMIT);
    }
}

/// The newest version of an application of the installed OTP.
fn newest(directory: impl AsRef<Path>, prefix: &str) -> PathBuf {
    let directory = directory.as_ref();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let found = entries.map(|entry| entry.path());
    let found = found.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    found.max().unwrap_or_else(|| {
        panic!("this test needs {prefix}* in {}: run scripts/setup-tests (as root)", directory.display())
    })
}
