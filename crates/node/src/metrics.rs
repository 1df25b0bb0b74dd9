//! The figures of a node for the recorder of the crate `metrics`, whichever the program has installed.
//!
//! ```no_run
//! # async fn example(node: peerl_node::Node) {
//! peerl_node::metrics::describe();
//! loop {
//!     peerl_node::metrics::record(&node);
//!     tokio::time::sleep(std::time::Duration::from_secs(10)).await;
//! }
//! # }
//! ```
//!
//! They are counted anyway, each at its connection or function: nothing is recorded between two calls of [`record`]. So a program
//! may call it when its metrics are asked for.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use crate::kernel::figures::{Dropped, FunctionFigures, PeerFigures};
use crate::node::{Node, Nodes};

/// Describes each metric.
pub fn describe() {
    describe_gauge!("peerl_node_connections", "Nodes that are connected, by visibility");
    describe_counter!("peerl_node_calls_served_total", "Calls of peers that were taken since the start");
    describe_gauge!("peerl_node_calls_active", "Calls of peers that are under way");
    describe_counter!("peerl_node_function_calls_total", "Calls of an exported function that ended, by outcome");
    describe_gauge!("peerl_node_processes", "Processes, those included that serve calls");
    describe_gauge!("peerl_node_mailbox_messages", "Messages that wait in all mailboxes");
    describe_gauge!("peerl_node_mailbox_bytes", "The bytes of the messages that wait in all mailboxes");
    describe_counter!("peerl_node_peer_received_bytes_total", "Bytes that a peer has sent");
    describe_counter!("peerl_node_peer_sent_bytes_total", "Bytes that were written to a peer");
    describe_counter!("peerl_node_peer_received_messages_total", "Messages and signals that a peer has sent");
    describe_counter!("peerl_node_peer_sent_messages_total", "Messages and signals that were written to a peer");
    describe_gauge!("peerl_node_peer_queued_bytes", "Bytes that wait to be written to a peer");
    describe_gauge!("peerl_node_peer_kept_bytes", "Bytes that are kept for a peer, monitors and links included");
    describe_gauge!("peerl_node_kept_bytes", "Bytes that are kept for all peers");
    describe_gauge!("peerl_node_kept_bytes_limit", "The most bytes that are kept for all peers");
    describe_counter!(
        "peerl_node_peer_dropped_messages_total",
        "Messages of a peer that reached no process, by reason"
    );
    describe_gauge!("peerl_node_uptime_seconds", "The time since the node was started");
    describe_gauge!("peerl_node_draining", "1 if no more calls are taken");
}

/// Records the figures of the node as they are now.
pub fn record(node: &Node) {
    for (visibility, which) in [("visible", Nodes::Visible), ("hidden", Nodes::Hidden)] {
        gauge!("peerl_node_connections", "visibility" => visibility).set(node.nodes(which).len() as f64);
    }
    counter!("peerl_node_calls_served_total").absolute(node.calls_taken());
    gauge!("peerl_node_calls_active").set(node.calls_served() as f64);
    gauge!("peerl_node_processes").set(node.process_count() as f64);
    let (messages, bytes) = node.mailbox_totals();
    gauge!("peerl_node_mailbox_messages").set(messages as f64);
    gauge!("peerl_node_mailbox_bytes").set(bytes as f64);
    gauge!("peerl_node_kept_bytes").set(node.kept_bytes() as f64);
    gauge!("peerl_node_kept_bytes_limit").set(node.limits().memory as f64);
    gauge!("peerl_node_uptime_seconds").set(node.uptime().as_secs_f64());
    gauge!("peerl_node_draining").set(if node.is_draining() { 1.0 } else { 0.0 });
    node.peer_figures().iter().for_each(record_peer);
    node.function_figures().iter().for_each(record_function);
}

fn record_peer(figures: &PeerFigures) {
    let peer = figures.peer.as_ref().map_or_else(|| "others".to_owned(), |peer| peer.as_str().to_owned());
    counter!("peerl_node_peer_received_bytes_total", "peer" => peer.clone()).absolute(figures.bytes.received);
    counter!("peerl_node_peer_sent_bytes_total", "peer" => peer.clone()).absolute(figures.bytes.sent);
    counter!("peerl_node_peer_received_messages_total", "peer" => peer.clone()).absolute(figures.messages_received);
    counter!("peerl_node_peer_sent_messages_total", "peer" => peer.clone()).absolute(figures.messages_sent);
    gauge!("peerl_node_peer_queued_bytes", "peer" => peer.clone()).set(figures.queued_bytes as f64);
    gauge!("peerl_node_peer_kept_bytes", "peer" => peer.clone()).set(figures.kept_bytes as f64);
    for reason in Dropped::ALL {
        let labels = [("peer", peer.clone()), ("reason", reason.name().to_owned())];
        counter!("peerl_node_peer_dropped_messages_total", &labels).absolute(figures.dropped(reason));
    }
}

fn record_function(figures: &FunctionFigures) {
    let FunctionFigures { module, function, arity, values, errors, exits, throws, ended } = figures;
    let arity = arity.map_or_else(|| "*".to_owned(), |arity| arity.to_string());
    let name = format!("{}:{}/{arity}", module.as_str(), function.as_ref().map_or("*", |name| name.as_str()));
    let outcomes = [("value", values), ("error", errors), ("exit", exits), ("throw", throws), ("ended", ended)];
    for (outcome, count) in outcomes.into_iter().filter(|(_, count)| **count > 0) {
        let labels = [("function", name.clone()), ("outcome", outcome.to_owned())];
        counter!("peerl_node_function_calls_total", &labels).absolute(*count);
    }
}
