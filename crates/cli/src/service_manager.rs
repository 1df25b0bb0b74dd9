//! What systemd is told (`Type=notify`): that the worker can be called, what it is doing, that it is still well, and
//! that it is going. Without systemd nobody is told anything.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peerl_node::{Node, Nodes};
use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::self_check::self_check;

/// The longest time between two looks at what the worker is doing.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// What the service manager is granted beyond the time for calls under way: giving the name back, closing connections.
pub const FAREWELL: Duration = Duration::from_secs(10);

/// The service manager that has started this process, if one has.
#[derive(Clone, Copy, Debug)]
pub struct ServiceManager {
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that the environment tells of.
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self { watchdog: sd_notify::watchdog_enabled() })
    }

    /// Says that the node can be called, and from now on what it is doing and, as often as the watchdog wants to hear
    /// it, that it is well. It is so only if a [`self_check`] has just shown it: a worker that cannot work is silent,
    /// and will be restarted.
    pub fn ready(self, node: &Node, listen: Option<IpAddr>) -> Watch {
        let draining = Arc::new(AtomicBool::new(false));
        let status = status(node, false);
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        let task = tokio::spawn(self.watch(node.clone(), listen, status, draining.clone()));
        Watch { task, node: node.clone(), draining }
    }

    async fn watch(self, node: Node, listen: Option<IpAddr>, mut told: String, draining: Arc<AtomicBool>) {
        // Half of the watchdog's time is usual; of a third, one may be late.
        let interval = self.watchdog.map_or(STATUS_INTERVAL, |limit| (limit / 3).min(STATUS_INTERVAL));
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(limit) = self.watchdog {
                match self_check(&node, listen, limit / 3).await {
                    Ok(()) => tell(&[NotifyState::Watchdog]),
                    Err(error) => tracing::error!("the service manager is not told that all is well: {error}"),
                }
            }
            let now = status(&node, draining.load(Ordering::Relaxed));
            if now != told {
                tell(&[NotifyState::Status(&now)]);
                told = now;
            }
        }
    }
}

/// Tells the service manager that all is well, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    task: JoinHandle<()>,
    node: Node,
    draining: Arc<AtomicBool>,
}

impl Watch {
    /// Says that the worker ends, and how long that may take. Whether all is well is told further on.
    pub fn stopping(&self, drain: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let limit = format!("EXTEND_TIMEOUT_USEC={}", drain.saturating_add(FAREWELL).as_micros());
        tell(&[NotifyState::Stopping, NotifyState::Status(&status(&self.node, true)), NotifyState::Custom(&limit)]);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn status(node: &Node, draining: bool) -> String {
    let peers = match node.nodes(Nodes::Visible).len() {
        1 => "1 node".to_owned(),
        count => format!("{count} nodes"),
    };
    let state = if draining { "draining" } else { "ready" };
    format!("{}: {state}, connected with {peers}, {}", node.name(), calls(node))
}

fn calls(node: &Node) -> String {
    match node.calls_served() {
        0 => "no calls under way".to_owned(),
        1 => "1 call under way".to_owned(),
        count => format!("{count} calls under way"),
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}
