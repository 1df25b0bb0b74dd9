//! Many calls spread over many nodes.

mod scheduler;
mod workers;

use std::collections::HashSet;
use std::future::IntoFuture;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use peerl_proto::flags::DistributionFlags;
use peerl_proto::node_name::NodeName;
use serde::de::DeserializeOwned;

use scheduler::Scheduler;
pub use workers::Workers;

use super::CallError;
use crate::mfa::Mfa;
use crate::node::Node;

/// A fan-out that is about to be run.
///
/// Each item becomes one call, on the node that has the least to do. If a node dies, its unfinished items and its window
/// go to the other nodes at once. A node that takes no such calls gets no more; if no node takes them, all items fail at
/// once. (A node that spawns nothing for others, on `ei` or Jinterface, has two seconds for its first answer.) Every item is reported exactly once.
#[must_use = "nothing is called before the stream of `run` is polled"]
pub struct Pmap<I, F> {
    node: Node,
    workers: Workers,
    call: F,
    items: BoxStream<'static, I>,
    settings: Settings,
}

/// How many results may wait for an earlier one, if they are to come in order.
const REORDER: usize = 4096;

/// How a fan-out is run.
#[derive(Debug, Clone, Copy)]
struct Settings {
    window: usize,
    retries: u32,
    timeout: Option<Duration>,
    patience: Duration,
    order: Order,
}

/// In which order results are given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Order {
    /// As they come.
    #[default]
    AsCompleted,
    /// In the order of the items. A slow item holds the later ones back; when 4,096 of them wait for it, no new
    /// ones are begun.
    OfItems,
}

/// What came of one item.
#[derive(Debug)]
pub struct Mapped<I, T> {
    /// The item's place among the items, from 0.
    pub index: usize,
    /// The item.
    pub item: I,
    /// The node that gave the result, or that was tried last; none if no node could be tried.
    pub node: Option<NodeName>,
    /// How long it took, from the first attempt on.
    pub elapsed: Duration,
    /// How often the call was made.
    pub attempts: u32,
    /// The value, or why there is none.
    pub result: Result<T, CallError>,
}

impl Node {
    /// Calls a function for each item, spread over the workers; `call` says which, with which arguments.
    ///
    /// The calls should be such that making one twice does no harm: when a node dies or does not answer in time,
    /// nobody knows whether it made the call, and another node is asked.
    pub fn pmap<I, F, L>(&self, workers: impl Into<Workers>, call: F, items: L) -> Pmap<I, F>
    where
        F: Fn(&I) -> Mfa + Send + 'static,
        L: IntoIterator<Item = I>,
        L::IntoIter: Send + 'static,
        I: Send + 'static,
    {
        self.pmap_stream(workers, call, stream::iter(items))
    }

    /// As [`pmap`](Self::pmap), of items that come one after another. They are taken when there is a worker for them.
    pub fn pmap_stream<I, F>(
        &self,
        workers: impl Into<Workers>,
        call: F,
        items: impl Stream<Item = I> + Send + 'static,
    ) -> Pmap<I, F>
    where
        F: Fn(&I) -> Mfa + Send + 'static,
        I: Send + 'static,
    {
        self.prepare(workers.into(), call, items.boxed())
    }

    /// As [`pmap_stream`](Self::pmap_stream), with calls that also depend on the node: `call` is asked each time that an
    /// item is given to one.
    pub fn pmap_by_node<I, F>(
        &self,
        workers: impl Into<Workers>,
        call: F,
        items: impl Stream<Item = I> + Send + 'static,
    ) -> Pmap<I, ByNode<F>>
    where
        F: Fn(&NodeName, &I) -> Mfa + Send + 'static,
        I: Send + 'static,
    {
        self.prepare(workers.into(), ByNode(call), items.boxed())
    }

    fn prepare<I, C>(&self, workers: Workers, call: C, items: BoxStream<'static, I>) -> Pmap<I, C> {
        let settings = Settings {
            window: 8,
            retries: 3,
            timeout: None,
            patience: Duration::from_secs(10),
            order: Order::default(),
        };
        Pmap { node: self.clone(), workers, call, items, settings }
    }
}

/// Says which call is made for an item.
pub trait CallOf<I> {
    /// The call that this node makes for the item.
    fn call_of(&self, node: &NodeName, item: &I) -> Mfa;
}

impl<I, F: Fn(&I) -> Mfa> CallOf<I> for F {
    fn call_of(&self, _: &NodeName, item: &I) -> Mfa {
        self(item)
    }
}

/// A function of the node and the item; see [`Node::pmap_by_node`].
#[derive(Debug)]
pub struct ByNode<F>(F);

impl<I, F: Fn(&NodeName, &I) -> Mfa> CallOf<I> for ByNode<F> {
    fn call_of(&self, node: &NodeName, item: &I) -> Mfa {
        (self.0)(node, item)
    }
}

impl<I, F> Pmap<I, F>
where
    I: Send + 'static,
    F: CallOf<I> + Send + 'static,
{
    /// Sets how many calls are under way at a node at once; 8 without this.
    ///
    /// While a node is down, the others share its window, so that as many calls are under way as before. None takes more
    /// than four times its own window.
    pub fn window(mut self, calls: usize) -> Self {
        self.settings.window = calls.max(1);
        self
    }

    /// Sets how often an item is tried again after its node has died or has not answered in time; 3 without this.
    /// An exception is a result, and is not tried again.
    pub fn retries(mut self, retries: u32) -> Self {
        self.settings.retries = retries;
        self
    }

    /// Sets how long one attempt may take; without this, as long as the connection to the node lasts.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Sets how long to wait while no node can be reached, before the rest is given up; 10 seconds without this.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.settings.patience = patience;
        self
    }

    /// Gives results in the order of the items.
    pub fn ordered(mut self) -> Self {
        self.settings.order = Order::OfItems;
        self
    }

    /// Gives results as they come, which is so without this too.
    pub fn as_completed(mut self) -> Self {
        self.settings.order = Order::AsCompleted;
        self
    }

    /// Runs it: a stream of what came of each item. Dropping the stream gives up what is under way.
    pub fn run<T>(self) -> impl Stream<Item = Mapped<I, T>> + Send + 'static
    where
        T: DeserializeOwned + Send + 'static,
    {
        let (node, timeout) = (self.node, self.settings.timeout);
        let by_message = ByMessage::default();
        let call = move |peer: &NodeName, mfa: Mfa| {
            let mut call = node.call::<T>(peer, mfa);
            if let Some(timeout) = timeout {
                call = call.timeout(timeout);
            }
            by_message.watched(&node, peer, call.into_future())
        };
        let scheduler = Scheduler::new(self.workers, self.call, call, self.items, self.settings);
        stream::unfold(scheduler, |mut scheduler| async move {
            let mapped = scheduler.next().await?;
            Some((mapped, scheduler))
        })
    }
}

/// The nodes that spawn nothing for others, and have shown that they answer calls by message: there is no other sign of it
/// than an answer, and all items would wait for one.
#[derive(Default)]
struct ByMessage {
    answering: Arc<Mutex<HashSet<NodeName>>>,
}

impl ByMessage {
    /// How long such a node has for its first answer.
    const FIRST: Duration = Duration::from_secs(2);

    fn watched<T: Send + 'static>(
        &self,
        node: &Node,
        peer: &NodeName,
        call: BoxFuture<'static, Result<T, CallError>>,
    ) -> BoxFuture<'static, Result<T, CallError>> {
        let connection = node.inner.kernel.connections.get(peer.as_atom());
        if connection.is_none_or(|connection| connection.flags.contains(DistributionFlags::SPAWN)) {
            return call;
        }
        let (peer, answering) = (peer.clone(), self.answering.clone());
        Box::pin(async move {
            let known = lock(&answering).contains(&peer);
            let result = match known {
                true => call.await,
                false => tokio::time::timeout(Self::FIRST, call).await.unwrap_or(Err(CallError::NoRex)),
            };
            let has_answered = matches!(result, Ok(_) | Err(CallError::Exception(_) | CallError::Decode(_)));
            if has_answered && !known {
                lock(&answering).insert(peer);
            }
            result
        })
    }
}

fn lock(nodes: &Mutex<HashSet<NodeName>>) -> MutexGuard<'_, HashSet<NodeName>> {
    nodes.lock().unwrap_or_else(PoisonError::into_inner)
}
