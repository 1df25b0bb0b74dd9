use std::sync::Arc;

use peerl_node::{Atom, Process, Term};
use peerl_otp::pg::{Scope, Update, Updates};

use crate::message;
use crate::pool::Pool;
use crate::subscription::Subscribers;

/// The one process that is this node's worker in all groups of the pool. Nodes of Phoenix have a process for each; here the
/// groups serve only to be found by nodes that broadcast to any of them.
pub(crate) struct Worker {
    process: Process,
    pool: Pool,
    scope: Scope,
    updates: Updates,
    groups: Vec<Atom>,
    subscribers: Arc<Subscribers>,
}

impl Worker {
    /// The most groups that are joined because others have workers there.
    const MOST_GROUPS: usize = 1024;

    /// Joins the groups that there are.
    pub(crate) async fn start(process: Process, pool: Pool, scope: Scope, subscribers: Arc<Subscribers>) -> Self {
        let (groups, updates) = scope.monitor_all();
        let first = pool.first().clone();
        let mut worker = Self { process, pool, scope, updates, groups: Vec::new(), subscribers };
        worker.join(&Term::Atom(first)).await;
        for group in groups.keys() {
            worker.join(group).await;
        }
        worker
    }

    /// Receives, until the process ends.
    pub(crate) async fn run(mut self) {
        loop {
            tokio::select! {
                received = self.process.receive() => match received {
                    Ok(message) => {
                        if let Some(received) = message::read(&message) {
                            self.subscribers.dispatch(&received);
                        }
                    }
                    Err(_) => return,
                },
                update = self.updates.recv() => match update {
                    Ok(Update::Joined { group, .. }) => self.join(&group).await,
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(pubsub = %self.pool.pubsub(), %error, "the PubSub receives no longer");
                        return;
                    }
                },
            }
        }
    }

    /// Joins a group, if it is one of the pool.
    async fn join(&mut self, group: &Term) {
        let Some(name) = group.as_atom().filter(|_| self.pool.contains(group)) else { return };
        if self.groups.contains(name) || self.groups.len() >= Self::MOST_GROUPS {
            return;
        }
        self.groups.push(name.clone());
        // For senders that address the name at this node only. The first has been registered, and another process may have one.
        let _ = self.process.register(name.clone());
        if let Err(error) = self.scope.join(group, self.process.pid()).await {
            tracing::warn!(pubsub = %self.pool.pubsub(), %name, %error, "a group cannot be joined");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.subscribers.end();
    }
}
