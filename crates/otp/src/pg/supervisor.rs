use std::sync::Arc;
use std::time::Duration;

use peerl_node::{Atom, Node, Term};
use tokio::sync::watch;
use tokio::time::Instant;

use super::server::ScopeServer;
use super::shared::Shared;
use crate::{Running, Server, StartError};

/// The least time between two starts: a peer that ends the process again and again does not keep the node busy.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the process of a scope, and another one when it has ended.
pub(super) struct Supervisor {
    node: Node,
    name: Atom,
    shared: Arc<Shared>,
    is_stopped: watch::Receiver<bool>,
}

impl Supervisor {
    pub(super) fn new(node: &Node, name: Atom, shared: Arc<Shared>, is_stopped: watch::Receiver<bool>) -> Self {
        Self { node: node.clone(), name, shared, is_stopped }
    }

    /// Starts the process. What is given shows each one that is started after it, until the scope has ended.
    pub(super) async fn start(self) -> Result<watch::Receiver<Running>, StartError> {
        let (sender, running) = watch::channel(self.start_process().await?);
        tokio::spawn(self.supervise(sender));
        Ok(running)
    }

    async fn start_process(&self) -> Result<Running, StartError> {
        ScopeServer::new(self.name.clone(), self.shared.clone()).start(&self.node).name(self.name.as_str()).await
    }

    async fn supervise(mut self, sender: watch::Sender<Running>) {
        loop {
            let next_start = Instant::now() + PAUSE;
            let mut running = sender.borrow().clone();
            tokio::select! {
                reason = running.ended() => {
                    tracing::warn!(scope = %self.name, ?reason, "the process of a scope has ended");
                }
                () = stopped(&mut self.is_stopped) => {
                    self.node.process().exit_other(running.pid(), &Term::atom("shutdown"));
                    running.ended().await;
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(next_start) => {}
                () = stopped(&mut self.is_stopped) => return,
            }
            if self.node.is_draining() {
                return;
            }
            self.shared.begin();
            match self.start_process().await {
                Ok(running) => {
                    tracing::warn!(scope = %self.name, "the process of a scope is started again");
                    sender.send_replace(running);
                }
                Err(error) => {
                    self.shared.end();
                    tracing::error!(scope = %self.name, %error, "the process of a scope cannot be started again");
                    return;
                }
            }
        }
    }
}

/// Waits until the scope is stopped, which may never be.
async fn stopped(is_stopped: &mut watch::Receiver<bool>) {
    if is_stopped.wait_for(|is_stopped| *is_stopped).await.is_err() {
        std::future::pending().await
    }
}
