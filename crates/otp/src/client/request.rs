use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, TryFutureExt};
use peerl_node::{CallError, Term};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A call that has been made and whose answer is awaited later: what `gen_server:send_request/2` and `erpc:send_request/4` give.
///
/// Awaiting it gives the answer. Dropping it abandons the call.
#[must_use = "a request is abandoned when this is dropped"]
#[derive(Debug)]
pub struct Request<T> {
    answer: JoinHandle<Result<T, CallError>>,
}

impl<T: Send + 'static> Request<T> {
    /// Makes a call now: of a function ([`Node::call`](peerl_node::Node::call)) or of a server
    /// ([`ServerRef::call`](crate::ServerRef::call)).
    pub fn new<C>(call: C) -> Self
    where
        C: IntoFuture<Output = Result<T, CallError>>,
        C::IntoFuture: Send + 'static,
    {
        Self { answer: tokio::spawn(call.into_future()) }
    }

    /// The answer, if it has come: `check_response/2`. It is given once.
    pub fn check(&mut self) -> Option<Result<T, CallError>> {
        if self.answer.is_finished() { self.now_or_never() } else { None }
    }

    /// Waits for the answer until this instant: `wait_response/2`. After that, one can wait again.
    pub async fn wait_until(&mut self, deadline: Instant) -> Option<Result<T, CallError>> {
        timeout_at(deadline, self).await.ok()
    }
}

impl<T> Future for Request<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.answer.poll_unpin(cx));
        // The call has panicked, or the runtime ends.
        Poll::Ready(answer.unwrap_or_else(|_| Err(CallError::Signal(Term::atom("killed")))))
    }
}

impl<T> Drop for Request<T> {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

/// Requests with labels, whose answers are taken as they come: a collection of request ids of `gen_server` or `erpc`.
///
/// ```no_run
/// use peerl_node::{Mfa, Node, NodeName};
/// use peerl_otp::{Request, Requests};
///
/// # async fn example(node: &Node, peers: &[NodeName]) -> Result<(), Box<dyn std::error::Error>> {
/// let mut requests = Requests::new();
/// for peer in peers {
///     requests.add(peer, Request::new(node.call::<u64>(peer, Mfa::new("erlang", "memory", ("total",))?)));
/// }
/// while let Some((peer, answer)) = requests.next().await {
///     println!("{peer}: {answer:?}");
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Requests<L, T> {
    waiting: FuturesUnordered<Labelled<L, T>>,
}

#[derive(Debug)]
struct Labelled<L, T> {
    label: Option<L>,
    request: Request<T>,
}

impl<L: Unpin, T> Future for Labelled<L, T> {
    type Output = Option<(L, Result<T, CallError>)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.request.poll_unpin(cx));
        Poll::Ready(self.label.take().map(|label| (label, answer)))
    }
}

impl<L: Unpin, T> Default for Requests<L, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Unpin, T> Requests<L, T> {
    /// None.
    pub fn new() -> Self {
        Self { waiting: FuturesUnordered::new() }
    }

    /// Adds a request.
    pub fn add(&mut self, label: L, request: Request<T>) {
        self.waiting.push(Labelled { label: Some(label), request });
    }

    /// The number of requests whose answers have not been taken.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether all answers have been taken.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next answer that comes; nothing, if all have been taken.
    pub async fn next(&mut self) -> Option<(L, Result<T, CallError>)> {
        self.waiting.next().await.flatten()
    }

    /// The next answer that comes until this instant.
    ///
    /// # Errors
    /// If none has come. The requests stay.
    pub async fn next_until(&mut self, deadline: Instant) -> Result<Option<(L, Result<T, CallError>)>, Elapsed> {
        timeout_at(deadline, self.next()).map_err(|_| Elapsed).await
    }
}

/// No answer has come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer has come in time")]
pub struct Elapsed;
