use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::Stream;
use parking_lot::Mutex;
use peerl_node::Atom;
use peerl_term::RawTerm;
use tokio::sync::mpsc;

use crate::Event;

/// A message that was broadcast.
#[derive(Debug, Clone)]
pub struct Received {
    /// The topic.
    pub topic: String,
    /// The message; the receiver decodes it.
    pub message: RawTerm,
    /// The Elixir module that dispatches it on nodes of Phoenix.
    pub dispatcher: Atom,
}

impl Received {
    /// The event of a channel, if that is what was broadcast.
    pub fn event(&self) -> Option<Event> {
        Event::from_term(&self.message.decode().ok()?)
    }
}

/// The messages of one topic, from the subscription on.
///
/// As a [`Stream`] it ends where [`recv`](Self::recv) gives an error.
#[derive(Debug)]
pub struct Subscription {
    topic: String,
    number: u64,
    waiting: Arc<AtomicUsize>,
    receiver: mpsc::Receiver<Received>,
    subscribers: Arc<Subscribers>,
}

/// There are no more messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscriptionEnded {
    /// The PubSub has been stopped, or its node.
    #[error("the PubSub has ended")]
    PubSub,
    /// Messages were not received: too many were waiting.
    #[error("more than {MESSAGES} messages, or more than {} MiB, were waiting to be received", BYTES >> 20)]
    Lagging,
}

/// The messages that wait for a subscriber, at most.
const MESSAGES: usize = 16_384;

/// The bytes of messages that wait for a subscriber, at most.
const BYTES: usize = 64 << 20;

/// Who is told of the messages of which topic.
#[derive(Debug, Default)]
pub(crate) struct Subscribers(Mutex<Topics>);

#[derive(Debug, Default)]
struct Topics {
    by_topic: HashMap<String, Vec<Subscriber>>,
    last_number: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Subscriber {
    number: u64,
    waiting: Arc<AtomicUsize>,
    sender: mpsc::Sender<Received>,
}

impl Subscribers {
    pub(crate) fn subscribe(self: &Arc<Self>, topic: &str) -> Subscription {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let waiting = Arc::<AtomicUsize>::default();
        let mut topics = self.0.lock();
        topics.last_number += 1;
        let number = topics.last_number;
        if !topics.is_over {
            let subscriber = Subscriber { number, waiting: waiting.clone(), sender };
            topics.by_topic.entry(topic.to_owned()).or_default().push(subscriber);
        }
        drop(topics);
        Subscription { topic: topic.to_owned(), number, waiting, receiver, subscribers: self.clone() }
    }

    /// Tells all subscribers of the topic.
    pub(crate) fn dispatch(&self, received: &Received) {
        let mut topics = self.0.lock();
        let Some(subscribers) = topics.by_topic.get_mut(&received.topic) else { return };
        let size = received.message.bytes().len();
        subscribers.retain(|subscriber| {
            let waiting = subscriber.waiting.fetch_add(size, Ordering::Relaxed);
            // One that is alone is taken, however large it is.
            (waiting == 0 || waiting + size <= BYTES) && subscriber.sender.try_send(received.clone()).is_ok()
        });
        if subscribers.is_empty() {
            topics.by_topic.remove(&received.topic);
        }
    }

    /// There will be no more messages.
    pub(crate) fn end(&self) {
        *self.0.lock() = Topics { is_over: true, ..Topics::default() };
    }

    fn unsubscribe(&self, topic: &str, number: u64) {
        let mut topics = self.0.lock();
        let Some(subscribers) = topics.by_topic.get_mut(topic) else { return };
        subscribers.retain(|subscriber| subscriber.number != number);
        if subscribers.is_empty() {
            topics.by_topic.remove(topic);
        }
    }
}

impl Subscription {
    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// If there are no more.
    pub async fn recv(&mut self) -> Result<Received, SubscriptionEnded> {
        match self.receiver.recv().await {
            Some(received) => Ok(self.taken(received)),
            None if self.subscribers.0.lock().is_over => Err(SubscriptionEnded::PubSub),
            None => Err(SubscriptionEnded::Lagging),
        }
    }

    fn taken(&self, received: Received) -> Received {
        self.waiting.fetch_sub(received.message.bytes().len(), Ordering::Relaxed);
        received
    }
}

impl Stream for Subscription {
    type Item = Received;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Received>> {
        self.receiver.poll_recv(cx).map(|received| received.map(|received| self.taken(received)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.subscribers.unsubscribe(&self.topic, self.number);
    }
}

#[cfg(test)]
mod tests {
    use peerl_node::Term;

    use super::*;

    fn received(topic: &str, bytes: usize) -> Received {
        let message = RawTerm::encoded_from(&Term::binary(vec![0; bytes]));
        Received { topic: topic.to_owned(), message, dispatcher: Atom::from_static("d") }
    }

    #[tokio::test]
    async fn subscribers_of_a_topic_are_told_and_no_others() {
        let subscribers = Arc::new(Subscribers::default());
        let (mut first, mut second, mut other) =
            (subscribers.subscribe("a"), subscribers.subscribe("a"), subscribers.subscribe("b"));
        subscribers.dispatch(&received("a", 1));
        assert_eq!(first.recv().await.unwrap().topic, "a");
        assert_eq!(second.recv().await.unwrap().topic, "a");
        drop(second);
        subscribers.dispatch(&received("a", 1));
        subscribers.end();
        assert!(first.recv().await.is_ok());
        assert_eq!(first.recv().await.unwrap_err(), SubscriptionEnded::PubSub);
        assert_eq!(other.recv().await.unwrap_err(), SubscriptionEnded::PubSub);
        assert_eq!(subscribers.subscribe("a").recv().await.unwrap_err(), SubscriptionEnded::PubSub);
    }

    #[tokio::test]
    async fn who_does_not_receive_is_told_no_more() {
        let subscribers = Arc::new(Subscribers::default());
        let (mut many, mut large) = (subscribers.subscribe("many"), subscribers.subscribe("large"));
        for _ in 0..=MESSAGES {
            subscribers.dispatch(&received("many", 1));
        }
        for _ in 0..3 {
            subscribers.dispatch(&received("large", BYTES - 100));
        }
        assert!(subscribers.0.lock().by_topic.is_empty());
        for _ in 0..MESSAGES {
            many.recv().await.unwrap();
        }
        assert_eq!(many.recv().await.unwrap_err(), SubscriptionEnded::Lagging);
        large.recv().await.unwrap();
        assert_eq!(large.recv().await.unwrap_err(), SubscriptionEnded::Lagging);
    }
}
