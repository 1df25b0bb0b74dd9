//! A connection whose keys are [worn](crate::transport::ReadHalf::is_worn) is ended and made again when nothing is under way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use peerl_proto::node_name::NodeName;

use crate::kernel::connection::Connection;
use crate::kernel::event::{ConnectionId, Visibility};
use crate::kernel::transferred::Transferred;
use crate::node::{Node, WeakNode};

/// How long nothing may have come and gone by a connection for it to be renewed.
const QUIET: Duration = Duration::from_millis(50);

/// How long a member is away: its peers tell each other that their connections with it have ended, and a report that came after
/// its return would part them again.
const AWAY: Duration = Duration::from_secs(1);

/// What connections had carried when they were looked at last.
type Carried = HashMap<ConnectionId, Transferred>;

/// Renews connections, until the node stops.
pub(crate) async fn renew(node: WeakNode) {
    let Some(network) = node.upgrade().map(|node| node.inner.network.clone()) else { return };
    loop {
        tokio::select! {
            () = network.stopped.cancelled() => return,
            () = network.worn.notified() => {}
        }
        let mut carried = Carried::new();
        while renew_worn(&node, &mut carried).await {
            tokio::time::sleep(QUIET).await;
        }
    }
}

/// Renews a worn connection by which nothing is under way. Returns whether there may be others.
async fn renew_worn(node: &WeakNode, before: &mut Carried) -> bool {
    let Some(node) = node.upgrade().filter(|node| !node.is_draining()) else { return false };
    match look(&node, before) {
        Found::NoneIsWorn => return false,
        Found::Busy => {}
        Found::Quiet(connection) => part_and_connect(&node, &connection).await,
    }
    true
}

enum Found {
    NoneIsWorn,
    Busy,
    /// A worn connection, whose end breaks nothing off.
    Quiet(Arc<Connection>),
}

fn look(node: &Node, before: &mut Carried) -> Found {
    let connections = node.inner.kernel.connections.all();
    let now = connections.iter().map(|connection| (connection.id(), connection.transferred.total())).collect();
    let before = std::mem::replace(before, now);
    let is_quiet = |connection: &Connection| {
        before.get(&connection.id()) == Some(&connection.transferred.total())
            && connection.calls.len() == 0
            && connection.answers.bytes() == 0
            && connection.outbox.is_empty()
    };
    let mut worn = connections.iter().filter(|connection| connection.is_worn.load(Ordering::Relaxed)).peekable();
    if worn.peek().is_none() {
        return Found::NoneIsWorn;
    }
    if node.inner.kernel.served.active() > 0 {
        return Found::Busy;
    }
    let ready = worn.find(|connection| match is_between_members(node, connection) {
        true => connections.iter().filter(|other| is_between_members(node, other)).all(|other| is_quiet(other)),
        false => is_quiet(connection),
    });
    ready.map_or(Found::Busy, |connection| Found::Quiet(connection.clone()))
}

async fn part_and_connect(node: &Node, connection: &Arc<Connection>) {
    let peer = &connection.peer;
    tracing::info!(%peer, "renewing a connection whose keys have protected nearly as many records as they may");
    let mut parted: Vec<NodeName> = Vec::new();
    if is_between_members(node, connection) {
        for service in node.inner.running() {
            parted.extend(service.leave_mesh().await);
        }
    }
    if parted.is_empty() {
        node.disconnect(peer);
        parted.push(peer.clone());
    } else {
        tokio::time::sleep(AWAY).await;
    }
    join_all(parted.iter().map(async |peer| {
        if let Err(error) = node.connect(peer).await {
            tracing::info!(%peer, %error, "not connected again");
        }
    }))
    .await;
}

/// Whether other nodes draw conclusions from the end of the connection.
fn is_between_members(node: &Node, connection: &Connection) -> bool {
    node.inner.visibility == Visibility::Visible && connection.visibility() == Visibility::Visible
}
