//! `peerl_page`: checksums of web pages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use peerl_node::{CallContext, Exception, Lease, Node};
use peerl_term::{AtomError, Term};

use super::{Outcome, is_longer, text, while_connected};
use crate::page_client::{AddressRule, Addresses, Fetches, Network, PageClient, PageError, PageLimits, Redirects};

/// `peerl_page:checksum(Url)` and `peerl_page:checksum(Url, Options)`.
///
/// The URL is a binary or a charlist. The options are a map or a property list: `timeout` (milliseconds; default: a
/// minute), `max_bytes` (default: 16 GiB) and `redirects` (0 to 10; default: 10), and a rule about addresses that is
/// stricter than the worker's: `addresses` (`all` or `public`), `allow` (networks as binaries, allowed in addition to
/// the public addresses) and `deny` (denied networks).
///
/// The value is `#{url, status, sha256, bytes, ms, node}` for any status, with the sum in lower-case hexadecimal; or
/// `{error, #{url, reason, message, ms, node}}` if there was no complete answer, with the reason as an atom that
/// Erlang's sockets use.
pub(super) fn register(node: &Node, pages: &PageClient, fetches: &Arc<Fetches>) -> Result<(), AtomError> {
    let (name, client, places) = (Term::Atom(node.name().as_atom().clone()), pages.clone(), fetches.clone());
    node.export("peerl_page", "checksum", move |context: CallContext, (url,): (Term,)| {
        let page = checksum(client.clone(), places.begin(&context), name.clone(), url, Ok(Options::default()));
        async move { while_connected(&context, page).await }
    })?;
    let (name, client, places) = (Term::Atom(node.name().as_atom().clone()), pages.clone(), fetches.clone());
    node.export("peerl_page", "checksum", move |context: CallContext, (url, options): (Term, Term)| {
        let page = checksum(client.clone(), places.begin(&context), name.clone(), url, read(options));
        async move { while_connected(&context, page).await }
    })
}

/// The options of a fetch.
#[derive(Debug, Default)]
struct Options {
    limits: PageLimits,
    rule: AddressRule,
}

async fn checksum(
    client: PageClient,
    place: Result<Lease, PageError>,
    node: Term,
    url: Term,
    options: Result<Options, Exception>,
) -> Outcome {
    let (Options { limits, rule }, address) = (options?, super::url(&url)?);
    let client = if rule.restricts() { client.within(rule) } else { client };
    let start = Instant::now();
    let result = match (address, place) {
        (Ok(address), Ok(_place)) => client.checksum(&address, limits).await,
        (Err(error), _) | (_, Err(error)) => Err(error),
    };
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
    const NAME: usize = 100;
    Exception::bad_argument(2, &format!("field {}: {what}", key.shown(NAME)))
}

fn read(options: Term) -> Result<Options, Exception> {
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
    let mut read = Options::default();
    let mut addresses = None;
    for (key, value) in pairs {
        let number = || {
            let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
            number.ok_or_else(|| bad_option(&key, "its value is a number from 0 on"))
        };
        match key.as_atom().map(|key| key.as_str()) {
            Some("timeout") => read.limits.timeout = Duration::from_millis(number()?),
            Some("max_bytes") => read.limits.max_bytes = number()?,
            Some("redirects") => {
                let most = u8::try_from(number()?).ok().filter(|most| *most <= PageLimits::MAX_REDIRECTS);
                let most = most.ok_or_else(|| bad_option(&key, "at most 10 redirects are followed"))?;
                read.limits.redirects = Redirects::Follow(most);
            }
            Some("addresses") if value.is_atom("all") => addresses = Some(Addresses::All),
            Some("addresses") if value.is_atom("public") => addresses = Some(Addresses::Public),
            Some("addresses") => return Err(bad_option(&key, "its value is all or public")),
            Some("allow") => read.rule.allow = networks(&key, value)?,
            Some("deny") => read.rule.deny = networks(&key, value)?,
            _ => return Err(bad_option(&key, "unknown option")),
        }
    }
    let allows = !read.rule.allow.is_empty();
    read.rule.addresses = match addresses {
        Some(Addresses::All) if allows => {
            return Err(bad_option(&Term::atom("allow"), "all addresses are allowed anyway"));
        }
        None if allows => Addresses::Public,
        addresses => addresses.unwrap_or_default(),
    };
    Ok(read)
}

/// The most networks in a caller's rule.
const NETWORKS: usize = 256;

/// The longest text of a network.
const NETWORK: usize = 64;

fn networks(key: &Term, value: Term) -> Result<Vec<IpNet>, Exception> {
    let wrong = || bad_option(key, "its value is a list of at most 256 networks, such as <<\"10.0.0.0/8\">>");
    let Term::List(list) = value else { return Err(wrong()) };
    let texts: Vec<Term> = list.into_iter().take(NETWORKS + 1).collect();
    if texts.len() > NETWORKS {
        return Err(wrong());
    }
    let network = |term: &Term| {
        let text = if is_longer(term, NETWORK) { None } else { text(term) };
        let network = text.ok_or_else(wrong)?.parse::<Network>();
        network.map(|network| network.0).map_err(|error| bad_option(key, &error))
    };
    texts.iter().map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_server::PageServer;

    async fn sum_of(url: Term, options: Term) -> Outcome {
        let place = Arc::new(peerl_node::Share::unlimited()).lease(1).unwrap();
        checksum(PageClient::new(), Ok(place), Term::atom("w@h"), url, read(options)).await
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
    async fn an_address_that_is_too_long_is_not_repeated() {
        let most = "\u{1}".repeat(crate::page_client::MAX_URL);
        for url in [most.clone(), most + "x", "\u{1}".repeat(1 << 20)] {
            let value = sum_of(Term::from(url), Term::map([])).await.unwrap();
            let details = value.as_tuple().unwrap()[1].as_map().unwrap();
            assert!(details.get_atom("reason").unwrap().is_atom("badurl"), "{details:?}");
            let message = details.get_atom("message").unwrap().as_binary().unwrap();
            assert!(message.len() < 2000, "{}", message.len());
        }
    }

    #[tokio::test]
    async fn a_caller_can_be_stricter_than_the_worker() {
        let server = PageServer::start().await.unwrap();
        let networks = |text: &str| Term::list([Term::from(text)]);
        let public = || (Term::atom("addresses"), Term::atom("public"));
        for (options, is_fetched) in [
            (Term::map([public()]), false),
            (Term::map([public(), (Term::atom("allow"), networks("127.0.0.0/8"))]), true),
            (Term::map([(Term::atom("allow"), networks("127.0.0.1"))]), true),
            (Term::map([(Term::atom("allow"), networks("10.0.0.0/8"))]), false),
            (Term::map([(Term::atom("deny"), networks("127.0.0.0/8"))]), false),
            (Term::map([(Term::atom("deny"), networks("10.0.0.0/8"))]), true),
        ] {
            let value = sum_of(Term::from(server.url(3)), options.clone()).await.unwrap();
            assert_eq!(value.as_map().is_some(), is_fetched, "{options:?}: {value:?}");
            if let Some([_, details]) = value.as_tuple() {
                assert!(details.as_map().unwrap().get_atom("reason").unwrap().is_atom("refusedaddress"), "{value:?}");
            }
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
            Term::map([(Term::atom("addresses"), Term::atom("private"))]),
            Term::map([(Term::atom("allow"), Term::from("10.0.0.0/8"))]),
            Term::map([(Term::atom("allow"), Term::list([Term::from("example.org")]))]),
            Term::map([(Term::atom("deny"), Term::list([Term::from(10)]))]),
            Term::map([(Term::atom("deny"), Term::list(vec![Term::from("10.0.0.0/8"); NETWORKS + 1]))]),
            Term::map([(Term::atom("deny"), Term::list([Term::from("\u{1}".repeat(1 << 20))]))]),
            Term::list([
                Term::tuple([Term::atom("addresses"), Term::atom("all")]),
                Term::tuple([Term::atom("allow"), Term::list([Term::from("10.0.0.0/8")])]),
            ]),
        ] {
            let error = sum_of(url(), options).await.unwrap_err();
            assert!(error.reason.is_atom("badarg") && error.cause().unwrap().starts_with("argument 2: "), "{error:?}");
            assert!(error.cause().unwrap().len() < 200, "{error:?}");
        }
        let error = sum_of(Term::atom("url"), Term::map([])).await.unwrap_err();
        assert_eq!(error.cause(), Some("argument 1: a URL is a binary or a charlist"));
    }
}
