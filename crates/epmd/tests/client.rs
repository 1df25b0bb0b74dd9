//! The client with the daemon `epmd` of Erlang/OTP, and with hostile listeners.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use peerl_epmd::{Client, DumpState, Error, KillResponse, LeaseState, NodeType, StopResponse};
use peerl_test_support::{Epmd, free_port};
use support::{PATIENCE, client, installed, local, node, reaches, tool, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

#[tokio::test]
async fn registers_looks_up_lists_and_releases() {
    let epmd = Epmd::start();
    let client = client(epmd.port());
    assert_eq!(client.names().await.unwrap(), []);
    assert_eq!(client.lookup("alfa").await.unwrap(), None);

    let alfa = node("alfa", 9101);
    let beta = node("bêta", 9102).with_type(NodeType::HIDDEN).with_extra(b"more".to_vec().into()).unwrap();
    let alfa_lease = client.register(alfa.clone()).await.unwrap();
    let beta_lease = client.register(beta.clone()).await.unwrap();
    assert!(alfa_lease.creation() > 3, "a creation of 32 bits");
    assert_eq!(alfa_lease.state(), LeaseState::Held);
    assert_eq!(client.lookup("alfa").await.unwrap(), Some(alfa));
    assert_eq!(client.lookup("bêta").await.unwrap(), Some(beta));
    let names: Vec<_> = client.names().await.unwrap();
    let names: Vec<_> = names.iter().map(|n| (n.name.as_str(), n.port)).collect();
    assert_eq!(names, [("bêta", 9102), ("alfa", 9101)]);

    let mut states = beta_lease.states();
    beta_lease.release().await;
    assert_eq!(*states.borrow_and_update(), LeaseState::Released);
    // No waiting is needed: `release` has waited.
    assert_eq!(client.lookup("bêta").await.unwrap(), None);

    drop(alfa_lease);
    until("alfa unregistered", async || client.lookup("alfa").await.unwrap().is_none()).await;
}

#[tokio::test]
async fn the_creation_grows_from_life_to_life() {
    let epmd = Epmd::start();
    let first = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    let creation = first.creation();
    first.release().await;
    let second = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    assert_eq!(second.creation(), creation + 1);
}

#[tokio::test]
async fn a_taken_name_is_told_apart() {
    let epmd = Epmd::start();
    let _lease = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    let error = client(epmd.port()).register(node("alfa", 9102)).await.unwrap_err();
    assert!(matches!(&error, Error::NameTaken { name, .. } if *name == "alfa"));
    assert!(error.to_string().contains("choose another name"), "{error}");
}

#[tokio::test]
async fn epmd_dies_and_comes_back() {
    let epmd = Epmd::start();
    let port = epmd.port();
    let lease = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    let creation = lease.creation();
    let mut states = lease.states();
    epmd.kill();
    reaches(&mut states, LeaseState::Lost).await;
    sleep(Duration::from_millis(1700)).await;

    let epmd = Epmd::start_on(port);
    let back = Instant::now();
    let client = client(epmd.port());
    until("alfa registered again", async || client.lookup("alfa").await.unwrap().is_some()).await;
    let waited = back.elapsed();
    assert!(waited < PATIENCE, "took {waited:?}");
    reaches(&mut states, LeaseState::Held).await;
    assert_eq!(lease.creation(), creation);
    lease.release().await;
    assert_eq!(client.lookup("alfa").await.unwrap(), None);
}

#[tokio::test]
async fn a_name_lost_to_another_node_is_won_back_when_that_ends() {
    let epmd = Epmd::start();
    let port = epmd.port();
    let lease = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    let mut states = lease.states();
    epmd.kill();
    reaches(&mut states, LeaseState::Lost).await;

    // The listener at EPMD's port is hostile: it reports the name as taken.
    let listener = TcpListener::bind(local(port)).await.unwrap();
    let thief = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"v\x01\x00\x00\x00\x63").await;
        }
    });
    reaches(&mut states, LeaseState::Taken).await;
    thief.abort();
    let _ = thief.await;

    let epmd = Epmd::start_on(port);
    reaches(&mut states, LeaseState::Held).await;
    assert!(client(epmd.port()).lookup("alfa").await.unwrap().is_some());
}

#[tokio::test]
async fn dropping_the_lease_ends_the_attempts() {
    let epmd = Epmd::start();
    let port = epmd.port();
    let lease = client(epmd.port()).register(node("alfa", 9101)).await.unwrap();
    let mut states = lease.states();
    epmd.kill();
    reaches(&mut states, LeaseState::Lost).await;
    drop(lease);
    reaches(&mut states, LeaseState::Released).await;
    let epmd = Epmd::start_on(port);
    sleep(Duration::from_millis(1500)).await;
    assert_eq!(client(epmd.port()).names().await.unwrap(), []);
}

#[tokio::test]
async fn dump_stop_and_kill() {
    let strict = Epmd::start();
    let lease = client(strict.port()).register(node("alfa", 9101)).await.unwrap();
    assert_eq!(client(strict.port()).kill().await.unwrap(), KillResponse::Refused);
    let refused = client(strict.port()).stop("alfa").await;
    assert!(matches!(refused, Err(Error::Closed { .. })), "{refused:?}");
    lease.release().await;
    let dump = client(strict.port()).dump().await.unwrap();
    assert_eq!(dump.len(), 1);
    assert_eq!((dump[0].state, dump[0].port), (DumpState::Old, 9101));
    assert_eq!(client(strict.port()).kill().await.unwrap(), KillResponse::Ending);

    let port = free_port();
    let mut epmd = tool("epmd", port);
    let _epmd = installed(epmd.arg("-relaxed_command_check").spawn(), "epmd");
    let relaxed = client(port);
    until("epmd runs", async || relaxed.names().await.is_ok()).await;
    let lease = relaxed.register(node("alfa", 9101)).await.unwrap();
    let mut states = lease.states();
    let unknown = relaxed.stop("nobody").await.unwrap();
    assert_eq!(unknown, StopResponse::Unknown);
    let stopped = relaxed.stop("alfa").await.unwrap();
    assert_eq!(stopped, StopResponse::Stopped);
    // The lease is registered again at once, so `Lost` itself may go unseen.
    timeout(PATIENCE, states.changed()).await.unwrap().unwrap();
    reaches(&mut states, LeaseState::Held).await;
}

#[tokio::test]
async fn no_epmd() {
    let port = free_port();
    let error = client(port).names().await.unwrap_err();
    let Error::NoEpmd { source, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(source.kind(), ErrorKind::ConnectionRefused);
    assert!(error.to_string().contains("epmd -daemon"), "{error}");
    let refused = client(port).register(node("alfa", 9101)).await;
    assert!(matches!(refused, Err(Error::NoEpmd { .. })));
    let unknown = Client::at("no such host.invalid", port).lookup("alfa").await;
    assert!(matches!(unknown, Err(Error::UnknownHost { .. })), "{unknown:?}");
}

#[tokio::test]
async fn names_that_no_node_can_have_are_not_asked_for() {
    let client = client(free_port());
    for name in ["", "a b", "a\0b", &"x".repeat(256)] {
        let error = client.lookup(name).await.unwrap_err();
        assert!(matches!(error, Error::BadName { .. }), "{name:?}: {error}");
    }
}

#[tokio::test]
async fn a_listener_that_never_answers() {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let client = Client::new(listener.local_addr().unwrap()).with_timeout(Duration::from_millis(200));
    let start = Instant::now();
    let lookup = client.lookup("alfa").await;
    assert!(matches!(lookup, Err(Error::TimedOut { .. })), "{lookup:?}");
    let names = client.names().await;
    assert!(matches!(names, Err(Error::TimedOut { .. })), "{names:?}");
    let register = client.register(node("alfa", 9101)).await;
    assert!(matches!(register, Err(Error::TimedOut { .. })), "{register:?}");
    assert!(start.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_listener_that_drips() {
    let client = hostile(async |mut stream| {
        for byte in b"w\x00\x82\xe1M\x00\x00\x06\x00\x05\x00\xff".iter().cycle() {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .with_timeout(Duration::from_millis(300));
    let lookup = client.lookup("alfa").await;
    assert!(matches!(lookup, Err(Error::TimedOut { .. })), "{lookup:?}");
}

#[tokio::test]
async fn a_listener_that_closes_at_once() {
    let client = hostile(async |stream| drop(stream)).await;
    let lookup = client.lookup("alfa").await;
    assert!(matches!(lookup, Err(Error::Closed { .. })), "{lookup:?}");
    let names = client.names().await;
    assert!(matches!(names, Err(Error::Closed { .. })), "{names:?}");
    let register = client.register(node("alfa", 9101)).await;
    assert!(matches!(register, Err(Error::Closed { .. })), "{register:?}");
}

#[tokio::test]
async fn a_listener_that_speaks_something_else() {
    let client = hostile(async |mut stream| {
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let lookup = client.lookup("alfa").await;
    assert!(matches!(lookup, Err(Error::Malformed { .. })), "{lookup:?}");
    let names = client.names().await;
    assert!(matches!(names, Err(Error::Malformed { .. })), "{names:?}");
    let register = client.register(node("alfa", 9101)).await;
    assert!(matches!(register, Err(Error::Malformed { .. })), "{register:?}");
}

#[tokio::test]
async fn an_answer_about_another_node_is_not_taken() {
    let client = hostile(async |mut stream| {
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await;
        let beta = b"w\x00\x82\xe1M\x00\x00\x06\x00\x05\x00\x04beta\x00\x00";
        let _ = stream.write_all(beta).await;
    })
    .await;
    let lookup = client.lookup("alfa").await;
    assert!(matches!(lookup, Err(Error::Malformed { .. })), "{lookup:?}");
}

#[tokio::test]
async fn an_answer_without_end() {
    let client = hostile(async |mut stream| {
        let _ = stream.write_all(b"\x00\x00\x11\x11").await;
        let lines = b"name alfa at port 9101\n".repeat(1000);
        while stream.write_all(&lines).await.is_ok() {}
    })
    .await;
    let names = client.names().await;
    assert!(matches!(names, Err(Error::AnswerTooLarge { .. })), "{names:?}");
    // An answer that just fits the limit is accepted.
    let fits = hostile(async |mut stream| {
        let mut request = [0; 64];
        let _ = stream.read(&mut request).await;
        let _ = stream.write_all(b"\x00\x00\x11\x11name alfa at port 9101\n").await;
    })
    .await;
    assert_eq!(fits.clone().with_answer_limit(27).names().await.unwrap().len(), 1);
    let names = fits.with_answer_limit(26).names().await;
    assert!(matches!(names, Err(Error::AnswerTooLarge { .. })), "{names:?}");
}

/// A client of a listener that runs `misdeed` for every connection.
async fn hostile<F>(misdeed: impl Fn(TcpStream) -> F + Send + 'static) -> Client
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let client = Client::new(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misdeed(stream));
        }
    });
    client
}
