//! Fetches of pages: addresses and options that no page has, and servers that mean harm.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use peerl_node::Term;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::attacker::Attacker;
use super::tables::fill;
use super::{Attack, Written, calls};

/// An address that is no URL, and far longer than any.
pub fn long_address(bytes: usize) -> Attack {
    Attack::together(format!("an address of {} MiB", bytes >> 20), 1, move |attacker, end| {
        let url = Term::binary(vec![1; bytes]);
        let frame = calls::checksum(attacker, 1, &[url]);
        if attacker.write(&[&frame], end + PATIENCE) == Written::All {
            attacker.sent += 1;
        }
        attacker.wait_for_answers(end + PATIENCE);
    })
}

/// An option whose text is far longer than it can be.
pub fn long_option(bytes: usize) -> Attack {
    Attack::together(format!("a network of {} MiB", bytes >> 20), 1, move |attacker, end| {
        let network = Term::binary(vec![1; bytes]);
        let options = Term::map([(Term::atom("deny"), Term::list([network]))]);
        let frame = calls::checksum(attacker, 1, &[Term::from("http://127.0.0.1/"), options]);
        if attacker.write(&[&frame], end + PATIENCE) == Written::All {
            attacker.sent += 1;
        }
        attacker.wait_for_answers(end + PATIENCE);
    })
}

/// Pages of many hosts, all of which keep their connections open.
pub fn hosts_that_keep_connections(most: u32) -> Attack {
    let name = format!("pages of {most} hosts that keep their connections");
    Attack::new(name, move |target, end| {
        let server = Server::start(async |mut stream| {
            let mut head = [0; 4096];
            while stream.read(&mut head).await.is_ok_and(|length| length > 0) {
                if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
                    return;
                }
            }
        });
        let mut attacker = Attacker::connect(target);
        // As many at a time as a peer may have in any case.
        for first in (0..most).step_by(32) {
            let mut frames = Vec::new();
            for host in first..first + 32 {
                let url = format!("http://{}:{}/", Ipv4Addr::from_bits(0x7f01_0000 + host), server.0.port());
                frames.extend_from_slice(&calls::checksum(&attacker, host, &[Term::from(url)]));
            }
            if Instant::now() >= end || attacker.write(&[&frames], end) != Written::All {
                break;
            }
            attacker.sent += 32;
            attacker.wait_for_answers(end);
        }
        attacker.fate()
    })
}

/// Pages that no server sends, each with a rule of its own.
pub fn rules(most: u32) -> Attack {
    Attack::new(format!("{most} fetches with a rule each"), move |target, end| {
        let server = Server::start(async |_stream| std::future::pending().await);
        let url = Term::from(format!("http://{}/", server.0));
        let mut attacker = Attacker::connect(target);
        fill(&mut attacker, most, end, |attacker, number| {
            let network = Term::from(format!("{}", Ipv4Addr::from_bits(0x0a00_0000 + number)));
            let options = Term::map([(Term::atom("deny"), Term::list([network]))]);
            calls::checksum(attacker, number, &[url.clone(), options])
        });
        attacker.wait(end);
        attacker.fate()
    })
}

/// Pages without end, as fast as the worker takes them.
pub fn endless(most: u32) -> Attack {
    Attack::new(format!("{most} pages without end"), move |target, end| {
        let server = Server::start(async |mut stream| {
            let part = vec![b'x'; 256 << 10];
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&part).await.is_ok() {}
        });
        let url = Term::from(format!("http://{}/", server.0));
        let mut attacker = Attacker::connect(target);
        fill(&mut attacker, most, end, |attacker, number| {
            calls::checksum(attacker, number, std::slice::from_ref(&url))
        });
        attacker.wait(end);
        attacker.fate()
    })
}

/// How much longer than an attack its long messages may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Serves each connection by a function, until it is dropped.
struct Server(SocketAddr, Option<Runtime>);

impl Server {
    fn start<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(runtime))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.1.take() {
            runtime.shutdown_background();
        }
    }
}
