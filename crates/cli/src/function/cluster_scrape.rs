//! `ClusterScrape.PageController.fetch/1`: a function of an Elixir application that peerl's workers can replace.

use std::sync::Arc;
use std::time::Duration;

use peerl_node::{CallContext, Lease, Node};
use peerl_term::{AtomError, Term};

use super::{Outcome, while_connected};
use crate::page_client::{Fetches, PageClient, PageError, PageLimits, Redirects};

/// `'Elixir.ClusterScrape.PageController':fetch(Url)`, with the values of the original: `{ok, Url, Sum}` with the sum
/// in upper-case hexadecimal if the status is 200, `{error, Url, <<"URL Not Found">>}` if it is 404, `{error, Url,
/// Reason}` with an atom if the page could not be fetched, else `{error, Url, <<"Other failure">>}`. Like the
/// original, it follows no redirects. The URL is returned unchanged.
pub(super) fn register(node: &Node, pages: &PageClient, fetches: &Arc<Fetches>) -> Result<(), AtomError> {
    let (client, fetches) = (pages.clone(), fetches.clone());
    node.export("Elixir.ClusterScrape.PageController", "fetch", move |context: CallContext, (url,): (Term,)| {
        let page = fetch(client.clone(), fetches.begin(&context), url);
        async move { while_connected(&context, page).await }
    })
}

async fn fetch(client: PageClient, place: Result<Lease, PageError>, url: Term) -> Outcome {
    let address = super::url(&url)?;
    let limits = PageLimits { timeout: Duration::from_secs(30), redirects: Redirects::Keep, ..PageLimits::default() };
    let fetched = match (address, place) {
        (Ok(address), Ok(_place)) => client.checksum(&address, limits).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
    let (tag, what) = match fetched {
        Ok(page) if page.status == 200 => ("ok", Term::from(page.sha256.to_upper_hex())),
        Ok(page) if page.status == 404 => ("error", Term::from("URL Not Found")),
        Ok(_) => ("error", Term::from("Other failure")),
        // The original's error for a URL with an unknown scheme.
        Err(PageError::BadUrl(_) | PageError::LongUrl) => ("error", Term::atom("nxdomain")),
        Err(error) => ("error", Term::atom(error.reason())),
    };
    Ok(Term::tuple([Term::atom(tag), url, what]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_server::PageServer;

    fn place() -> Result<Lease, PageError> {
        Arc::new(peerl_node::Share::unlimited()).lease(1).ok_or(PageError::TooMany { most: 0 })
    }

    #[tokio::test]
    async fn answers_as_the_original() {
        let server = PageServer::start().await.unwrap();
        let sum = Term::from(PageServer::expected(3).sha256.to_upper_hex());
        for (url, tag, what) in [
            (Term::from(server.url(3)), "ok", sum.clone()),
            (Term::charlist(&server.url(3)), "ok", sum),
            (Term::from(server.url(9)), "error", Term::from("URL Not Found")),
            (Term::from(server.url(5)), "error", Term::from("Other failure")),
            (Term::from("http://no-such-host.invalid/"), "error", Term::atom("nxdomain")),
        ] {
            let value = fetch(PageClient::new(), place(), url.clone()).await;
            assert_eq!(value, Ok(Term::tuple([Term::atom(tag), url, what])));
        }
        assert!(fetch(PageClient::new(), place(), Term::from(1)).await.unwrap_err().reason.is_atom("badarg"));
    }
}
