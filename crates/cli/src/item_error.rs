//! The errors of items, in the words of a single call's errors.

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, Fuse, FuturesUnordered};
use peerl_node::{CallError, NodeName};
use peerl_term::Term;
use peerl_term::text::Syntax;

use crate::answer::Answer;
use crate::call_errors::CallErrors;

/// Why an item has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The message.
    pub message: String,
    /// Whether no node has answered, so that the error is not about the item.
    pub is_unanswered: bool,
}

impl ItemError {
    /// The error without a query to the node.
    pub fn unasked(error: CallError, called: &str, peer: Option<&NodeName>) -> Self {
        let is_unanswered = is_unanswered(&error);
        let peer = peer.map_or("the node", NodeName::as_str);
        let message = crate::explain::call(error, called, peer, Syntax::Erlang).message().to_owned();
        Self { message, is_unanswered }
    }
}

/// Explains the errors; values pass through at once.
pub fn explained(
    answers: BoxStream<'static, Answer<Result<Term, CallError>>>,
    errors: CallErrors,
) -> BoxStream<'static, Answer<Result<Term, ItemError>>> {
    let explained = Explained { answers: answers.fuse(), asked: FuturesUnordered::new(), errors: Arc::new(errors) };
    stream::unfold(explained, |mut explained| async move { Some((explained.next().await?, explained)) }).boxed()
}

struct Explained {
    answers: Fuse<BoxStream<'static, Answer<Result<Term, CallError>>>>,
    asked: FuturesUnordered<BoxFuture<'static, Answer<Result<Term, ItemError>>>>,
    errors: Arc<CallErrors>,
}

impl Explained {
    /// How many errors are queried at a time.
    const ASKED: usize = 16;

    async fn next(&mut self) -> Option<Answer<Result<Term, ItemError>>> {
        loop {
            let may_take = !self.answers.is_done() && self.asked.len() < Self::ASKED;
            let answer = tokio::select! {
                biased;
                Some(answer) = self.asked.next(), if !self.asked.is_empty() => return Some(answer),
                answer = self.answers.next(), if may_take => answer,
                else => return None,
            };
            let Some(Answer { index, item, node, elapsed, result }) = answer else { continue };
            let error = match result {
                Ok(value) => return Some(Answer { index, item, node, elapsed, result: Ok(value) }),
                Err(error) => error,
            };
            let errors = self.errors.clone();
            self.asked.push(Box::pin(async move {
                let is_unanswered = is_unanswered(&error);
                let message = errors.explain(node.as_ref(), error).await.message().to_owned();
                Answer { index, item, node, elapsed, result: Err(ItemError { message, is_unanswered }) }
            }));
        }
    }
}

/// Whether no node has answered.
fn is_unanswered(error: &CallError) -> bool {
    use CallError::{Connect, Disconnected, NoRex, NobodyToAsk, NodeDown, NotSpawned};
    matches!(error, Connect(_) | NodeDown | Disconnected(_) | NotSpawned(_) | NoRex | NobodyToAsk)
}
