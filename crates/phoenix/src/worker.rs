use std::sync::Arc;

use peerl_node::{Atom, Process, Term};
use peerl_otp::pg::{Scope, Update, Updates, UpdatesEnded};

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

/// What has become of the groups.
enum Event {
    Joined(Term),
    Left,
    /// Some changes have been missed.
    Missed,
    /// There is another scope process, which knows of no member here.
    Restarted,
    Ended,
}

impl Worker {
    /// Joins the groups that there are.
    pub(crate) async fn start(process: Process, pool: Pool, scope: Scope, subscribers: Arc<Subscribers>) -> Self {
        // A peer that ended it would end the PubSub.
        process.ignore_exits();
        let (groups, updates) = scope.monitor_all();
        let mut worker = Self { process, pool, scope, updates, groups: Vec::new(), subscribers };
        worker.join_all(groups.into_keys()).await;
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
                event = Self::event(&mut self.updates, &mut self.scope) => match event {
                    Event::Joined(group) => self.join(&group).await,
                    Event::Left => {}
                    Event::Missed => self.look().await,
                    Event::Restarted => {
                        self.groups.clear();
                        self.look().await;
                    }
                    Event::Ended => {
                        tracing::error!(pubsub = %self.pool.pubsub(), "the PubSub receives no longer: its scope has ended");
                        return;
                    }
                },
            }
        }
    }

    async fn event(updates: &mut Updates, scope: &mut Scope) -> Event {
        match updates.recv().await {
            Ok(Update::Joined { group, .. }) => Event::Joined(group),
            Ok(_) => Event::Left,
            Err(UpdatesEnded::Lagging) => Event::Missed,
            Err(_) if scope.restarted().await => Event::Restarted,
            Err(_) => Event::Ended,
        }
    }

    /// Joins the groups that there are, and learns of others from then on.
    async fn look(&mut self) {
        let (groups, updates) = self.scope.monitor_all();
        self.updates = updates;
        self.join_all(groups.into_keys()).await;
    }

    /// Joins the first group of the pool, and those of these that are of it.
    async fn join_all(&mut self, groups: impl Iterator<Item = Term>) {
        let first = Term::Atom(self.pool.first().clone());
        for group in [first].into_iter().chain(groups) {
            self.join(&group).await;
        }
    }

    /// Joins a group, if it is one of the pool.
    async fn join(&mut self, group: &Term) {
        let Some(name) = group.as_atom().filter(|_| self.pool.contains(group)) else { return };
        if self.groups.contains(name) {
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
