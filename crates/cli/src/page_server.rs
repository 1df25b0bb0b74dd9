//! The web site of `peerl demo`: generated pages, whose sums are known without fetching them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Frame, SizeHint};
use hyper::header::LOCATION;
use peerl_epmd::environment::loopback;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::http::{self, Lifetime, Limits, Server};
use crate::page_client::Sum;

/// A page server on a free port of 127.0.0.1; dropping it ends it.
pub struct PageServer {
    address: SocketAddr,
    _server: Server,
}

/// The kind of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A few kilobytes.
    Usual,
    /// A missing page.
    Missing,
    /// A redirect to the page with this number.
    Redirect(usize),
    /// A delayed page.
    Slow(Duration),
    /// A page of 20 MB.
    Large,
}

/// The expected result of fetching a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The status of the last answer.
    pub status: u16,
    /// The sum of its body.
    pub sha256: Sum,
    /// The size of its body.
    pub bytes: u64,
}

impl PageServer {
    /// The size of the large page.
    pub const LARGE: u64 = 20_000_000;

    /// The clients are this machine's workers, which keep their connections.
    const LIMITS: Limits = Limits {
        connections: 1024,
        head: Duration::from_secs(60),
        head_bytes: 16 << 10,
        stall: Duration::from_secs(60),
        lifetime: Lifetime::Unlimited,
        memory: 1 << 30,
    };

    /// Starts a server.
    ///
    /// # Errors
    /// If no port is available.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((loopback(), 0)).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/page/{number}", get(page)).fallback(no_page);
        Ok(Self { address, _server: http::serve(listener, router, Self::LIMITS) })
    }

    /// The URL of a page.
    pub fn url(&self, number: usize) -> String {
        format!("http://{}/page/{number}", self.address)
    }

    /// The kind of the page with this number. Of ten pages, one is missing, one is a redirect, one is slow, and one
    /// is large.
    pub fn kind(number: usize) -> Kind {
        match number {
            5 => Kind::Redirect(7),
            25 => Kind::Slow(Duration::from_millis(1500)),
            45 => Kind::Large,
            _ if number % 10 == 9 => Kind::Missing,
            _ => Kind::Usual,
        }
    }

    /// The expected result, computed without the network.
    pub fn expected(number: usize) -> Expected {
        let target = match Self::kind(number) {
            Kind::Redirect(target) => target,
            _ => number,
        };
        let mut content = Content::of(target);
        let mut hash = Sha256::new();
        let bytes = content.left;
        while let Some(chunk) = content.next_chunk() {
            hash.update(&chunk);
        }
        Expected { status: status(target).as_u16(), sha256: Sum(hash.finalize().into()), bytes }
    }
}

async fn page(Path(number): Path<String>) -> Response {
    let Ok(number) = number.parse() else { return no_page().await.into_response() };
    let kind = PageServer::kind(number);
    if let Kind::Slow(delay) = kind {
        tokio::time::sleep(delay).await;
    }
    match kind {
        Kind::Redirect(target) => (status(number), [(LOCATION, format!("/page/{target}"))]).into_response(),
        _ => (status(number), Body::new(Content::of(number))).into_response(),
    }
}

async fn no_page() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "no such page\n")
}

fn status(number: usize) -> StatusCode {
    match PageServer::kind(number) {
        Kind::Missing => StatusCode::NOT_FOUND,
        Kind::Redirect(_) => StatusCode::FOUND,
        _ => StatusCode::OK,
    }
}

/// A body that is generated while it is sent: a head, then a repeated line.
struct Content {
    head: Bytes,
    line: Bytes,
    left: u64,
}

impl Content {
    fn of(number: usize) -> Self {
        let head = match PageServer::kind(number) {
            Kind::Missing => return Self::text(&format!("there is no page {number}\n")),
            _ => format!("<!doctype html>\n<title>Page {number}</title>\n"),
        };
        let lines = format!("<p>This is line of page {number}; it says nothing else.</p>\n").repeat(256);
        let left = match PageServer::kind(number) {
            Kind::Large => PageServer::LARGE,
            _ => 2_000 + 137 * (number as u64 % 100),
        };
        Self { head: head.into(), line: lines.into(), left }
    }

    fn text(text: &str) -> Self {
        Self { head: text.to_owned().into(), line: Bytes::new(), left: text.len() as u64 }
    }

    fn next_chunk(&mut self) -> Option<Bytes> {
        let source = if self.head.is_empty() { self.line.clone() } else { std::mem::take(&mut self.head) };
        let length = source.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= length as u64;
        (length > 0).then(|| source.slice(..length))
    }
}

impl hyper::body::Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next_chunk().map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_client::{Page, PageClient, PageError, PageLimits, Redirects};

    #[tokio::test]
    async fn the_client_and_the_server_agree_on_every_kind_of_page() {
        let (server, client) = (PageServer::start().await.unwrap(), PageClient::new());
        for number in [0, 1, 5, 9, 25, 45, 199] {
            let expected = PageServer::expected(number);
            let page = client.checksum(&server.url(number), PageLimits::default()).await.unwrap();
            let Page { status, sha256, bytes, .. } = page;
            assert_eq!(Expected { status, sha256, bytes }, expected, "page {number}");
        }
        assert_eq!(PageServer::expected(45).bytes, PageServer::LARGE);
        assert_ne!(PageServer::expected(1).sha256, PageServer::expected(101).sha256);
    }

    #[tokio::test]
    async fn limits_and_failures_have_reasons() {
        let (server, client) = (PageServer::start().await.unwrap(), PageClient::new());
        let limits = PageLimits::default();
        let fetch = async |url: &str, limits| client.checksum(url, limits).await;
        let small = PageLimits { max_bytes: 1000, ..limits };
        assert!(matches!(fetch(&server.url(45), small).await, Err(PageError::TooLarge(1000))));
        let brief = PageLimits { timeout: Duration::from_millis(50), ..limits };
        assert!(matches!(fetch(&server.url(25), brief).await, Err(PageError::TimedOut(_))));
        let direct = PageLimits { redirects: Redirects::Follow(0), ..limits };
        assert!(matches!(fetch(&server.url(5), direct).await, Err(PageError::TooManyRedirects(0))));
        let kept = PageLimits { redirects: Redirects::Keep, ..limits };
        assert_eq!(fetch(&server.url(5), kept).await.unwrap().status, 302);
        for url in ["", "a page", "ftp://h/", "file:///etc/passwd", "http://"] {
            assert!(matches!(fetch(url, limits).await, Err(PageError::BadUrl(_))), "{url}");
        }
        let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = fetch(&format!("http://user:secret@{unused}/"), limits).await.unwrap_err();
        assert_eq!(error.reason(), "econnrefused");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert_eq!(fetch("http://no-such-host.invalid/", limits).await.unwrap_err().reason(), "nxdomain");
    }

    /// A server that sends this answer to each client, and closes.
    async fn answering(answer: &'static [u8]) -> SocketAddr {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn half_an_answer_is_no_page() {
        let client = PageClient::new();
        for (answer, reason) in [
            (&b""[..], "closed"),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf", "closed"),
            (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "closed"),
            (b"this is not HTTP\r\n\r\n", "badanswer"),
        ] {
            let address = answering(answer).await;
            let error = client.checksum(&format!("http://{address}/"), PageLimits::default()).await.unwrap_err();
            assert_eq!(error.reason(), reason, "{error}");
            let error = client.checksum(&format!("https://{address}/"), PageLimits::default()).await.unwrap_err();
            assert!(["tls_alert", "closed", "econnreset"].contains(&error.reason()), "{} {error}", error.reason());
        }
        let circle = answering(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await;
        let error = client.checksum(&format!("http://{circle}/"), PageLimits::default()).await.unwrap_err();
        assert!(matches!(error, PageError::TooManyRedirects(10)), "{error}");
    }
}
