//! The processes that peers expect at every node, and talk to: `net_kernel`, `rex`, `logger` and a group leader.

mod check;
mod group_leader;
mod lent_group_leader;
mod log_event;
mod logger;
mod net_kernel;
#[cfg(test)]
mod on_behalf;
mod process;
mod queues;
mod rex;
mod unfinished;

use std::sync::Arc;

pub use check::{SystemError, check_system};
pub use log_event::LogEvent;

use futures::future::BoxFuture;
use peerl_node::{Node, NodeBuilder, RunningService, Service, ServiceError, WeakNode};

use crate::functions::Functions;
use crate::global::GlobalService;
use crate::task_supervisor::TaskSupervisor;
use unfinished::Unfinished;

/// The processes that peers expect at every node, a [service](Service) of it: `net_kernel`, which answers pings; `rex`, the
/// server of `rpc`; a group leader, which gets what functions print that this node calls; and `logger`, which gets what they
/// log.
///
/// When the node shuts down, processes of peers that have its group leader get another one, and what has come to be printed or
/// logged is.
#[derive(Default)]
pub struct System {
    output: Option<Output>,
    log_output: Option<LogOutput>,
}

/// What is done with text that peers print.
type Output = Arc<dyn Fn(&str) + Send + Sync>;

/// What is done with log events of peers.
type LogOutput = Arc<dyn Fn(&LogEvent) + Send + Sync>;

impl System {
    /// The processes with their usual settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what is done with text that functions print which peers run for this node. Without this it is logged, with the
    /// target `peerl::output`.
    pub fn output(mut self, output: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.output = Some(Arc::new(output));
        self
    }

    /// Sets what is done with log events of functions that peers run for this node. Without this they are logged here, with the
    /// target `peerl::remote`.
    pub fn log_output(mut self, output: impl Fn(&LogEvent) + Send + Sync + 'static) -> Self {
        self.log_output = Some(Arc::new(output));
        self
    }

    /// Begins to set up a node that has these processes, the [functions](crate::functions) of every node,
    /// [`global`](crate::global), and a [supervisor of tasks](TaskSupervisor).
    pub fn node(self, name: impl Into<String>) -> NodeBuilder {
        NodeBuilder::new(name)
            .service(self)
            .service(Functions::All)
            .service(TaskSupervisor::new())
            .service(GlobalService)
    }

    /// Begins to set up a [guest](NodeBuilder::guest) that has these processes and functions.
    pub fn guest(self) -> NodeBuilder {
        NodeBuilder::guest().service(self).service(Functions::All)
    }
}

impl Service for System {
    fn start(self: Box<Self>, node: &Node) -> Result<Box<dyn RunningService>, ServiceError> {
        let unfinished = Unfinished::default();
        net_kernel::start(node)?;
        rex::start(node)?;
        let output = self.output.unwrap_or_else(|| Arc::new(group_leader::trace));
        let leader = group_leader::start(node, output, unfinished.clone())?;
        let log_output = self.log_output.unwrap_or_else(|| Arc::new(LogEvent::trace));
        logger::start(node, log_output, unfinished.clone())?;
        node.set_group_leader(&leader);
        Ok(Box::new(Running { node: node.downgrade(), unfinished }))
    }
}

struct Running {
    node: WeakNode,
    unfinished: Unfinished,
}

impl RunningService for Running {
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some(node) = self.node.upgrade() else { return };
            lent_group_leader::take_back(&node).await;
            check::print_all(&node, &self.unfinished).await;
        })
    }
}
