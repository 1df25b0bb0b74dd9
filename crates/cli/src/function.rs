//! The functions that a worker serves: those of every node ([`peerl_otp::functions`]), and page functions.

use std::sync::Arc;

use peerl_node::{CallContext, Exception, Node};
use peerl_term::{AtomError, Term};

use crate::page_client::{Fetches, PageClient};

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

/// What a fetch for this call gives, which ends with the connection of its caller: nobody keeps places of fetches without it.
async fn while_connected(context: &CallContext, fetch: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = fetch => outcome,
        () = context.disconnected() => Err(Exception::exit(Term::atom("noconnection"))),
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
