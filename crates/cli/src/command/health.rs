//! `peerl health`: asks a running peerl's admin endpoint, for health checks of containers.

use std::net::SocketAddr;

use clap::Args;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::settings::{Settings, Span, warn_of_former_name};

/// Ask a running peerl whether it can work.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl health --admin 127.0.0.1:9180
  peerl health --admin 127.0.0.1:9180 --ready

It asks /healthz of the admin endpoint, which `peerl worker --admin` opens, and prints the answer. The exit code is 0
if all is well and 1 if not, as the health checks of Docker and ECS want it.")]
pub(super) struct Health {
    /// Where the admin endpoint is [default: `admin` of peerl.toml, or PEERL_ADMIN].
    #[arg(long, value_name = "ADDRESS:PORT")]
    admin: Option<SocketAddr>,

    /// The former name of --admin.
    #[arg(long, value_name = "ADDRESS:PORT", hide = true, conflicts_with = "admin")]
    control: Option<SocketAddr>,

    /// Ask whether it should get work (/readyz).
    #[arg(long)]
    ready: bool,

    /// How long the answer may take.
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
}

/// The longest answer that is read.
const MOST: u64 = 64 * 1024;

#[derive(Serialize)]
struct Answer {
    status: u16,
    answer: String,
}

impl Health {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        if self.control.is_some() {
            warn_of_former_name("--control", "--admin");
        }
        let Some(address) = self.admin.or(self.control).or(settings.admin) else {
            return Err(Failure::usage("no admin endpoint is given").hint("say where it is with --admin"));
        };
        let path = if self.ready { "/readyz" } else { "/healthz" };
        let answer = tokio::time::timeout(self.timeout.0, ask(address, path)).await;
        let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let answer = answer.map_err(|error| {
            Failure::new(format!("the admin endpoint at {address} does not answer: {error}"))
                .hint("is `peerl worker` running with --admin?")
        })?;
        output.value(&answer, || answer.answer.clone())?;
        Ok(if answer.status == 200 { Status::Success } else { Status::Failed })
    }
}

/// Sends one request over its own connection. This little HTTP needs no client with TLS, proxies and name resolution.
async fn ask(address: SocketAddr, path: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    parse(&String::from_utf8_lossy(&answer)).ok_or_else(|| std::io::Error::other("that is not HTTP"))
}

fn parse(answer: &str) -> Option<Answer> {
    let status = answer.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(Answer { status, answer: body.trim().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let parsed = |text| parse(text).map(|answer| (answer.status, answer.answer));
        assert_eq!(parsed("HTTP/1.1 200 OK\r\na: b\r\n\r\n{}\n"), Some((200, "{}".to_owned())));
        assert_eq!(parsed("HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, String::new())));
        for garbage in ["", "HTTP/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 OK 200\r\n\r\n", "SSH-2.0-x\r\n\r\n"] {
            assert_eq!(parsed(garbage), None, "{garbage}");
        }
    }
}
