//! `peerl names`: the names in EPMD.

use clap::Args;
use peerl_epmd::Client;
use serde::Serialize;

use crate::failure::{Failure, Status};
use crate::output::{Output, table};
use crate::settings::Settings;

/// List the nodes that are registered at a host, as `epmd -names` does.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl names
  peerl names 10.0.0.5
  peerl names 10.0.0.5:4370 --format json")]
pub(super) struct Names {
    /// The host, with a port if its EPMD has not the usual one [default: this host].
    host: Option<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    port: u16,
}

impl Names {
    pub(super) async fn run(self, _: &Settings, output: &Output) -> Result<Status, Failure> {
        let local = Client::from_env()?;
        let client = match &self.host {
            None => local,
            Some(host) => match host.rsplit_once(':') {
                Some((host, port)) if !host.contains(':') && !host.is_empty() => {
                    let port = port.parse().map_err(|_| Failure::usage(format!("{port:?} is not a port")))?;
                    Client::at(host, port)
                }
                _ => local.for_host(host),
            },
        };
        let mut rows: Vec<Row> = client
            .names()
            .await?
            .into_iter()
            .map(|entry| Row { name: entry.name.to_string(), port: entry.port })
            .collect();
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        output.rows(&rows, || {
            table(&["NAME", "PORT"], rows.iter().map(|row| vec![row.name.clone(), row.port.to_string()]))
        })?;
        Ok(Status::Success)
    }
}
