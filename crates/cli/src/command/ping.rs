//! `peerl ping`: tests whether nodes answer.

use clap::Args;
use futures::future::join_all;
use peerl_node::NodeName;
use peerl_term::text::Syntax;
use serde::Serialize;

use crate::command_node::{self, Role};
use crate::explain;
use crate::failure::{Failure, Status};
use crate::output::{Output, table};
use crate::settings::{Settings, Span};

/// Test whether nodes answer, like net_adm:ping/1.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  peerl ping app@10.0.0.5
  peerl ping app@10.0.0.5 w1@10.0.0.7 --format json

If some nodes do not answer, the exit code is 2; if none does, 1.")]
pub(super) struct Ping {
    /// The nodes.
    #[arg(value_name = "NODE", required = true)]
    nodes: Vec<NodeName>,

    /// The time-out of each answer.
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: Span,
}

#[derive(Serialize)]
struct Row {
    node: String,
    answer: &'static str,
    ms: Option<f64>,
    error: Option<String>,
}

impl Ping {
    pub(super) async fn run(self, settings: &Settings, output: &Output) -> Result<Status, Failure> {
        let node = command_node::start(settings, Role::Guest, &self.nodes).await?;
        let (node, span) = (&node, self.timeout);
        let pings = self.nodes.iter().map(|peer| async move {
            let answer = tokio::time::timeout(span.0, node.ping(peer)).await;
            let answer = match answer {
                Ok(answer) => answer.map_err(|error| explain::call(error, "net_kernel", peer.as_str(), Syntax::Erlang)),
                Err(_) => Err(Failure::new(format!("{peer} gives no answer within {span}"))
                    .hint("it may hang; give it longer with --timeout")),
            };
            (peer, answer)
        });
        let answers = join_all(pings).await;
        node.shutdown().await;
        let failed = answers.iter().filter(|(_, answer)| answer.is_err()).count();
        // For a single node, the failure is enough.
        if let [(_, Err(failure))] = &answers[..] {
            return Err(failure.clone());
        }
        let rows: Vec<Row> = answers
            .iter()
            .map(|(peer, answer)| Row {
                node: peer.to_string(),
                answer: if answer.is_ok() { "pong" } else { "pang" },
                ms: answer.as_ref().ok().map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
                error: answer.as_ref().err().map(ToString::to_string),
            })
            .collect();
        output.rows(&rows, || {
            let row = |row: &Row| {
                let detail = row.ms.map_or_else(|| row.error.clone().unwrap_or_default(), |ms| format!("{ms} ms"));
                vec![row.node.clone(), row.answer.to_owned(), detail]
            };
            table(&["NODE", "ANSWER", "TIME"], rows.iter().map(row))
        })?;
        Ok(match failed {
            0 => Status::Success,
            all if all == rows.len() => Status::Failed,
            _ => Status::Partial,
        })
    }
}
