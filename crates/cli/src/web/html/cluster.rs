//! The cluster, next to a job.

use maud::{Markup, html};

use super::{node_name, time};
use crate::web::cluster::{Cluster, ClusterNode};
use crate::web::job::{JobHead, Share};
use crate::web::matrix::matrix;
use crate::web::workers::WorkerRole;

/// The jobs whose work is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work<'a> {
    /// This job.
    Of(&'a JobHead),
    /// All running jobs of this web node.
    OfAll(&'a [JobHead]),
}

impl Work<'_> {
    fn share(&self, node: &str) -> Share {
        let jobs = match self {
            Self::Of(job) => std::slice::from_ref(*job),
            Self::OfAll(jobs) => jobs,
        };
        let mut sum = Share { node: node.to_owned(), running: 0, done: 0, failed: 0 };
        for share in jobs.iter().flat_map(|job| &job.nodes).filter(|share| share.node == node) {
            sum.running += share.running;
            sum.done += share.done;
            sum.failed += share.failed;
        }
        sum
    }

    fn is_of_one(&self) -> bool {
        matches!(self, Self::Of(_))
    }
}

/// The nodes, their work and their connections.
pub(crate) fn cluster(cluster: &Cluster, work: Work<'_>) -> Markup {
    let state = match () {
        () if cluster.nodes.is_empty() => "empty",
        () if cluster.partitions.len() > 1 => "parted",
        () if !cluster.is_whole() || cluster.nodes.iter().any(|node| node.error.is_some()) => "incomplete",
        () => "whole",
    };
    html! {
        section .card #cluster data-state=(state) aria-labelledby="cluster-title" {
            h2 #cluster-title { "Cluster" }
            p .state { (cluster.summary()) }
            @for (strategy, error) in &cluster.discovery {
                p .problem { "Discovery by " (strategy) " does not help now: " (error) ". It is asked again and again." }
            }
            @if cluster.nodes.is_empty() {
                p .empty { "Start workers with " code { "peerl worker" } ", and name them to this page with " code { "--node" }
                    " or " code { "--discover" } "." }
            } @else {
                @if cluster.able() == 0 {
                    p .problem { "No node takes checksums now. A job waits half a minute for one." }
                }
                div .panel {
                    (nodes(cluster, work))
                    figure #mesh {
                        (matrix(cluster))
                        figcaption {
                            "Who sees whom: a row for each node, a column for each that it could see. Plain: it does. Striped: \
                             it does not. Dotted: it does not say."
                        }
                    }
                }
            }
        }
    }
}

fn nodes(cluster: &Cluster, work: Work<'_>) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Nodes" {
            table #nodes {
                thead { tr {
                    th scope="col" .number { "#" }
                    th scope="col" { "Node" }
                    th scope="col" .number { "Under way" }
                    @if work.is_of_one() { th scope="col" .number { "Done" } }
                } }
                tbody {
                    @for (index, node) in cluster.nodes.iter().enumerate() {
                        (line(index + 1, node, node.name == cluster.this, work))
                    }
                }
            }
        }
    }
}

fn line(number: usize, node: &ClusterNode, is_this: bool, work: Work<'_>) -> Markup {
    let share = work.share(&node.name);
    let note = match (&node.error, &node.role) {
        (Some(error), _) => Some(error.clone()),
        (None, Some(role @ WorkerRole::LeftOut(_))) => Some(role.words()),
        _ => None,
    };
    html! {
        tr data-state=(if node.error.is_some() { "lost" } else { "connected" }) {
            td .number { (number) }
            th scope="row" {
                span .name { (node_name(&node.name)) }
                span .note {
                    (profile(node))
                    @match (node.connected_since_ms, &node.error) {
                        (_, Some(_)) => ", reconnecting",
                        (Some(since), None) => { ", since " (time(since)) },
                        (None, None) => "",
                    }
                    @if is_this { ", serves this page" }
                }
                @if let Some(note) = note { span .note.why { (note) } }
            }
            td .number { (share.running) }
            @if work.is_of_one() { td .number { (share.done + share.failed) } }
        }
    }
}

/// A short description of a node.
fn profile(node: &ClusterNode) -> String {
    let kind = match node.kind {
        None => return "of unknown kind".to_owned(),
        Some("beam") => "BEAM",
        Some(kind) => kind,
    };
    let release = node.release.as_deref().map_or_else(String::new, |release| format!(", OTP {release}"));
    let hidden = if node.hidden { ", hidden" } else { "" };
    format!("{kind}{hidden}{release}")
}
