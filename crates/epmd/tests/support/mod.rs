//! Fixtures of both test files, in addition to those of all crates.
#![allow(dead_code)] // Each test file uses its part.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Output, Stdio};
use std::time::Duration;

use peerl_epmd::{AliveName, Client, LeaseState, Registration};
use tokio::process::Command;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// The time-out of every step.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub(crate) fn client(port: u16) -> Client {
    Client::new(local(port))
}

pub(crate) fn node(name: &str, port: u16) -> Registration {
    Registration::new(AliveName::new(name).unwrap(), port)
}

/// A tool of Erlang/OTP that uses the EPMD at `port` and ends with the test.
pub(crate) fn tool(name: &str, port: u16) -> Command {
    let mut command = Command::new(name);
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .env("ERL_EPMD_PORT", port.to_string())
        .env_remove("ERL_EPMD_ADDRESS")
        .env_remove("ERL_EPMD_RELAXED_COMMAND_CHECK");
    command
}

/// Runs a tool to its end.
pub(crate) async fn run(name: &str, port: u16, arguments: &[&str]) -> Output {
    let mut command = tool(name, port);
    command.args(arguments);
    let output = timeout(PATIENCE, command.output()).await;
    installed(output.unwrap_or_else(|_| panic!("{name} did not end in time")), name)
}

pub(crate) fn installed<T>(started: std::io::Result<T>, name: &str) -> T {
    started.unwrap_or_else(|error| {
        panic!("can't run `{name}` ({error}); install it: apt-get install -y erlang-base erlang-dev")
    })
}

/// Waits until a lease is in this state.
pub(crate) async fn reaches(states: &mut watch::Receiver<LeaseState>, wanted: LeaseState) {
    timeout(PATIENCE, states.wait_for(|state| *state == wanted))
        .await
        .unwrap_or_else(|_| panic!("never {wanted:?}"))
        .expect("the lease lives");
}

/// Waits until `condition` holds; returns the time that it took.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}
