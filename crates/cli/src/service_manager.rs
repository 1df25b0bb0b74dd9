//! Notifications for systemd (`Type=notify`): readiness, status, watchdog and stopping. Without systemd none are
//! sent.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use peerl_node::{Node, Nodes};
use sd_notify::NotifyState;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::self_check::self_check;

/// The longest time between two status notifications.
const STATUS_INTERVAL: Duration = Duration::from_secs(10);

/// How long ending may take in addition to pending calls: unregistering, closing connections.
pub const END_ALLOWANCE: Duration = Duration::from_secs(10);

/// The service manager that started this process.
#[derive(Clone, Copy, Debug)]
pub struct ServiceManager {
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The service manager of the environment, if there is one.
    pub fn from_environment() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self { watchdog: sd_notify::watchdog_enabled() })
    }

    /// Reports that the node can be called; then its status and, as often as the watchdog requires, that it works.
    /// The latter only after a successful [`self_check`]: systemd restarts a worker that stays silent.
    pub fn ready(self, node: &Node, listen: Option<IpAddr>) -> Watch {
        let draining = Arc::new(AtomicBool::new(false));
        let status = status(node, false);
        tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        let task = tokio::spawn(self.watch(node.clone(), listen, status, draining.clone()));
        Watch { task, node: node.clone(), draining }
    }

    async fn watch(self, node: Node, listen: Option<IpAddr>, mut told: String, draining: Arc<AtomicBool>) {
        // Half of the watchdog's time is usual; with a third, one notification may be late.
        let interval = self.watchdog.map_or(STATUS_INTERVAL, |limit| (limit / 3).min(STATUS_INTERVAL));
        let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(limit) = self.watchdog {
                match self_check(&node, listen, limit / 3).await {
                    Ok(()) => tell(&[NotifyState::Watchdog]),
                    Err(error) => tracing::error!("no watchdog notification is sent to the service manager: {error}"),
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

/// Sends notifications until it is dropped.
#[derive(Debug)]
pub struct Watch {
    task: JoinHandle<()>,
    node: Node,
    draining: Arc<AtomicBool>,
}

impl Watch {
    /// Reports that the worker stops, and how long that may take. Watchdog notifications continue.
    pub fn stopping(&self, drain: Duration) {
        self.draining.store(true, Ordering::Relaxed);
        let limit = format!("EXTEND_TIMEOUT_USEC={}", drain.saturating_add(END_ALLOWANCE).as_micros());
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
        tracing::warn!("cannot notify the service manager: {error}");
    }
}
