//! `peerl_page`: checksums of web pages.

use std::time::{Duration, Instant};

use peerl_node::{Exception, Node};
use peerl_term::text::Syntax;
use peerl_term::{AtomError, Term};

use super::{Outcome, node_atom, text};
use crate::page_client::{PageClient, PageLimits, Redirects};

/// `peerl_page:checksum(Url)` and `peerl_page:checksum(Url, Options)`.
///
/// The URL is a binary or a charlist. The options are a map or a property list of `timeout` (milliseconds; a minute
/// without it), `max_bytes` (16 GiB) and `redirects` (0 to 10; 10).
///
/// The value is `#{url, status, sha256, bytes, ms, node}` whatever the status is, with the sum in lower-case
/// hexadecimal; or `{error, #{url, reason, message, ms, node}}` if there was no whole answer, with the reason as an
/// atom in the words of Erlang's sockets.
pub(super) fn register(node: &Node, pages: &PageClient) -> Result<(), AtomError> {
    let (name, client) = (node_atom(node), pages.clone());
    node.export("peerl_page", "checksum", 1, move |(url,): (Term,)| {
        checksum(client.clone(), name.clone(), url, Ok(PageLimits::default()))
    })?;
    let (name, client) = (node_atom(node), pages.clone());
    node.export("peerl_page", "checksum", 2, move |(url, options): (Term, Term)| {
        checksum(client.clone(), name.clone(), url, limits(options))
    })
}

async fn checksum(client: PageClient, node: Term, url: Term, limits: Result<PageLimits, Exception>) -> Outcome {
    let (limits, address) =
        (limits?, text(&url).ok_or_else(|| Exception::bad_argument(1, "a URL is a binary or a charlist"))?);
    let start = Instant::now();
    let result = client.checksum(&address, limits).await;
    let of_all = [
        (Term::atom("url"), url),
        (Term::atom("node"), node),
        (Term::atom("ms"), Term::from(start.elapsed().as_millis() as u64)),
    ];
    Ok(match result {
        Ok(page) => Term::map(of_all.into_iter().chain([
            (Term::atom("status"), Term::from(page.status)),
            (Term::atom("sha256"), Term::from(page.sha256.to_string())),
            (Term::atom("bytes"), Term::from(page.bytes)),
        ])),
        Err(error) => {
            let details = of_all.into_iter().chain([
                (Term::atom("reason"), Term::atom(error.reason())),
                (Term::atom("message"), Term::from(error.to_string())),
            ]);
            Term::tuple([Term::atom("error"), Term::map(details)])
        }
    })
}

fn bad_option(key: &Term, what: &str) -> Exception {
    Exception::bad_argument(2, &format!("field {}: {what}", Syntax::Erlang.display(key)))
}

fn limits(options: Term) -> Result<PageLimits, Exception> {
    let mut limits = PageLimits::default();
    let pairs: Vec<(Term, Term)> = match options {
        Term::Map(map) => map.into_pairs().collect(),
        Term::List(list) => list
            .into_iter()
            .map(|pair| match pair.as_tuple() {
                Some([key, value]) => Ok((key.clone(), value.clone())),
                _ => Err(bad_option(&pair, "an option is a pair of a key and a value")),
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(Exception::bad_argument(2, "the options are a map or a property list")),
    };
    for (key, value) in pairs {
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.ok_or_else(|| bad_option(&key, "its value is a number from 0 on"))?;
        match key.as_atom().map(|key| key.as_str()) {
            Some("timeout") => limits.timeout = Duration::from_millis(number),
            Some("max_bytes") => limits.max_bytes = number,
            Some("redirects") => {
                let most = u8::try_from(number).ok().filter(|most| *most <= PageLimits::MAX_REDIRECTS);
                let most = most.ok_or_else(|| bad_option(&key, "at most 10 redirects are followed"))?;
                limits.redirects = Redirects::Follow(most);
            }
            _ => return Err(bad_option(&key, "there is no such option")),
        }
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_server::PageServer;

    async fn sum_of(url: Term, options: Term) -> Outcome {
        checksum(PageClient::new(), Term::atom("w@h"), url, limits(options)).await
    }

    #[tokio::test]
    async fn a_page_is_a_map() {
        let server = PageServer::start().await.unwrap();
        for (number, url) in [(3, Term::from(server.url(3))), (9, Term::charlist(&server.url(9)))] {
            let value = sum_of(url.clone(), Term::map([])).await.unwrap();
            let get = |key| value.as_map().unwrap().get_atom(key).unwrap().clone();
            let expected = PageServer::expected(number);
            assert_eq!(get("url"), url);
            assert_eq!(get("status"), Term::from(expected.status));
            assert_eq!(get("sha256"), Term::from(expected.sha256.to_string()));
            assert_eq!(get("bytes"), Term::from(expected.bytes));
            assert_eq!(get("node"), Term::atom("w@h"));
            assert!(get("ms").as_integer().unwrap() >= 0);
        }
    }

    #[tokio::test]
    async fn no_page_is_an_error_tuple() {
        let server = PageServer::start().await.unwrap();
        let pair = |key, value: u64| Term::tuple([Term::atom(key), Term::from(value)]);
        for (number, options, reason) in [
            (25, Term::map([(Term::atom("timeout"), Term::from(50))]), "timeout"),
            (45, Term::list([pair("max_bytes", 1000)]), "toolarge"),
            (5, Term::list([pair("redirects", 0), pair("timeout", 9999)]), "toomanyredirects"),
        ] {
            let value = sum_of(Term::from(server.url(number)), options).await.unwrap();
            let [tag, details] = value.as_tuple().unwrap() else { panic!("a pair") };
            assert!(tag.is_atom("error"));
            assert!(details.as_map().unwrap().get_atom("reason").unwrap().is_atom(reason));
        }
    }

    #[tokio::test]
    async fn other_arguments_are_bad() {
        let url = || Term::from("http://127.0.0.1/");
        for options in [
            Term::atom("fast"),
            Term::map([(Term::atom("timeout"), Term::from(-1))]),
            Term::map([(Term::atom("redirects"), Term::from(11))]),
            Term::map([(Term::atom("speed"), Term::from(1))]),
            Term::list([Term::atom("timeout")]),
        ] {
            let error = sum_of(url(), options).await.unwrap_err();
            assert!(error.reason.is_atom("badarg") && error.cause().unwrap().starts_with("argument 2: "), "{error:?}");
        }
        let error = sum_of(Term::atom("url"), Term::map([])).await.unwrap_err();
        assert_eq!(error.cause(), Some("argument 1: a URL is a binary or a charlist"));
    }
}
