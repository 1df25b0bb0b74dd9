//! What happens when `global` itself fails.
//!
//! OTP ends a node whose `global_name_server` has ended: the other nodes take it for a member, and it knows neither names nor
//! locks. Here the node leaves the mesh, as [`Global::disconnect`](super::Global::disconnect) does, and joins it anew with
//! another process. Nobody else parts because of that, and the names of its own processes come with it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures::FutureExt;
use peerl_node::{Node, Nodes, RegisterError, Term};
use tokio::sync::mpsc;

use super::ask::Asked;
use super::driver::Driver;
use crate::panic;

/// The most requests of this node that wait to be taken: beyond it, they wait to be sent.
const REQUESTS: usize = 1024;

/// How long the node stays away: the others are to have told each other that it has gone. Twice as long after each failure, for
/// a peer that makes it fail costs all of them a meeting each time.
const PAUSE: Duration = Duration::from_secs(1);

/// The most times that the pause is doubled.
const DOUBLED: u32 = 6;

/// Starts `global` at a node, and starts it again when it has failed. It ends with the node.
pub(super) fn start(node: &Node) -> Result<mpsc::Sender<Asked>, RegisterError> {
    let (sender, requests) = mpsc::channel(REQUESTS);
    let driver = Driver::start(node, requests)?;
    tokio::spawn(supervise(driver));
    Ok(sender)
}

async fn supervise(mut driver: Driver) {
    for failures in 0.. {
        let Err(panic) = AssertUnwindSafe(driver.run()).catch_unwind().await else { return };
        match restart(driver, &panic::text(&*panic), PAUSE * (1 << DOUBLED.min(failures))) {
            Some(next) => driver = next,
            None => return,
        }
    }
}

/// Leaves the mesh, and joins it with another process.
fn restart(mut driver: Driver, reason: &str, pause: Duration) -> Option<Driver> {
    tracing::error!(reason, "global has failed: the node leaves its mesh, and joins it anew");
    let node = driver.node()?;
    // They may be what it has failed with.
    let names = catch_unwind(AssertUnwindSafe(|| driver.own_names())).unwrap_or_default();
    let left = node.nodes(Nodes::Visible);
    for peer in &left {
        node.disconnect(peer);
    }
    let requests = driver.end(&Term::tuple([Term::atom("panic"), Term::from(reason)]));
    let started = Driver::start(&node, requests);
    driver = started.inspect_err(|error| tracing::error!(%error, "global cannot be started again")).ok()?;
    driver.restore(names);
    driver.join_after(pause, left);
    Some(driver)
}
