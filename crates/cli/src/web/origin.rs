//! The page's address for its visitors, and the check that a request comes from it.

use std::str::FromStr;

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use reqwest::Url;

use super::session::Transport;

/// The scheme, host and port of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin(String);

impl Origin {
    /// Whether cookies can be restricted to HTTPS.
    pub(crate) fn transport(&self) -> Transport {
        if self.0.starts_with("https:") { Transport::Https } else { Transport::Http }
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not the address of a page, as https://checksums.example.org");
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_root = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !is_root || !url.username().is_empty() {
            return Err(wrong());
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// The header in which browsers state the origin of a request.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a changing request comes from a page of ours, according to the browser. Programs send no such headers.
pub(crate) fn is_same(headers: &HeaderMap, own: Option<&Origin>) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(HeaderValue::as_bytes);
    if text(&SEC_FETCH_SITE).is_some_and(|site| site != b"same-origin" && site != b"none") {
        return false;
    }
    match (text(&ORIGIN), own) {
        (None, _) => true,
        (Some(origin), Some(own)) => origin == own.0.as_bytes(),
        // Behind a balancer that terminates TLS, the scheme differs.
        (Some(origin), None) => {
            let host = [&b"http://"[..], b"https://"].iter().find_map(|scheme| origin.strip_prefix(*scheme));
            host.is_some() && host == text(&HOST)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn requests_of_other_sites_are_told_apart() {
        let own: Origin = "https://sums.example".parse().unwrap();
        for (pairs, without, with) in [
            (&[][..], true, true),
            (&[("origin", "http://a:80"), ("host", "a:80")], true, false),
            (&[("origin", "https://sums.example"), ("host", "10.0.0.7:80")], false, true),
            (&[("origin", "https://sums.example"), ("host", "sums.example")], true, true),
            (&[("origin", "https://sums.example.evil"), ("host", "sums.example")], false, false),
            (&[("origin", "null"), ("host", "a")], false, false),
            (&[("origin", "http://evil"), ("host", "a")], false, false),
            (&[("sec-fetch-site", "cross-site")], false, false),
            (&[("sec-fetch-site", "same-site")], false, false),
            (&[("sec-fetch-site", "same-origin")], true, true),
        ] {
            assert_eq!(is_same(&headers(pairs), None), without, "{pairs:?}");
            assert_eq!(is_same(&headers(pairs), Some(&own)), with, "{pairs:?}");
        }
    }

    #[test]
    fn an_origin_has_no_path() {
        assert_eq!("https://Sums.example:443/".parse::<Origin>().unwrap().0, "https://sums.example");
        assert_eq!("http://h:8080".parse::<Origin>().unwrap().transport(), Transport::Http);
        for wrong in ["sums.example", "ftp://a", "https://a/path", "https://a/?x", "https://u@a/", ""] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
