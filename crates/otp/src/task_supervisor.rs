//! A process with which `Task.Supervisor` of Elixir works.
//!
//! Elixir docs: [`Task.Supervisor`](https://hexdocs.pm/elixir/Task.Supervisor.html).

mod request;
mod server;
mod task;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use peerl_node::{ErrorChain, Node, RunningService, Service, ServiceError, Term, WeakNode};
use tokio::sync::watch;

use crate::server::{Server, StartError};
use crate::supervisor::Intensity;
use server::Tasks;

/// A `Task.Supervisor` as a [service](Service) of a node: `Task.Supervisor` of Elixir 1.14 and later starts tasks here that
/// evaluate exported functions.
///
/// `peerl::node` gives it to every node that it sets up, with the name `Peerl.TaskSupervisor`. At a node of Elixir:
///
/// ```elixir
/// Task.Supervisor.async({Peerl.TaskSupervisor, :"rust@127.0.0.1"}, Rust, :double, [21]) |> Task.await()
/// ```
///
/// A task is a process: it can be linked and monitored, `Task.shutdown/2` and exit signals end it, and if the function fails, it
/// ends with the reason that a process of Elixir would have. Its function is one of those that are
/// [exported](Node::export); it learns the process that has started the task by
/// [`CallContext::caller`](peerl_node::CallContext::caller). A closure of Elixir is none of them: the task ends with `undef`.
///
/// A task counts among the [calls under way](Node::calls_served). If there are too many of these or of the tasks, or if the node
/// is about to leave, the answer is `{error, max_children}`.
///
/// When the process of the service ends, it starts again, without its tasks.
#[derive(Debug, Clone)]
pub struct TaskSupervisor {
    name: String,
    max_children: usize,
    max_children_per_peer: usize,
    intensity: Intensity,
}

impl Default for TaskSupervisor {
    fn default() -> Self {
        Self {
            name: Self::NAME.to_owned(),
            max_children: 100_000,
            max_children_per_peer: 50_000,
            intensity: Intensity { restarts: 3, period: Duration::from_secs(5) },
        }
    }
}

impl TaskSupervisor {
    /// The name of the process: Elixir's `Peerl.TaskSupervisor`.
    pub const NAME: &str = "Elixir.Peerl.TaskSupervisor";

    /// One with the usual name and limits: 100,000 tasks, of which one peer may have half.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets another name. `Jobs` of Elixir is `Elixir.Jobs`.
    pub fn name(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    /// Sets how many tasks may run at a time.
    pub fn max_children(mut self, limit: usize) -> Self {
        self.max_children = limit;
        self
    }

    /// Sets how many tasks of one peer may run at a time.
    pub fn max_children_per_peer(mut self, limit: usize) -> Self {
        self.max_children_per_peer = limit;
        self
    }

    /// Sets how often tasks are started again that were started with `restart: :transient` or `:permanent`: three times in 5
    /// seconds without this, as in Elixir. One more ends all tasks.
    pub fn intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Starts the process. Gives its exit reason, when it has one.
    fn start_process(&self, node: &Node) -> Result<watch::Receiver<Option<Term>>, StartError> {
        let start = Tasks::new(self.clone()).start(node).name(&self.name).start();
        // It waits for nobody.
        let (_, ending) = start.now_or_never().unwrap_or_else(|| Err(StartError::Name(self.name.clone())))?;
        Ok(ending)
    }
}

impl Service for TaskSupervisor {
    fn start(self: Box<Self>, node: &Node) -> Result<Box<dyn RunningService>, ServiceError> {
        let ending = self.start_process(node)?;
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(keep(*self, node.downgrade(), ending, stopped));
        Ok(Box::new(Running { stop }))
    }
}

/// How long the process stays away after its end.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the process again when it has ended, until the node leaves.
async fn keep(
    supervisor: TaskSupervisor,
    node: WeakNode,
    mut ending: watch::Receiver<Option<Term>>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        let reason = tokio::select! {
            ended = ending.wait_for(Option::is_some) => ended.ok().and_then(|reason| reason.clone()),
            _ = stopped.changed() => return,
        };
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            _ = stopped.changed() => return,
        }
        let Some(node) = node.upgrade() else { return };
        tracing::warn!(name = supervisor.name, ?reason, "the supervisor of tasks has ended, and is started again");
        match supervisor.start_process(&node) {
            Ok(started) => ending = started,
            Err(error) => return tracing::error!(name = supervisor.name, "{}", ErrorChain(&error)),
        }
    }
}

struct Running {
    stop: watch::Sender<bool>,
}

impl RunningService for Running {
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.stop.send_replace(true);
        Box::pin(async {})
    }
}
