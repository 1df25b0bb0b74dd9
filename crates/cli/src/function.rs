//! The functions that a worker serves: those of every node ([`peerl_otp::functions`]), and page functions.

use std::sync::Arc;

use peerl_node::{CallContext, Exception, Node};
use peerl_term::{AtomError, Term};
use tokio::task::JoinSet;

use crate::page_client::{Fetches, MAX_URL, PageClient, PageError, on_behalf_of};

mod cluster_scrape;
mod page;

/// The result of a function.
type Outcome = Result<Term, Exception>;

/// Exports all functions of a worker at this node; pages are fetched with this client.
pub fn register(node: &Node, pages: &PageClient) -> Result<(), AtomError> {
    let fetches = Arc::new(Fetches::of(node));
    page::register(node, pages, &fetches)?;
    cluster_scrape::register(node, pages, &fetches)?;
    peerl_otp::functions::export(node)
}

/// What a fetch for this call gives, which ends with the connection of its caller: nobody keeps places of fetches without it. It has
/// a task of its own, because each step of a call with long arguments counts as long work.
async fn while_connected(context: &CallContext, fetch: impl Future<Output = Outcome> + Send + 'static) -> Outcome {
    let mut task = JoinSet::new();
    task.spawn(on_behalf_of(context.peer(), fetch));
    tokio::select! {
        outcome = task.join_next() => match outcome {
            Some(Ok(outcome)) => outcome,
            _ => Err(Exception::exit(Term::atom("failed"))),
        },
        () = context.disconnected() => Err(Exception::exit(Term::atom("noconnection"))),
    }
}

/// The URL that an argument tells. Of a text that is too long for one, no copy is made.
///
/// # Errors
/// If it is no text; inside, if it is too long.
fn url(argument: &Term) -> Result<Result<String, PageError>, Exception> {
    if is_longer(argument, MAX_URL) {
        return Ok(Err(PageError::LongUrl));
    }
    text(argument).map(Ok).ok_or_else(|| Exception::bad_argument(1, "a URL is a binary or a charlist"))
}

fn is_longer(term: &Term, most: usize) -> bool {
    match term {
        Term::Binary(bytes) => bytes.len() > most,
        Term::List(list) => list.len() > most,
        _ => false,
    }
}

/// The text of a binary or of a charlist.
fn text(term: &Term) -> Option<String> {
    match term {
        Term::Binary(bytes) => bytes.as_str().map(str::to_owned),
        Term::List(list) => list.to_text(),
        _ => None,
    }
}
