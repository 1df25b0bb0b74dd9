//! A C node with OTP's own library, compiled by the benchmark.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use peerl_test_support::{Beam, COOKIE, Epmd, unique_name};

pub(crate) struct CNode {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _process: Child,
    _directory: tempfile::TempDir,
}

impl CNode {
    /// Compiles the program and connects it to the BEAM; the reason, if that is impossible here.
    pub(crate) fn start(epmd: &Epmd, beam: &Beam) -> Result<Self, String> {
        let library = library().ok_or("no libei: install erlang-dev")?;
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let program = directory.path().join("ei");
        let compiled = Command::new("cc")
            .args(["-O2", "-D_REENTRANT", "-o"])
            .arg(&program)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/ei.c"))
            .arg("-I")
            .arg(library.join("include"))
            .arg("-L")
            .arg(library.join("lib"))
            .args(["-lei", "-pthread"])
            .output()
            .map_err(|error| format!("cc: {error}"))?;
        if !compiled.status.success() {
            return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)));
        }
        let mut child = Command::new(&program)
            .args([&unique_name("ei"), beam.name(), COOKIE])
            .env("ERL_EPMD_PORT", epmd.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let input = child.stdin.take().ok_or("no input")?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut node = Self { input, output, _process: Child(child), _directory: directory };
        match node.line() {
            ready if ready == "ready" => Ok(node),
            _ => Err("it did not connect".to_owned()),
        }
    }

    /// Calls one after another; microseconds a call.
    pub(crate) fn per_call(&mut self, slice: Duration) -> f64 {
        let answer = self.command(&format!("calls {}", slice.as_millis()));
        let (calls, micros) = answer.split_once(' ').expect("two numbers");
        micros.parse::<f64>().expect("a number") / calls.parse::<f64>().expect("a number")
    }

    /// Sends this many messages to `sink`.
    pub(crate) fn send(&mut self, messages: u64) {
        self.command(&format!("sends {messages}"));
    }

    fn command(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").expect("the C node reads");
        self.line()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the C node writes");
        line.trim().to_owned()
    }
}

/// Kills the process when dropped.
struct Child(std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn library() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/erlang/lib")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("erl_interface-")))
        .collect();
    found.sort();
    found.pop()
}
