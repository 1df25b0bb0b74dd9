//! The contestants: each is a separate process, so that none works on a heap that another has fragmented.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::worker::{self, Library};

/// A process that measures on request: it answers a line `WHAT FILE ROUNDS` with the duration in nanoseconds.
pub(crate) struct Contestant {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Contestant {
    /// A Rust library.
    pub(crate) fn library(library: Library) -> io::Result<Self> {
        Self::start(Command::new(std::env::current_exe()?).env(worker::ROLE, library.name()))
    }

    /// OTP, if it is installed. The measuring module is compiled into the directory.
    pub(crate) fn otp(directory: &Path) -> io::Result<Self> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/codec/beam_codec.erl");
        let compiled = Command::new("erlc").arg("-o").arg(directory).arg(source).status()?;
        if !compiled.success() {
            return Err(io::Error::other("erlc failed"));
        }
        Self::start(Command::new("erl").args(["-noshell", "-run", "beam_codec", "main", "-pa"]).arg(directory))
    }

    fn start(command: &mut Command) -> io::Result<Self> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (requests, answers) = process.stdin.take().zip(process.stdout.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, requests, answers: BufReader::new(answers) })
    }

    /// Measures this many rounds. `None` if the contestant does not support the operation.
    pub(crate) fn measure(&mut self, what: &str, file: &Path, rounds: u32) -> io::Result<Option<Duration>> {
        writeln!(self.requests, "{what} {} {rounds}", file.display())?;
        self.requests.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        match answer.trim() {
            worker::CANNOT => Ok(None),
            nanos => nanos.parse().map(|nanos| Some(Duration::from_nanos(nanos))).map_err(io::Error::other),
        }
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
