//! The page of a job.

use maud::{Markup, html};

use super::{Frame, Work, cluster, counted, grouped, node_name, time};
use crate::web::cluster::Cluster;
use crate::web::job::{JobHead, Phase};
use crate::web::row::{Row, RowState};

/// The rows to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RowFilter {
    /// All.
    #[default]
    All,
    /// Those that have failed.
    Failed,
}

/// How many rows are laid out as a block; only visible blocks are laid out.
const BLOCK: usize = 100;

/// The page of a job, with its rows and the cluster.
pub(crate) fn results(
    frame: Frame<'_>,
    job: &JobHead,
    rows: &[Row],
    filter: RowFilter,
    version: u64,
    now: &Cluster,
) -> Markup {
    let shown: Vec<&Row> =
        rows.iter().filter(|row| filter == RowFilter::All || row.state == RowState::Failed).collect();
    let path = job.path();
    frame.around(&html! {
        section .card #job data-phase=(phase(job)) data-failed=[(job.failed > 0).then_some("")] data-version=(version) {
            div .heading {
                h1 { (counted(job.total, "web page", "web pages")) }
                p .meta {
                    "Begun " (time(job.created_ms)) " · " a href="/" { "New job" } span .jump { " · " a href="#cluster" { "Cluster" } }
                }
            }
            (progress(job))
            div .tools {
                p #progress { (job.summary()) }
                @let (target, text) = match filter {
                    RowFilter::All => (format!("{path}?show=failed"), "Show failed only"),
                    RowFilter::Failed => (path.clone(), "Show all"),
                };
                a #filter .button href=(target) hidden[filter == RowFilter::All && job.failed == 0] { (text) }
                div .actions {
                    form #cancel method="post" action={ (path) "/cancel" } hidden[job.phase != Phase::Running] {
                        input type="hidden" name="form_token" value=[frame.form_token];
                        button type="submit" { "Cancel" }
                    }
                    form #retry method="post" action={ (path) "/retry" }
                        hidden[job.phase == Phase::Running || job.failed == 0] {
                        input type="hidden" name="form_token" value=[frame.form_token];
                        button type="submit" { "Failed ones again" }
                    }
                }
                div .files {
                    button #copy type="button" hidden { "Copy" }
                    a .button href={ (path) "/results.csv" } download { "CSV" }
                    a .button href={ (path) "/results.json" } download { "JSON" }
                }
            }
            (table(&shown))
            @if shown.is_empty() { p .empty { "No row has failed." } }
        }
        (cluster(now, Work::Of(job)))
    })
}

fn phase(job: &JobHead) -> &'static str {
    match job.phase {
        Phase::Running => "running",
        Phase::Done => "done",
        Phase::Cancelled => "cancelled",
    }
}

fn progress(job: &JobHead) -> Markup {
    html! {
        progress #bar max=(job.total) value=(job.done + job.failed) aria-label="Progress" {}
        p #live .unseen role="status" aria-live="polite" {}
    }
}

/// The roles are explicit, because a browser no longer treats the rows as a table when their layout is a grid.
fn table(rows: &[&Row]) -> Markup {
    html! {
        table #results role="table" aria-label="Results" {
            thead role="rowgroup" {
                tr role="row" {
                    @for (key, name) in COLUMNS {
                        th role="columnheader" scope="col" class=(key) data-key=(key) { (name) }
                    }
                }
            }
            @for block in rows.chunks(BLOCK) {
                tbody role="rowgroup" { @for row in block { (line(row)) } }
            }
        }
    }
}

const COLUMNS: [(&str, &str); 6] =
    [("url", "Page"), ("sum", "SHA-256"), ("status", "Status"), ("bytes", "Bytes"), ("node", "Node"), ("ms", "ms")];

fn line(row: &Row) -> Markup {
    let sum = match row.state {
        RowState::Waiting => "waiting",
        RowState::Running => "running",
        RowState::Done => row.sha256.as_deref().unwrap_or_default(),
        RowState::Failed => row.error.as_deref().unwrap_or("failed"),
    };
    let number = |number: Option<u64>| number.map(grouped).unwrap_or_default();
    html! {
        tr role="row" data-index=(row.index) data-state=(row.state.as_str()) {
            td role="cell" .url title=(row.url) { (row.url) }
            td role="cell" .sum title=(sum) { (sum) }
            td role="cell" .status { (row.status.map(|status| status.to_string()).unwrap_or_default()) }
            td role="cell" .bytes { (number(row.bytes)) }
            td role="cell" .node title=[row.node.as_deref()] { (node_name(row.node.as_deref().unwrap_or_default())) }
            td role="cell" .ms { (number(row.ms)) }
        }
    }
}
