//! The real `epmd`, on a separate port.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::output::Output;
use crate::process::{Group, Whom};
use crate::{Otp, free_port};

/// OTP's `epmd` on a free port of 127.0.0.1; killed when dropped.
pub struct Epmd {
    otp: Otp,
    port: u16,
    group: Mutex<Option<Group>>,
    log: Output,
}

impl Epmd {
    /// Starts `epmd` on a free port and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not answer.
    pub fn start() -> Self {
        Self::start_on(free_port())
    }

    /// Starts the `epmd` of this release on a free port and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not answer.
    pub fn of(otp: Otp) -> Self {
        Self::with(otp, free_port())
    }

    /// Starts `epmd` on this port and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not answer.
    pub fn start_on(port: u16) -> Self {
        Self::with(Otp::V25, port)
    }

    fn with(otp: Otp, port: u16) -> Self {
        let epmd = Self { otp, port, group: Mutex::new(None), log: Output::default() };
        epmd.restart();
        epmd
    }

    /// The port on which it listens, for `ERL_EPMD_PORT`.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address on which it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Kills it with SIGKILL: all names are forgotten, all leases broken.
    pub fn kill(&self) {
        *self.group() = None;
    }

    /// Starts it again on the same port, after killing it if it still runs.
    ///
    /// # Panics
    ///
    /// When it does not answer.
    pub fn restart(&self) {
        let mut group = self.group();
        *group = None;
        let mut command = self.otp.plain_command("epmd");
        command
            .args(["-address", "127.0.0.1", "-port", &self.port.to_string()])
            .env_remove("ERL_EPMD_PORT")
            .env_remove("ERL_EPMD_ADDRESS")
            .env_remove("ERL_EPMD_RELAXED_COMMAND_CHECK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Group::spawn(&mut command).expect("epmd starts");
        started.with_child(|child| {
            self.log.collect(child.stdout.take().expect("stdout is piped"));
            self.log.collect(child.stderr.take().expect("stderr is piped"));
        });
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < end, "epmd does not listen on port {}: {}", self.port, self.log.text());
            std::thread::sleep(Duration::from_millis(2));
        }
        *group = Some(started);
    }

    /// Stops it without ending it (SIGSTOP): connections are accepted by the kernel and never answered.
    pub fn sigstop(&self) {
        if let Some(group) = self.group().as_ref() {
            group.stop(Whom::Group);
        }
    }

    /// Lets a stopped one go on (SIGCONT).
    pub fn sigcont(&self) {
        if let Some(group) = self.group().as_ref() {
            group.go_on(Whom::Group);
        }
    }

    /// The registered names, as `epmd -names` prints them: `(name, port)`.
    ///
    /// # Panics
    ///
    /// When `epmd -names` fails.
    pub fn names(&self) -> Vec<(String, u16)> {
        let mut command = self.otp.plain_command("epmd");
        let output = command.args(["-port", &self.port.to_string(), "-names"]).output().expect("epmd -names starts");
        assert!(output.status.success(), "epmd -names failed: {output:?}");
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.strip_prefix("name ")?.split_once(" at port "))
            .filter_map(|(name, port)| Some((name.to_owned(), port.trim().parse().ok()?)))
            .collect()
    }

    fn group(&self) -> std::sync::MutexGuard<'_, Option<Group>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
