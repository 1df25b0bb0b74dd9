//! `peerl epmd`: the port mapper.

use std::net::{IpAddr, SocketAddr};

use clap::Args;
use peerl_epmd::{Config, Server, environment};
use serde::Serialize;

use crate::failure::{Failure, Status};
use crate::output::Output;
use crate::settings::Settings;
use crate::shutdown;

/// Run an EPMD, in place of the daemon `epmd`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl epmd
  peerl epmd --port 4370 --address 127.0.0.1

Prints `ready PORT` when it listens. Ends on SIGTERM, SIGINT, or `epmd -kill`.")]
pub(super) struct Epmd {
    /// The port; 0 for a free one [default: ERL_EPMD_PORT, or 4369].
    #[arg(long, value_name = "N")]
    port: Option<u16>,

    /// An address to listen on; may be given several times [default: ERL_EPMD_ADDRESS, or all].
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<IpAddr>,
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    port: u16,
}

impl Epmd {
    pub(super) async fn run(self, _: &Settings, output: &Output) -> Result<Status, Failure> {
        let port = match self.port {
            Some(port) => port,
            None => environment::port()?,
        };
        let addresses = match self.address.is_empty() {
            true => environment::listen_addresses(port)?,
            false => self.address.iter().map(|address| SocketAddr::new(*address, port)).collect(),
        };
        let signal = shutdown::signal(shutdown::LIMIT)?;
        let mut server = Server::bind(addresses, Config::from_env()).await?.spawn();
        let port = server.local_addr().port();
        output.value(&Ready { ready: true, port }, || format!("ready {port}"))?;
        tokio::select! {
            _ = server.wait() => {}
            _ = signal => server.shutdown().await,
        }
        Ok(Status::Success)
    }
}
