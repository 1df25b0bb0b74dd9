//! `peerl nodes`: the nodes of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use peerl_node::{CallError, Mfa, NodeName};
use peerl_term::Term;
use serde::Serialize;

use crate::command_node::{self, Role};
use crate::explain;
use crate::failure::{Failure, Status};
use crate::fan_out::PeerOptions;
use crate::output::{Output, table};
use crate::settings::Settings;

/// List the nodes of a cluster, as some of its nodes see them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl nodes app@10.0.0.5
  peerl nodes --discover epmd:10.0.0.5,10.0.0.6 --format json

SEEN BY counts the nodes that were asked and are connected with it, itself included if it was asked.")]
pub(super) struct Nodes {
    /// The nodes to ask.
    #[arg(value_name = "NODE")]
    ask: Vec<NodeName>,

    #[command(flatten)]
    peers: PeerOptions,
}

const VISIBLE: &str = "visible";
const HIDDEN: &str = "hidden";

#[derive(Serialize)]
struct Row {
    node: String,
    kind: &'static str,
    seen_by: Vec<String>,
}

impl Nodes {
    pub(super) async fn run(mut self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        self.peers.nodes.append(&mut self.ask);
        let asked: Vec<NodeName> = self.peers.find(settings).await?.into_iter().collect();
        let node = command_node::start(settings, Role::Guest, &asked).await?;
        let rows = async {
            let asked = explain::reachable(&node, asked).await?;
            let mut seen: BTreeMap<(String, &'static str), BTreeSet<String>> = BTreeMap::new();
            for peer in &asked {
                for kind in [VISIBLE, HIDDEN] {
                    for found in nodes_of(&node, peer, kind).await? {
                        if found != node.name_at(peer).as_str() {
                            seen.entry((found, kind)).or_default().insert(peer.to_string());
                        }
                    }
                }
            }
            for peer in &asked {
                let name = peer.to_string();
                seen.entry((name.clone(), VISIBLE)).or_default().insert(name);
            }
            Ok::<_, Failure>(seen)
        }
        .await;
        node.shutdown().await;
        let rows: Vec<Row> = rows?
            .into_iter()
            .map(|((node, kind), seen_by)| Row { node, kind, seen_by: seen_by.into_iter().collect() })
            .collect();
        output.rows(&rows, || {
            let row = |row: &Row| vec![row.node.clone(), row.kind.to_owned(), row.seen_by.len().to_string()];
            table(&["NODE", "KIND", "SEEN BY"], rows.iter().map(row))
        })?;
        Ok(Status::Success)
    }
}

async fn nodes_of(node: &peerl_node::Node, peer: &NodeName, kind: &'static str) -> Result<Vec<String>, Failure> {
    let question = Mfa::new("erlang", "nodes", (Term::atom(kind),)).map_err(Failure::new)?;
    let answer: Result<Vec<String>, CallError> =
        node.call(peer, question).timeout(std::time::Duration::from_secs(10)).await;
    answer.map_err(|error| explain::call(error, "erlang:nodes/1", peer.as_str(), peerl_term::text::Syntax::Erlang))
}
