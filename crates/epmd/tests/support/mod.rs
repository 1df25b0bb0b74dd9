//! Real tools of Erlang/OTP on private ports, and time limits.
#![allow(dead_code)] // Each test file uses its part.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

/// No step of a test takes longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The daemon `epmd` of Erlang/OTP; it ends when dropped.
pub(crate) struct RealEpmd {
    pub(crate) port: u16,
    child: Child,
}

impl RealEpmd {
    pub(crate) async fn start() -> Self {
        Self::start_on(free_port().await, &[]).await
    }

    pub(crate) async fn start_relaxed() -> Self {
        let relaxed = [("ERL_EPMD_RELAXED_COMMAND_CHECK", "1")];
        Self::start_on(free_port().await, &relaxed).await
    }

    pub(crate) async fn start_on(port: u16, environment: &[(&str, &str)]) -> Self {
        let child = tool("epmd")
            .args(["-port", &port.to_string(), "-address", "127.0.0.1"])
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = installed(child, "epmd");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(local(port)).await.is_err() {
            assert!(Instant::now() < deadline, "epmd did not start");
            sleep(Duration::from_millis(5)).await;
        }
        Self { port, child }
    }

    pub(crate) fn client(&self) -> peerl_epmd::Client {
        client(self.port)
    }

    /// Ends it as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it was running");
    }
}

pub(crate) fn client(port: u16) -> peerl_epmd::Client {
    peerl_epmd::Client::new(local(port))
}

pub(crate) fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A port that nobody listens on.
pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    listener.local_addr().unwrap().port()
}

/// A tool of Erlang/OTP that ends with the test.
pub(crate) fn tool(name: &str) -> Command {
    let mut command = Command::new(name);
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .env_remove("ERL_EPMD_PORT")
        .env_remove("ERL_EPMD_ADDRESS")
        .env_remove("ERL_EPMD_RELAXED_COMMAND_CHECK");
    command
}

/// Runs a tool to its end.
pub(crate) async fn run(mut command: Command, name: &str) -> Output {
    let output = timeout(PATIENCE, command.output())
        .await
        .unwrap_or_else(|_| panic!("{name} did not end in time"));
    installed(output, name)
}

pub(crate) fn installed<T>(started: std::io::Result<T>, name: &str) -> T {
    started.unwrap_or_else(|error| {
        panic!(
            "can't run `{name}` ({error}); install it: apt-get install -y erlang-base erlang-dev"
        )
    })
}

/// Waits until `condition` holds, and says how long that took.
pub(crate) async fn until<F: Future<Output = bool>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> Duration {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    start.elapsed()
}
