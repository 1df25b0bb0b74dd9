//! A separate cluster for a test of the command line: an EPMD, a home directory, a cookie, and pages to fetch.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use peerl_test_support::{COOKIE, Epmd, ProcessGuard, peerl_command, unique_name};
use tempfile::TempDir;

/// Long, because the machine may be busy with other tests.
pub(crate) const A_WHILE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    pub(crate) epmd: Epmd,
    pub(crate) home: TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self { epmd: Epmd::start(), home: tempfile::tempdir().unwrap() }
    }

    /// `peerl` with these arguments, as a member of this cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = peerl_command();
        command
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("PEERL_COOKIE", COOKIE)
            .env("ERL_EPMD_PORT", self.epmd.port().to_string());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        run(self.command(arguments))
    }

    /// Runs with this standard input.
    pub(crate) fn run_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = assert_cmd::Command::from_std(self.command(arguments));
        ended(command.write_stdin(input).timeout(A_WHILE).output().unwrap())
    }

    /// A worker that is ready, and its name.
    pub(crate) fn worker(&self, more: &[&str]) -> (ProcessGuard, String) {
        let name = format!("{}@127.0.0.1", unique_name("w"));
        let arguments = [&["worker", "--name", &name, "--listen", "127.0.0.1"], more].concat();
        let worker = ProcessGuard::spawn(&mut self.command(&arguments));
        worker.wait_for_line("ready", A_WHILE);
        (worker, name)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn run(command: Command) -> Ran {
    ended(assert_cmd::Command::from_std(command).timeout(A_WHILE).output().unwrap())
}

fn ended(output: Output) -> Ran {
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    ran
}

impl Ran {
    /// The output of a successful command.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The single line of a failed command.
    #[track_caller]
    pub(crate) fn failure(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let lines: Vec<&str> = self.err.lines().filter(|line| line.starts_with("peerl: ")).collect();
        assert_eq!(lines.len(), 1, "one line: {self:?}");
        lines[0].to_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The records of a results file, without its header.
pub(crate) fn records(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| serde_json::from_str(line).ok()).collect()
}

pub(crate) fn wait_for_records(path: &Path, count: usize) {
    let end = Instant::now() + A_WHILE;
    while records(path).len() < count {
        assert!(Instant::now() < end, "{count} records in {}", path.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Pages that count their requests: `/MILLISECONDS/NAME` answers with NAME after that time. Other paths misbehave as
/// they say.
#[derive(Clone)]
pub(crate) struct Pages {
    address: SocketAddr,
    counts: Arc<Mutex<HashMap<String, usize>>>,
}

impl Pages {
    pub(crate) fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pages = Self { address: listener.local_addr().unwrap(), counts: Arc::default() };
        let serving = pages.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = serving.clone();
                std::thread::spawn(move || pages.answer(stream));
            }
        });
        pages
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn count(&self, url: &str) -> usize {
        let path = url.strip_prefix(&self.url("")).unwrap();
        *self.counts.lock().unwrap().get(path).unwrap_or(&0)
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => request.push(byte[0]),
                _ => return,
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let path = request.split(' ').nth(1).unwrap_or("").to_owned();
        *self.counts.lock().unwrap().entry(path.clone()).or_default() += 1;
        let mut parts = path.split('/').skip(1);
        let _ = match parts.next().unwrap_or("") {
            "endless-body" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
                while stream.write_all(&[b'x'; 65536]).is_ok() {}
                Ok(())
            }
            "endless-head" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
                while stream.write_all(b"x: y\r\n").is_ok() {}
                Ok(())
            }
            "garbage" => stream.write_all(&[0xff; 4096]),
            "megabytes" => {
                let count: usize = parts.next().and_then(|count| count.parse().ok()).unwrap_or(0);
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", count << 20);
                let _ = stream.write_all(head.as_bytes());
                let megabyte = vec![b'm'; 1 << 20];
                (0..count).try_for_each(|_| stream.write_all(&megabyte))
            }
            "silence" => {
                std::thread::sleep(Duration::from_secs(120));
                Ok(())
            }
            "circle" => stream.write_all(
                b"HTTP/1.1 302 Found\r\nlocation: /circle\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            "to-file" => stream.write_all(
                b"HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            ),
            "half" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf"),
            milliseconds => {
                std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
                let body = parts.next().unwrap_or("");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all((head + body).as_bytes())
            }
        };
    }
}
