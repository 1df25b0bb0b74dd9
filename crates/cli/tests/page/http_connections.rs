//! The HTTP server with clients that are silent, do not read, or exceed limits.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use futures::future::join_all;
use futures::{StreamExt, stream};
use peerl_cli::http::{Lifetime, Limits, Server, Stopped, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Longer than any answer takes on a busy machine, and shorter than the time-out of heads.
const SOON: Duration = Duration::from_secs(20);

/// Few connections, and time-outs that end no connection within a test.
const LIMITS: Limits = Limits {
    connections: 16,
    head: Duration::from_secs(600),
    head_bytes: 16 << 10,
    stall: Duration::from_secs(600),
    lifetime: Lifetime::Limited(Duration::from_secs(600)),
    memory: 1 << 20,
};

/// More than the buffers of two sockets hold.
const LARGE: usize = 32 << 20;

async fn broken() -> &'static str {
    panic!("this is what a fault of a handler does")
}

async fn start(limits: Limits) -> (Server, SocketAddr) {
    let large = || async {
        let chunk = Bytes::from_static(&[b'x'; 1 << 14]);
        Body::from_stream(stream::repeat(chunk).take(LARGE >> 14).map(Ok::<_, std::io::Error>))
    };
    let events = || async {
        let heartbeat = async |()| {
            sleep(Duration::from_millis(100)).await;
            Some((Ok::<_, std::io::Error>(":\n\n"), ()))
        };
        Body::from_stream(stream::unfold((), heartbeat))
    };
    let slow = || async {
        sleep(Duration::from_secs(2)).await;
        "done"
    };
    let router = Router::new()
        .route("/", get(async || "well"))
        .route("/client", get(async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.to_string()))
        .route("/echo", post(async |body: Bytes| body))
        .route("/chunk", get(async || vec![b'x'; LARGE >> 7]))
        .route("/large", get(large))
        .route("/events", get(events))
        .route("/slow", get(slow))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/broken", get(broken));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (serve(listener, router, limits), address)
}

/// A connection on which this was sent.
async fn sent(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the end of a connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is closed in the middle may be reset.
    let _ = timeout(SOON, stream.read_to_end(&mut text)).await.expect("the connection ends");
    String::from_utf8(text).unwrap()
}

async fn get_of(address: SocketAddr, path: &str) -> String {
    rest(sent(address, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await).await
}

async fn is_served(address: SocketAddr) {
    let answer = get_of(address, "/").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nwell"), "{answer}");
}

/// Waits until a connection is closed from the other side.
async fn is_closed(stream: &mut TcpStream) {
    let mut buffer = [0; 1 << 16];
    let read = async { while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {} };
    timeout(SOON, read).await.expect("the connection is closed");
}

#[tokio::test]
async fn a_request_is_served_beside_silent_ones() {
    let (_server, address) = start(LIMITS).await;
    for beginning in [
        "",
        "GET",
        "GET / HTTP/1.1\r\nhost: localhost\r\n",
        "\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12",
    ] {
        let mut silent = Vec::new();
        for _ in 0..100 {
            silent.push(sent(address, beginning).await);
        }
        is_served(address).await;
        is_closed(&mut silent[0]).await;
        is_served(address).await;
    }
}

#[tokio::test]
async fn a_request_is_served_beside_clients_that_do_not_read() {
    let (_server, address) = start(LIMITS).await;
    let pipelined = "GET /chunk HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(200);
    for request in ["GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n", &pipelined] {
        let mut readers = Vec::new();
        for _ in 0..50 {
            readers.push(sent(address, request).await);
        }
        is_served(address).await;
    }
}

#[tokio::test]
async fn who_reads_gets_all_of_it_however_many_are_silent() {
    let (_server, address) = start(LIMITS).await;
    let mut reader = sent(address, "GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let (mut buffer, mut bytes, mut silent) = (vec![0; 1 << 20], 0, Vec::new());
    loop {
        let length = timeout(SOON, reader.read(&mut buffer)).await.unwrap().unwrap();
        if length == 0 {
            break;
        }
        bytes += length;
        if silent.len() < 200 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
    }
    assert!(bytes > LARGE, "{bytes} bytes");
}

#[tokio::test]
async fn a_connection_at_work_is_not_closed_for_another_one() {
    let (_server, address) = start(LIMITS).await;
    let working = sent(address, "GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    is_served(address).await;
    assert!(rest(working).await.ends_with("done"));
}

#[tokio::test]
async fn a_request_is_served_beside_streams_of_events() {
    let (_server, address) = start(LIMITS).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        streams.push(sent(address, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").await);
    }
    is_served(address).await;
    let ends = streams.into_iter().map(|stream| timeout(Duration::from_secs(2), rest(stream)));
    let ended = join_all(ends).await.iter().filter(|end| end.is_ok()).count();
    assert!((50 - LIMITS.connections..50).contains(&ended), "{ended} of 50 are closed, and the others go on");
}

#[tokio::test]
async fn when_all_places_are_at_work_others_wait_until_one_is_done() {
    let (_server, address) = start(LIMITS).await;
    let mut working = Vec::new();
    for _ in 0..LIMITS.connections {
        working.push(sent(address, "GET /never HTTP/1.1\r\nhost: localhost\r\n\r\n").await);
    }
    let (mut waits, mut waiting) = (false, Vec::new());
    // The handlers get the requests at an unknown time; until then a connection is admitted.
    for _ in 0..100 {
        let mut request = Box::pin(get_of(address, "/"));
        waits = timeout(Duration::from_millis(300), &mut request).await.is_err();
        if waits {
            waiting.push(request);
            break;
        }
    }
    assert!(waits);
    working.pop();
    assert!(waiting.pop().unwrap().await.ends_with("well"));
}

#[tokio::test]
async fn heads_and_stalls_have_their_time() {
    let (head, stall) = (Duration::from_millis(200), Duration::from_millis(400));
    let (_server, address) = start(Limits { head, stall, lifetime: Lifetime::Unlimited, ..LIMITS }).await;
    for beginning in [
        "",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n12",
    ] {
        is_closed(&mut sent(address, beginning).await).await;
    }
    let mut large = sent(address, "GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // The client does not read; it can read buffered data after the connection is closed.
    sleep(Duration::from_secs(7)).await;
    let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
    while let Ok(Ok(length @ 1..)) = timeout(SOON, large.read(&mut buffer)).await {
        bytes += length;
    }
    // What the systems of both keep: usually that of a sender keeps some MiB.
    let most = if cfg!(target_os = "linux") { 1 << 20 } else { LARGE };
    assert!(bytes < most, "{bytes} bytes");
}

#[tokio::test]
async fn an_event_stream_lives_as_the_limits_say() {
    let request = "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let lifetime = Duration::from_millis(300);
    let (_server, address) = start(Limits { lifetime: Lifetime::Limited(lifetime), ..LIMITS }).await;
    is_closed(&mut sent(address, request).await).await;
    let times = Limits { head: lifetime, stall: lifetime, lifetime: Lifetime::Unlimited, ..LIMITS };
    let (_server, address) = start(times).await;
    let mut stream = sent(address, request).await;
    let (mut buffer, start) = ([0; 256], std::time::Instant::now());
    // Longer than all time-outs, and the search for stalled connections.
    while start.elapsed() < Duration::from_secs(7) {
        assert_ne!(timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn handlers_know_the_client_and_a_fault_is_an_answer() {
    let (_server, address) = start(LIMITS).await;
    let stream = sent(address, "GET /client HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
    let client = stream.local_addr().unwrap();
    assert!(rest(stream).await.ends_with(&format!("\r\n\r\n{client}")));
    let answer = get_of(address, "/broken").await;
    assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("{\"error\":"), "{answer}");
    is_served(address).await;
}

#[tokio::test]
async fn a_shutdown_waits_for_answers_and_tells_what_it_has_cut() {
    let (server, address) = start(LIMITS).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let working = sent(address, "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let (answer, stopped) = tokio::join!(rest(working), async {
        // The request is pending.
        sleep(Duration::from_millis(500)).await;
        server.shutdown(SOON).await
    });
    assert!(answer.ends_with("done") && answer.contains("connection: close"), "{answer}");
    assert_eq!(stopped, Stopped { cut: 0 });
    assert_eq!(rest(silent).await, "");
    assert!(TcpStream::connect(address).await.is_err());

    let (server, address) = start(LIMITS).await;
    let hanging = [
        sent(address, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n").await,
        sent(address, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await,
    ];
    sleep(Duration::from_millis(500)).await;
    assert_eq!(server.shutdown(Duration::from_millis(100)).await, Stopped { cut: 2 });
    for mut connection in hanging {
        is_closed(&mut connection).await;
    }
}
