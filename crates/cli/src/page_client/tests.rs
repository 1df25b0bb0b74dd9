use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::dns::{Addrs, Name, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server on 127.0.0.1 that sends this answer on each connection, and counts them.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn answering(answer: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, connections) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let (answer, count) = (answer.into(), connections.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, connections }
    }

    async fn with_a_page() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\npage").await
    }

    async fn pointing_to(location: &str) -> Self {
        let head = "HTTP/1.1 302 Found\r\ncontent-length: 0\r\nconnection: close\r\n";
        Self::answering(format!("{head}location: {location}\r\n\r\n")).await
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A resolver whose queries get these answers in turn; the last one is repeated.
struct Names {
    answers: Vec<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let question = self.asked.fetch_add(1, Ordering::Relaxed).min(self.answers.len() - 1);
        let addresses: Vec<SocketAddr> = self.answers[question].iter().map(|address| (*address, 0).into()).collect();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

fn client(allow: &[&str], answers: &[&[&str]]) -> PageClient {
    let allow: Vec<Allow> = allow.iter().map(|text| text.parse().unwrap()).collect();
    let answers =
        answers.iter().map(|answer| answer.iter().map(|address| address.parse().unwrap()).collect()).collect();
    let names = Names { answers, asked: AtomicUsize::new(0) };
    PageClient { names: Some(Arc::new(names)), ..PageClient::with_rule(AddressRule::of_options(&allow, &[])) }
}

async fn fetch(client: &PageClient, url: &str) -> Result<Page, PageError> {
    client.checksum(url, PageLimits::default()).await
}

/// The denied address.
#[track_caller]
fn refused(result: Result<Page, PageError>) -> String {
    match result {
        Err(error @ PageError::RefusedAddress { address, .. }) => {
            assert!(error.to_string().contains(&address.to_string()) && error.reason() == "refusedaddress", "{error}");
            address.to_string()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_address_in_a_url_is_refused_in_whatever_notation() {
    let server = Server::with_a_page().await;
    let client = PageClient::with_rule(AddressRule::of_options(&[Allow::Public], &[]));
    for host in [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f000001",
        "0x7F.0.0.1",
        "0x7f.1",
        "%31%32%37.0.0.1",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.1",
        "user:password@127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:7f00:0001]",
    ] {
        let address = refused(fetch(&client, &format!("http://{host}:{}/", server.port)).await);
        assert!(["127.0.0.1", "::ffff:127.0.0.1"].contains(&address.as_str()), "{host}: {address}");
    }
    for (host, address) in [
        ("0", "0.0.0.0"),
        ("[::]", "::"),
        ("[::1]", "::1"),
        ("[::127.0.0.1]", "::7f00:1"),
        ("[64:ff9b::127.0.0.1]", "64:ff9b::7f00:1"),
        ("[fe80::1]", "fe80::1"),
        ("[fd00:ec2::254]", "fd00:ec2::254"),
        ("2852039166", "169.254.169.254"),
        ("169.254.170.2", "169.254.170.2"),
        ("100.100.100.200", "100.100.100.200"),
    ] {
        assert_eq!(refused(fetch(&client, &format!("http://{host}:{}/", server.port)).await), address);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_name_is_refused_by_its_addresses() {
    let server = Server::with_a_page().await;
    let url = |host: &str| format!("http://{host}:{}/", server.port);
    let public = AddressRule::of_options(&[Allow::Public], &[]);
    let address = refused(fetch(&PageClient::with_rule(public), &url("localhost")).await);
    assert!(["127.0.0.1", "::1"].contains(&address.as_str()), "{address}");
    assert_eq!(refused(fetch(&client(&["public"], &[&["127.0.0.1"]]), &url("inner.example")).await), "127.0.0.1");
    assert_eq!(
        refused(fetch(&client(&["public"], &[&["::ffff:127.0.0.1"]]), &url("inner.example")).await),
        "::ffff:127.0.0.1"
    );
    assert_eq!(server.connections(), 0);
    // Of several addresses, the allowed ones are used.
    let some = client(&["127.0.0.1"], &[&["127.0.0.2", "10.0.0.1", "127.0.0.1"]]);
    assert_eq!(fetch(&some, &url("inner.example")).await.unwrap().bytes, 4);
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_refused_from_then_on() {
    let server = Server::with_a_page().await;
    let client = client(&["127.0.0.1"], &[&["127.0.0.1"], &["169.254.169.254"]]);
    let url = format!("http://rebinding.example:{}/", server.port);
    assert_eq!(fetch(&client, &url).await.unwrap().status, 200);
    assert_eq!(refused(fetch(&client, &url).await), "169.254.169.254");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn redirects_are_checked_as_the_first_address_is() {
    let inner = Server::with_a_page().await;
    for location in ["127.0.0.2", "2130706434", "[::ffff:127.0.0.2]", "inner.example"] {
        let outer = Server::pointing_to(&format!("http://{location}:{}/", inner.port)).await;
        let client = client(&["127.0.0.1"], &[&["127.0.0.2"]]);
        let address = refused(fetch(&client, &format!("http://127.0.0.1:{}/", outer.port)).await);
        assert!(address.ends_with("127.0.0.2"), "{address}");
        assert_eq!((outer.connections(), inner.connections()), (1, 0));
    }
    let outer = Server::pointing_to(&format!("http://127.0.0.1:{}/", inner.port)).await;
    let page = fetch(&client(&["127.0.0.1"], &[]), &format!("http://127.0.0.1:{}/", outer.port)).await.unwrap();
    assert_eq!((page.status, inner.connections()), (200, 1));
}

#[tokio::test]
async fn a_stricter_caller_gets_no_connection_of_others() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\npage").await;
    let open = client(&["127.0.0.0/8"], &[&["127.0.0.1"]]);
    let url = format!("http://inner.example:{}/", server.port);
    assert_eq!(fetch(&open, &url).await.unwrap().status, 200);
    let public = || AddressRule { addresses: Addresses::Public, ..AddressRule::default() };
    let error = fetch(&open.within(public()), &url).await.unwrap_err();
    assert!(error.to_string().contains("the caller's rule") && error.to_string().contains("not public"), "{error}");
    // The rule of a worker that is stricter than its caller applies, too.
    let closed = client(&["public"], &[&["127.0.0.1"]]);
    let caller = AddressRule { allow: vec!["127.0.0.0/8".parse().unwrap()], ..public() };
    let error = fetch(&closed.within(caller), &url).await.unwrap_err();
    assert!(error.to_string().contains("the worker's rule"), "{error}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn so_many_rules_of_callers_are_kept() {
    let client = PageClient::new();
    for network in 0..20 {
        let allow = vec![format!("10.0.{network}.0/24").parse().unwrap()];
        client.within(AddressRule { addresses: Addresses::Public, allow, ..AddressRule::default() });
    }
    assert_eq!(client.stricter.lock().unwrap().len(), PageClient::RULES);
}
