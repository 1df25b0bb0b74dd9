//! Fetches pages and hashes them in streaming mode.

mod address_rule;
pub use address_rule::{AddressRule, Addresses, Allow, Network, Refusal};
mod fetches;
pub use fetches::Fetches;
mod clients;
mod guard;
mod kept_hosts;
mod lookups;
pub use lookups::on_behalf_of;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use reqwest::dns::Resolve;
use reqwest::header::LOCATION;
use reqwest::{ClientBuilder, Response, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::explain::os_words;
use crate::output::{MAX_CELL, shortened};
use clients::{Afterwards, Clients};
use guard::{Guard, GuardedNames, RefusedAddress, SystemNames};
use kept_hosts::{KeptHost, KeptHosts};

/// The longest URL, in bytes: what the HTTP client takes.
pub const MAX_URL: usize = u16::MAX as usize - 1;

/// Fetches pages by HTTP and HTTPS. Clones share their connections; the setup happens with the first page.
///
/// Proxies come from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`), certificates from the operating
/// system (or `SSL_CERT_FILE`). Bodies are hashed as sent: the client requests no compression.
///
/// A client with an address rule uses no proxy, because the proxy would choose the address.
#[derive(Clone, Default)]
pub struct PageClient {
    guard: Guard,
    /// The name resolver, if not the system's.
    names: Option<Arc<dyn Resolve>>,
    http: Arc<Clients>,
    hosts: KeptHosts,
    stricter: Arc<Mutex<VecDeque<PageClient>>>,
}

/// The limits of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    /// The time for all of it.
    pub timeout: Duration,
    /// The largest body.
    pub max_bytes: u64,
    /// The redirects that are followed.
    pub redirects: Redirects,
}

/// The reaction to a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Follow it, up to this number of times; one more is an error.
    Follow(u8),
    /// Return it.
    Keep,
}

impl PageLimits {
    /// The most redirects that can be followed.
    pub const MAX_REDIRECTS: u8 = 10;
}

impl Default for PageLimits {
    /// A minute, 16 GiB, and ten redirects.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            max_bytes: 16 << 30,
            redirects: Redirects::Follow(Self::MAX_REDIRECTS),
        }
    }
}

/// A completely fetched page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The HTTP status of the last answer.
    pub status: u16,
    /// The SHA-256 sum of its body.
    pub sha256: Sum,
    /// The size of its body.
    pub bytes: u64,
    /// The duration.
    pub elapsed: Duration,
}

/// A SHA-256 sum, formatted in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sum(pub [u8; 32]);

impl Sum {
    /// The sum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The sum in upper-case hexadecimal, like Elixir's `Base.encode16/1`.
    pub fn to_upper_hex(&self) -> String {
        self.to_string().to_ascii_uppercase()
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PageClient {
    /// The most callers' rules whose connections are kept.
    const RULES: usize = 8;

    /// Makes a client that fetches from all addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a client with an address rule.
    pub fn with_rule(rule: AddressRule) -> Self {
        Self { guard: Guard::new(rule), ..Self::default() }
    }

    /// The client for a caller with an additional rule of its own. It does not share connections with others, because
    /// those may go to addresses that this rule denies.
    pub fn within(&self, rule: AddressRule) -> Self {
        let guard = self.guard.within(rule);
        let mut stricter = self.stricter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = stricter.iter().find(|client| client.guard == guard) {
            return known.clone();
        }
        let (names, hosts) = (self.names.clone(), self.hosts.clone());
        let client = Self { guard, names, hosts, ..Self::default() };
        if stricter.len() >= Self::RULES {
            stricter.pop_front();
        }
        stricter.push_back(client.clone());
        client
    }

    /// Fetches a page and returns the sum of its body, for any status. The body is never held in memory.
    ///
    /// # Errors
    /// If the URL is not an HTTP or HTTPS URL, the server does not send a complete body, or a limit is reached.
    pub async fn checksum(&self, url: &str, limits: PageLimits) -> Result<Page, PageError> {
        let start = Instant::now();
        let url = parse(url)?;
        let work = async {
            let (response, _kept) = self.get(url, limits.redirects).await?;
            let status = response.status().as_u16();
            let (sha256, bytes) = hash_body(response, limits.max_bytes).await?;
            Ok(Page { status, sha256, bytes, elapsed: start.elapsed() })
        };
        match tokio::time::timeout(limits.timeout, work).await {
            Ok(result) => result,
            Err(_) => Err(PageError::TimedOut(limits.timeout)),
        }
    }

    /// The response, and the place of its host if its connection is kept.
    async fn get(&self, mut url: Url, redirects: Redirects) -> Result<(Response, Option<KeptHost>), PageError> {
        let mut followed = 0;
        loop {
            self.guard.check_literal(&url)?;
            let kept = self.hosts.begin(self.http.number, &url, Instant::now());
            let afterwards = if kept.is_some() { Afterwards::Keep } else { Afterwards::Close };
            let client = self.http.get(afterwards, |builder| self.adapt(builder)).map_err(PageError::transport)?;
            let response = client.get(url.clone()).send().await.map_err(PageError::transport)?;
            let location = match redirects {
                Redirects::Follow(_) if response.status().is_redirection() => response.headers().get(LOCATION),
                _ => None,
            };
            let (Redirects::Follow(most), Some(location)) = (redirects, location) else {
                return Ok((response, kept));
            };
            if followed == most {
                return Err(PageError::TooManyRedirects(most));
            }
            followed += 1;
            if location.len() > MAX_URL {
                return Err(PageError::LongUrl);
            }
            let target = String::from_utf8_lossy(location.as_bytes()).into_owned();
            let next = url.join(&target).map_err(|_| PageError::bad_url(&target))?;
            url = checked(next, &target)?;
        }
    }

    fn adapt(&self, builder: ClientBuilder) -> ClientBuilder {
        let names = self.names.clone().unwrap_or_else(|| Arc::new(SystemNames));
        if self.names.is_none() && !self.guard.restricts() {
            return builder.dns_resolver(names);
        }
        builder.no_proxy().dns_resolver(Arc::new(GuardedNames { guard: self.guard.clone(), names }))
    }
}

async fn hash_body(mut response: Response, max_bytes: u64) -> Result<(Sum, u64), PageError> {
    // If the announced size exceeds the limit, do not read the body.
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(PageError::TooLarge(max_bytes));
    }
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    while let Some(chunk) = response.chunk().await.map_err(PageError::transport)? {
        bytes += chunk.len() as u64;
        if bytes > max_bytes {
            return Err(PageError::TooLarge(max_bytes));
        }
        hash.update(&chunk);
    }
    Ok((Sum(hash.finalize().into()), bytes))
}

fn parse(text: &str) -> Result<Url, PageError> {
    if text.len() > MAX_URL {
        return Err(PageError::LongUrl);
    }
    let url = Url::parse(text.trim()).map_err(|_| PageError::bad_url(text))?;
    checked(url, text)
}

fn checked(url: Url, text: &str) -> Result<Url, PageError> {
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(PageError::bad_url(text)),
    }
}

/// Why a page could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The text, of which this is the beginning, is not a URL, or has another scheme.
    #[error("not an http or https URL: {0:?}")]
    BadUrl(String),
    /// The text is too long for a URL.
    #[error("longer than {MAX_URL} bytes, the most of a URL")]
    LongUrl,
    /// No complete answer arrived in time.
    #[error("no whole answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
    /// The body exceeds the limit.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// A peer has too many fetches under way.
    #[error(
        "too many pages are fetched at a time: {most} for all peers, and for each one as many as it leaves for others"
    )]
    TooMany {
        /// The most for all.
        most: usize,
    },
    /// There were too many redirects.
    #[error("more than {0} redirects")]
    TooManyRedirects(u8),
    /// A rule denies the address of the server.
    #[error("the address {address} is refused by {whose}: {refusal}")]
    RefusedAddress {
        /// The address.
        address: IpAddr,
        /// The owner of the rule, in words.
        whose: &'static str,
        /// The reason.
        refusal: Refusal,
    },
    /// The exchange with the server failed.
    #[error("{message}")]
    Transport {
        /// The reason, as Erlang's sockets name it.
        reason: &'static str,
        /// The failed operation.
        message: String,
    },
}

impl PageError {
    /// The reason as an atom: the name that Erlang's sockets use, if they have one (`econnrefused`, `nxdomain`,
    /// `timeout`, `closed` …).
    pub fn reason(&self) -> &'static str {
        match self {
            Self::BadUrl(_) | Self::LongUrl => "badurl",
            Self::TimedOut(_) => "timeout",
            Self::TooLarge(_) => "toolarge",
            Self::TooMany { .. } => "system_limit",
            Self::TooManyRedirects(_) => "toomanyredirects",
            Self::RefusedAddress { .. } => "refusedaddress",
            Self::Transport { reason, .. } => reason,
        }
    }

    fn bad_url(text: &str) -> Self {
        Self::BadUrl(shortened(text, MAX_CELL))
    }

    fn transport(error: reqwest::Error) -> Self {
        if let Some(refused) = causes(&error).find_map(|cause| cause.downcast_ref::<RefusedAddress>()) {
            return refused.clone().into();
        }
        let reason = reason(&error);
        // The outer errors only say that sending failed, and repeat the URL, which may contain a password.
        let innermost =
            causes(&error).last().map_or_else(String::new, |cause| match cause.downcast_ref::<io::Error>() {
                Some(error) => os_words(error),
                None => cause.to_string(),
            });
        let message = match reason {
            "nxdomain" => format!("the host has no address ({innermost})"),
            "timeout" => "the server does not answer".to_owned(),
            "tls_alert" => format!("no trusted TLS connection ({innermost})"),
            _ => innermost,
        };
        Self::Transport { reason, message }
    }
}

impl From<RefusedAddress> for PageError {
    fn from(RefusedAddress { address, whose, refusal }: RefusedAddress) -> Self {
        Self::RefusedAddress { address, whose, refusal }
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn error::Error + 'static)), |error| {
        match error.downcast_ref::<io::Error>() {
            Some(io) if io.get_ref().is_some() => io.get_ref().map(|inner| inner as &(dyn error::Error + 'static)),
            _ => error.source(),
        }
    })
}

fn reason(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        return "timeout";
    }
    let mut reason = if error.is_body() || error.is_decode() { "closed" } else { "failed" };
    for cause in causes(error) {
        if cause.is::<rustls::Error>() {
            return "tls_alert";
        }
        // The type of the resolver's error is private.
        if cause.to_string().starts_with("dns error") {
            return "nxdomain";
        }
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>() {
            reason = if hyper.is_parse() { "badanswer" } else { "closed" };
        }
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            reason = match io.kind() {
                io::ErrorKind::ConnectionRefused => "econnrefused",
                io::ErrorKind::ConnectionReset => "econnreset",
                io::ErrorKind::ConnectionAborted => "econnaborted",
                io::ErrorKind::HostUnreachable => "ehostunreach",
                io::ErrorKind::NetworkUnreachable => "enetunreach",
                io::ErrorKind::AddrNotAvailable => "eaddrnotavail",
                io::ErrorKind::TimedOut => "etimedout",
                io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "closed",
                _ => reason,
            };
        }
    }
    reason
}

#[cfg(test)]
mod tests;
