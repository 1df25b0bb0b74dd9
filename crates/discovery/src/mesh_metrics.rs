//! Counters and gauges of the reconciler, through the facade of the crate `metrics`.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::MeshEvent;

/// Describes the figures to the recorder.
pub(crate) fn describe() {
    describe_counter!("peerl_discovery_polls_total", "Polls of a strategy, by outcome: found, empty or failed");
    describe_histogram!("peerl_discovery_poll_seconds", Unit::Seconds, "The time that a poll took");
    describe_gauge!("peerl_discovery_listed", "Nodes in the answer of a strategy that is in force");
    describe_gauge!("peerl_mesh_peers_listed", "Peers that some strategy lists, without the node itself");
    describe_gauge!("peerl_mesh_peers_connected", "Listed or formerly listed peers that are connected");
    describe_counter!("peerl_mesh_connects_total", "Connections that came up with a listed peer");
    describe_counter!("peerl_mesh_connect_failures_total", "Attempts to connect a listed peer that failed");
    describe_counter!("peerl_mesh_losses_total", "Connections with a peer that were lost");
    describe_counter!("peerl_mesh_unlisted_total", "Connected peers that were no longer listed, and were kept");
    describe_counter!("peerl_mesh_leaves_total", "Times that the node itself left the mesh, being no longer listed");
    describe_counter!("peerl_mesh_forgotten_total", "Peers neither listed nor connected, which were forgotten");
}

/// Counts the event.
pub(crate) fn count(event: &MeshEvent) {
    match event {
        MeshEvent::Polled { strategy, peers } => {
            polled(strategy, "found");
            gauge!("peerl_discovery_listed", "strategy" => label(strategy)).set(peers.len() as f64);
        }
        MeshEvent::PollEmpty { strategy, kept, .. } => {
            polled(strategy, "empty");
            gauge!("peerl_discovery_listed", "strategy" => label(strategy)).set(*kept as f64);
        }
        MeshEvent::PollFailed { strategy, .. } => polled(strategy, "failed"),
        MeshEvent::Connected { .. } => counter!("peerl_mesh_connects_total").increment(1),
        MeshEvent::ConnectFailed { .. } => counter!("peerl_mesh_connect_failures_total").increment(1),
        MeshEvent::Lost { .. } => counter!("peerl_mesh_losses_total").increment(1),
        MeshEvent::Unlisted { .. } => counter!("peerl_mesh_unlisted_total").increment(1),
        MeshEvent::Left { .. } => counter!("peerl_mesh_leaves_total").increment(1),
        MeshEvent::Relisted { .. } | MeshEvent::CannotLeave { .. } | MeshEvent::Rejoining => {}
        MeshEvent::Forgotten { .. } => counter!("peerl_mesh_forgotten_total").increment(1),
    }
}

pub(crate) fn poll_took(strategy: &str, time: Duration) {
    histogram!("peerl_discovery_poll_seconds", "strategy" => label(strategy)).record(time.as_secs_f64());
}

pub(crate) fn peers(listed: usize, connected: usize) {
    gauge!("peerl_mesh_peers_listed").set(listed as f64);
    gauge!("peerl_mesh_peers_connected").set(connected as f64);
}

fn polled(strategy: &str, outcome: &'static str) {
    counter!("peerl_discovery_polls_total", "strategy" => label(strategy), "outcome" => outcome).increment(1);
}

/// The strategy's name, shortened: it can be as long as a list of a thousand nodes.
fn label(strategy: &str) -> String {
    strategy.chars().take(80).collect()
}
