use std::fmt;
use std::future::Future;
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use peerl_node::{Atom, Node, NodeName, Process, WeakNode};
use peerl_otp::pg::Scope;
use peerl_term::{RawTerm, Term};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::Event;
use crate::message::forward_to_local;
use crate::pool::{Pool, PoolNameError, SCOPE};
use crate::subscription::{Received, Subscribers, Subscription};
use crate::worker::Worker;

/// A PubSub of a Phoenix application at this node: it broadcasts to the subscribers on all nodes, and subscribes to what they
/// broadcast. If a peer ends the process of its scope, another one is started, and the PubSub joins its groups again.
///
/// Clones are handles to the same PubSub. With the last one it ends.
#[derive(Clone)]
pub struct PubSub(Arc<Inner>);

struct Inner {
    node: WeakNode,
    pool: Pool,
    scope: Scope,
    sender: Process,
    subscribers: Arc<Subscribers>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Why a PubSub was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Its name is none.
    #[error(transparent)]
    Name(#[from] PoolNameError),
    /// The scope of its groups cannot be started.
    #[error("the scope {SCOPE} cannot be started")]
    Scope(#[from] peerl_otp::StartError),
    /// There is a PubSub of this name at the node.
    #[error("the node has a PubSub of this name: the name {0} is taken")]
    Taken(Atom),
}

/// Why a message was not broadcast.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// It cannot be a term.
    #[error("the message cannot be encoded")]
    Encode(#[from] peerl_term::serde::Error),
    /// The name of the dispatcher is too long.
    #[error("the dispatcher is not the name of a module")]
    Dispatcher(#[from] peerl_term::AtomError),
}

/// PubSubs of a node.
pub trait NodePubSub {
    /// Starts the PubSub of this name, such as `MyApp.PubSub`, and the scope of its groups.
    ///
    /// # Errors
    /// As [`PubSub::start`].
    fn pubsub(&self, name: &str) -> impl Future<Output = Result<PubSub, StartError>> + Send;
}

impl NodePubSub for Node {
    fn pubsub(&self, name: &str) -> impl Future<Output = Result<PubSub, StartError>> + Send {
        PubSub::start(self, name)
    }
}

impl PubSub {
    /// The dispatcher that sends the message itself to each subscriber.
    pub const DISPATCHER: &str = "Elixir.Phoenix.PubSub";

    /// Starts a PubSub, and the scope of its groups. A second one of the node is started [on the same scope](Self::on).
    ///
    /// # Errors
    /// If the name is none, or the node has a PubSub or another process of that name.
    pub fn start(node: &Node, name: &str) -> BoxFuture<'static, Result<Self, StartError>> {
        let (node, pool) = (node.clone(), Pool::of(name));
        Box::pin(async move {
            let pool = pool?;
            let scope = Scope::start(&node, SCOPE).await?;
            Self::with(&node, scope, pool).await
        })
    }

    /// Starts a PubSub on the scope of another.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn on(node: &Node, scope: &Scope, name: &str) -> Result<Self, StartError> {
        Self::with(node, scope.clone(), Pool::of(name)?).await
    }

    async fn with(node: &Node, scope: Scope, pool: Pool) -> Result<Self, StartError> {
        let this = node.downgrade();
        let process = node.process();
        process.register(pool.first().clone()).map_err(|_| StartError::Taken(pool.first().clone()))?;
        let subscribers = Arc::<Subscribers>::default();
        let worker = Worker::start(process, pool.clone(), scope.clone(), subscribers.clone()).await;
        let worker = Mutex::new(Some(tokio::spawn(worker.run())));
        let sender = node.process();
        sender.ignore_exits();
        Ok(Self(Arc::new(Inner { node: this, pool, scope, sender, subscribers, worker })))
    }

    /// The scope of the groups.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// The groups of the workers.
    pub fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Receives what is broadcast to a topic from now on, here and on other nodes.
    pub fn subscribe(&self, topic: &str) -> Subscription {
        self.0.subscribers.subscribe(topic)
    }

    /// Broadcasts a message to the subscribers of a topic on all nodes, as `Phoenix.PubSub.broadcast/3`. Gives the number of
    /// other nodes that it was sent to.
    ///
    /// # Errors
    /// If it cannot be a term.
    pub async fn broadcast(&self, topic: &str, message: &impl Serialize) -> Result<usize, BroadcastError> {
        self.broadcast_with(topic, message, Self::DISPATCHER).await
    }

    /// Broadcasts an event to the clients that have joined a channel, as `MyAppWeb.Endpoint.broadcast/3`: each websocket of
    /// each node pushes it. All nodes have to have Phoenix.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn broadcast_event(&self, event: Event) -> Result<usize, BroadcastError> {
        let topic = event.topic.clone();
        self.broadcast_with(&topic, &Term::from(event), Event::DISPATCHER).await
    }

    /// Broadcasts a message that is dispatched by an Elixir module, as `Phoenix.PubSub.broadcast/4`. All nodes have to have
    /// that module: a worker of theirs ends if it is not there.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast), or if the name of the dispatcher is too long.
    pub async fn broadcast_with(
        &self,
        topic: &str,
        message: &impl Serialize,
        dispatcher: &str,
    ) -> Result<usize, BroadcastError> {
        let (message, dispatcher) = (peerl_term::serde::to_term(message)?, Atom::new(dispatcher)?);
        let received = Received { topic: topic.to_owned(), message: RawTerm::encoded_from(&message), dispatcher };
        let sent = self.send_to_workers(&forward_to_local(topic, message, &received.dispatcher)).await;
        self.0.subscribers.dispatch(&received);
        Ok(sent)
    }

    /// Ends the PubSub, and the scope of its groups: other PubSubs on that scope end, too. Waits until they are gone.
    pub async fn stop(self) {
        if let Some(worker) = self.0.abort() {
            // It has been aborted, or had ended before.
            let _ = worker.await;
        }
        self.0.scope.clone().stop().await;
    }

    async fn send_to_workers(&self, message: &Term) -> usize {
        let Inner { node, pool, scope, sender, .. } = &*self.0;
        let Some(node) = node.upgrade() else { return 0 };
        let groups: Vec<_> = scope.groups().into_iter().filter(|group| pool.contains(group)).collect();
        let members: Vec<_> = groups.iter().map(|group| (group, scope.members(group))).collect();
        let workers = pool.workers(members.iter().map(|(group, pids)| (*group, &pids[..])));
        let mut sent = 0;
        for worker in workers.iter().filter(|worker| worker.node != sender.pid().node) {
            // A worker whose node has just gone is about to leave the group; it is not waited for.
            let is_connected = NodeName::new(&worker.node).is_ok_and(|peer| node.connection(&peer).is_some());
            sent += usize::from(is_connected && sender.send_term(worker, message).await.is_ok());
        }
        sent
    }
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PubSub").field(self.0.pool.pubsub()).finish()
    }
}

impl Inner {
    /// Aborts the worker. The first caller gets its handle.
    fn abort(&self) -> Option<JoinHandle<()>> {
        let worker = self.worker.lock().take();
        worker.inspect(JoinHandle::abort)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.abort();
    }
}
