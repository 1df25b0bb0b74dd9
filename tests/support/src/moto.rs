//! The simulation of AWS: moto's server, in a process of its own.

use std::time::{Duration, Instant};

use crate::http::{Request, Response};
use crate::{ProcessGuard, free_port, python_tool};

/// Moto's server on a free port of 127.0.0.1, initially empty; killed when dropped.
///
/// It answers like the AWS services, all at one endpoint, and accepts any credentials.
pub struct Moto {
    port: u16,
    process: ProcessGuard,
}

impl Moto {
    /// Starts a server and waits until it answers.
    ///
    /// It is the `moto_server` that `scripts/setup-tests` installed, or that on the PATH.
    ///
    /// # Panics
    ///
    /// When it is not installed or does not answer.
    pub fn start() -> Self {
        let port = free_port();
        let mut command = python_tool("moto_server");
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        // The user's settings are removed: moto would forward to an endpoint in the environment.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("AWS_") || name.starts_with("MOTO_")) {
                command.env_remove(name);
            }
        }
        let moto = Self { port, process: ProcessGuard::spawn(&mut command) };
        let end = Instant::now() + Duration::from_secs(60);
        while !Request::new("GET", "/moto-api/data.json").send(&moto.endpoint()).is_ok_and(|it| it.status == 200) {
            assert!(moto.process.is_running(), "moto_server ended: {}", moto.process.stderr());
            assert!(Instant::now() < end, "moto_server does not answer on port {port}: {}", moto.process.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
        moto
    }

    /// Starts a server without blocking the runtime; see [`start`](Self::start).
    ///
    /// # Panics
    ///
    /// When it is not installed or does not answer.
    pub async fn start_async() -> Self {
        tokio::task::spawn_blocking(Self::start).await.expect("moto starts")
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The region of [`env`](Self::env).
    pub const REGION: &str = "eu-central-1";

    /// The environment that directs an AWS client to this server; see [`aws_env`].
    pub fn env(&self) -> Vec<(&'static str, String)> {
        aws_env(&self.endpoint())
    }

    /// Sends a request to moto's own interface, `/moto-api/…`.
    ///
    /// # Panics
    ///
    /// When it is refused.
    pub fn control(&self, method: &str, path: &str, body: &str) -> Response {
        let request = Request::new(method, path).header("content-type", "application/json").body(body);
        let response = request.send(&self.endpoint()).expect("moto answers");
        assert!(response.status < 300, "{method} {path} {body}: {response:?}");
        response
    }

    /// Deletes everything.
    ///
    /// # Panics
    ///
    /// When moto does not answer.
    pub fn reset(&self) {
        self.control("POST", "/moto-api/reset", "");
    }

    /// Stops it without ending it (SIGSTOP): connections are accepted by the kernel and never answered.
    pub fn sigstop(&self) {
        self.process.sigstop();
    }

    /// Lets a stopped one go on (SIGCONT).
    pub fn sigcont(&self) {
        self.process.sigcont();
    }
}

/// The environment that directs an AWS client to an endpoint (a [`Moto`], or a [`FaultProxy`](crate::FaultProxy) in
/// front of it), with invalid credentials, and without this machine's metadata and profiles.
pub fn aws_env(endpoint: &str) -> Vec<(&'static str, String)> {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_SESSION_TOKEN", "testing"),
        ("AWS_REGION", Moto::REGION),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", endpoint),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}
