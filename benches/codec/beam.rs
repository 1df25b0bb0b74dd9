//! OTP's codec, measured by a BEAM that this program starts.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A BEAM that waits for something to measure.
pub(crate) struct Beam {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    directory: TempDir,
}

impl Beam {
    /// Starts it, if Erlang is installed.
    pub(crate) fn start() -> io::Result<Self> {
        let directory = tempfile::tempdir()?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/codec/beam_codec.erl");
        let compiled = Command::new("erlc").arg("-o").arg(directory.path()).arg(source).status()?;
        if !compiled.success() {
            return Err(io::Error::other("erlc failed"));
        }
        let mut process = Command::new("erl")
            .args(["-noshell", "-run", "beam_codec", "main", "-pa"])
            .arg(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (requests, answers) = process.stdin.take().zip(process.stdout.take()).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { process, requests, answers: BufReader::new(answers), directory })
    }

    /// Puts bytes where the BEAM can read them.
    pub(crate) fn store(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let file = self.directory.path().join(name.replace(' ', "_"));
        std::fs::write(&file, bytes)?;
        Ok(file)
    }

    /// Lets the BEAM encode a term in its own way: it has an order of its own for the keys of large maps.
    pub(crate) fn rewrite(&mut self, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let file = self.store(name, bytes)?;
        self.measure("rewrite", &file, 1)?;
        std::fs::read(file)
    }

    /// Measures so many rounds of `decode` or `encode`.
    pub(crate) fn measure(&mut self, what: &str, file: &Path, rounds: u32) -> io::Result<Duration> {
        writeln!(self.requests, "{what} {} {rounds}", file.display())?;
        self.requests.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().map(Duration::from_nanos).map_err(|_| io::Error::other(answer))
    }
}

impl Drop for Beam {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
