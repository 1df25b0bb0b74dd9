//! The cluster beside a job.

use maud::{Markup, html};

use super::time;
use crate::web::cluster::{Cluster, Neighbour};
use crate::web::job::{JobHead, Share};
use crate::web::matrix::matrix;
use crate::web::workers::Duty;

/// The nodes, what they do, and who sees whom.
pub(crate) fn cluster(cluster: &Cluster, job: Option<&JobHead>) -> Markup {
    let state = match () {
        () if cluster.nodes.is_empty() => "empty",
        () if cluster.partitions.len() > 1 => "parted",
        () if !cluster.is_whole() || cluster.nodes.iter().any(|node| node.error.is_some()) => "incomplete",
        () => "whole",
    };
    html! {
        section .card.wide #cluster data-state=(state) aria-labelledby="cluster-title" {
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
                    (nodes(cluster, job))
                    figure #mesh {
                        (matrix(cluster))
                        figcaption { "Who sees whom: a row for each node, a column for each that it could see." }
                    }
                }
            }
        }
    }
}

fn nodes(cluster: &Cluster, job: Option<&JobHead>) -> Markup {
    html! {
        div .scroll tabindex="0" role="region" aria-label="Nodes" {
            table #nodes {
                thead { tr {
                    th scope="col" .number { "#" }
                    th scope="col" { "Node" }
                    th scope="col" { "Kind" }
                    th scope="col" { "Release" }
                    th scope="col" { "Connected" }
                    @if job.is_some() {
                        th scope="col" .number { "Under way" }
                        th scope="col" .number { "Done" }
                    }
                } }
                tbody {
                    @for (index, node) in cluster.nodes.iter().enumerate() {
                        (line(index + 1, node, node.name == cluster.this, job))
                    }
                }
            }
        }
    }
}

fn line(number: usize, node: &Neighbour, is_this: bool, job: Option<&JobHead>) -> Markup {
    let share = job.and_then(|job| job.nodes.iter().find(|share| share.node == node.name));
    let count = |of: fn(&Share) -> usize| share.map(of).unwrap_or_default();
    let kind = match (node.kind, node.hidden) {
        (None, _) => "unknown".to_owned(),
        (Some(kind), true) => format!("{}, hidden", kind_name(kind)),
        (Some(kind), false) => kind_name(kind).to_owned(),
    };
    let note = match (&node.error, &node.duty) {
        (Some(error), _) => Some(error.clone()),
        (None, Some(duty @ Duty::LeftOut(_))) => Some(duty.words()),
        _ => None,
    };
    html! {
        tr data-state=(if node.error.is_some() { "lost" } else { "connected" }) {
            td .number { (number) }
            th scope="row" {
                span .name { (node.name) }
                @if is_this { span .note { "serves this page" } }
                @if let Some(note) = note { span .note { (note) } }
            }
            td { (kind) }
            td { (node.release.as_deref().map(|release| format!("OTP {release}")).unwrap_or_default()) }
            td {
                @match (node.connected_since_ms, &node.error) {
                    (_, Some(_)) => "reconnecting",
                    (Some(since), None) => { "since " (time(since)) },
                    (None, None) => "",
                }
            }
            @if job.is_some() {
                td .number { (count(|share| share.running)) }
                td .number { (count(|share| share.done + share.failed)) }
            }
        }
    }
}

fn kind_name(kind: &str) -> &str {
    match kind {
        "beam" => "BEAM",
        kind => kind,
    }
}
