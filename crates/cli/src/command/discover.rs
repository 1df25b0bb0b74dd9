//! `peerl discover`: shows the nodes that discovery finds.

use clap::Args;
use futures::future::join_all;
use peerl_discovery::Spec;
use serde::Serialize;

use crate::failure::{Failure, Status};
use crate::fan_out::{PeerOptions, discovery_failure, nothing_found};
use crate::output::{Output, table};
use crate::settings::Settings;

/// Run discovery strategies once, and show whom they find; nobody is connected.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl discover epmd:10.0.0.5,10.0.0.6
  peerl discover static:a@10.0.0.5,b@10.0.0.6 epmd:10.0.0.7 --format json
  peerl discover                                        those of peerl.toml

Exit codes: 0 each strategy finds nodes, 2 one finds none or fails, 1 all fail.")]
pub(super) struct Discover {
    /// The strategies [default: `discover` of peerl.toml, or PEERL_DISCOVER].
    #[arg(value_name = "STRATEGY")]
    strategies: Vec<Spec>,

    /// The same, as the other commands have it.
    #[arg(long, value_name = "STRATEGY")]
    discover: Vec<Spec>,
}

#[derive(Serialize)]
struct Row {
    node: String,
    strategy: String,
}

impl Discover {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let discover = [self.strategies, self.discover].concat();
        let strategies = PeerOptions { nodes: Vec::new(), discover }.strategies(settings)?;
        if strategies.is_empty() {
            return Err(Failure::usage("no strategy is given").hint("give one, as epmd:HOST or static:NODE,…"));
        }
        let answers = join_all(strategies.iter().map(|strategy| strategy.discover())).await;
        let (mut rows, mut failures, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        for (strategy, answer) in strategies.iter().zip(answers) {
            match answer {
                Ok(answer) if answer.is_empty() => {
                    empty.push(nothing_found(strategy.name(), &answer.asked));
                }
                Ok(peers) => rows.extend(
                    peers.iter().map(|peer| Row { node: peer.to_string(), strategy: strategy.name().to_owned() }),
                ),
                Err(error) => failures.push(discovery_failure(strategy.name(), error)),
            }
        }
        if failures.len() == strategies.len() {
            return Err(failures.remove(0));
        }
        output.rows(&rows, || {
            table(&["NODE", "STRATEGY"], rows.iter().map(|row| vec![row.node.clone(), row.strategy.clone()]))
        })?;
        for failure in &failures {
            tracing::warn!("{failure}");
        }
        for problem in &empty {
            tracing::warn!("{problem}");
        }
        Ok(if failures.is_empty() && empty.is_empty() { Status::Success } else { Status::Partial })
    }
}
