//! The faults of the crates that peerl could have used, each as an assertion on the crate itself.
//!
//! A failure here is good news: the crate has been fixed, and the text in `docs/`, and perhaps peerl's use of the
//! crate, need a review.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use eetf::{Atom, Binary, ByteList, FixInteger, List, Term};
use erl_dist::DistributionFlags;
use erl_dist::epmd::{EpmdClient, NodeEntry};
use erl_dist::handshake::{ClientSideHandshake, HandshakeStatus};
use erl_dist::message::{Message, RecvError, channel};
use erl_dist::node::{Creation, LocalNode};
use erl_dist::term;
use futures::io::{AsyncRead, AsyncWrite};
use peerl_test_support::{Beam, COOKIE, Epmd, Otp};

const MENDED: &str = "mended! See the head of tests/prior_art.rs";

// eetf 0.12.0

#[test]
fn eetf_sends_a_negative_element_as_a_byte() {
    let list = List::from(vec![FixInteger::from(-1).into(), FixInteger::from(2).into()]);
    assert_eq!(encode(list.into()), [131, 107, 0, 2, 255, 2], "{MENDED}");
}

#[test]
fn eetf_cuts_the_length_of_a_long_byte_list() {
    let encoded = encode(ByteList::from(vec![7; 70_000]).into());
    assert_eq!(u16::from_be_bytes([encoded[2], encoded[3]]), 4_464, "{MENDED}");
    assert_eq!(encoded.len(), 4 + 70_000, "{MENDED}");
}

#[test]
fn eetf_panics_on_two_bytes() {
    for bytes in [[131, 82], [131, 68]] {
        let outcome = std::panic::catch_unwind(|| Term::decode(bytes.as_slice()).map(drop));
        let panic = outcome.expect_err(MENDED);
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"not implemented"), "{MENDED}");
    }
}

#[test]
fn eetf_allocates_the_length_that_the_wire_states() {
    const STATED: u32 = 1 << 30;
    let mut input = vec![131, 109];
    input.extend(STATED.to_be_bytes());
    let before = peak_of_address_space();
    Term::decode(input.as_slice()).map(drop).expect_err("there is no content");
    let growth = peak_of_address_space() - before;
    // Not all of it, since the previous peak exceeded the used memory.
    assert!(growth >= u64::from(STATED) / 2, "{MENDED}: only {growth} bytes");
}

#[test]
fn eetf_refuses_latin_1_atoms() {
    let a_umlaut = [0xe4];
    let small = [&[131, 115, 1], &a_umlaut[..]].concat();
    let large = [&[131, 100, 0, 1], &a_umlaut[..]].concat();
    for atom in [small, large] {
        Term::decode(atom.as_slice()).map(drop).expect_err(MENDED);
    }
}

/// The use of eetf: it agrees with OTP on the common terms.
#[test]
fn eetf_agrees_on_the_common_terms() {
    let binary = Binary::from(b"ab".to_vec());
    assert_eq!(encode(binary.into()), [131, 109, 0, 0, 0, 2, b'a', b'b']);
    assert_eq!(encode(Atom::from("ok").into()), [131, 119, 2, b'o', b'k']);
    assert_eq!(encode(FixInteger::from(-1).into()), [131, 98, 255, 255, 255, 255]);
}

fn encode(term: Term) -> Vec<u8> {
    let mut bytes = Vec::new();
    term.encode(&mut bytes).expect("the term is encodable");
    bytes
}

/// The largest size of this process' address space so far, in bytes.
fn peak_of_address_space() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("VmPeak");
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kibibytes * 1024
}

// erl_dist 0.8.0

#[test]
fn erl_dist_has_the_digest_flag_at_a_wrong_bit() {
    assert_eq!(DistributionFlags::MANDATORY_25_DIGEST.bits(), 1 << 36, "{MENDED}");
}

#[tokio::test]
async fn erl_dist_never_sends_the_answer_to_alive() {
    let peer = Script::reads(b"\x00\x06salive");
    let mut handshake = ClientSideHandshake::new(peer.clone(), local_node(), COOKIE);
    let status = handshake.execute_send_name(6).await.expect("the status is understood");
    assert_eq!(status, HandshakeStatus::Alive);
    let name_message = peer.written();

    handshake.execute_rest(true).await.map(drop).expect_err("the peer says nothing more");
    assert_eq!(peer.written(), name_message, "{MENDED}");
}

#[tokio::test]
async fn erl_dist_reads_the_fields_of_send_tt_in_a_wrong_order() {
    // {12, '', ToPid, TraceToken} and the message, as specified, written by erl_dist itself.
    let to = term::Pid::new("a@h", 1, 0, 1);
    let message = Message::send_tt(to, term::Atom::from("message").into(), term::Atom::from("token").into());
    let outgoing = Script::reads(b"");
    let (mut sender, _) = channel(outgoing.clone(), local_node().flags);
    sender.send(message.clone()).await.expect("it is sent");

    let (_, mut receiver) = channel(Script::reads(&outgoing.written()), local_node().flags);
    let received = receiver.recv().await;
    assert!(received.is_err(), "{MENDED}: {received:?}");
}

#[tokio::test]
async fn erl_dist_knows_no_distribution_header() {
    // SEND to a pid in a header without atom cache references.
    let (_, mut receiver) = channel(Script::reads(&[0, 0, 0, 3, 131, 68, 0]), local_node().flags);
    let received = receiver.recv().await;
    assert!(matches!(received, Err(RecvError::UnexpectedTypeTag { tag: 131 })), "{MENDED}: {received:?}");
}

#[tokio::test]
async fn erl_dist_writes_three_times_a_message() {
    let peer = Script::reads(b"");
    let (mut sender, _) = channel(peer.clone(), local_node().flags);
    let to = term::Pid::new("a@h", 1, 0, 1);
    sender.send(Message::send(to, term::Atom::from("hello").into())).await.expect("it is sent");
    assert_eq!(peer.writes(), 3, "{MENDED}");
}

/// The use of erl_dist: its EPMD client registers and finds nodes.
#[tokio::test]
async fn erl_dist_speaks_with_epmd() {
    let epmd = Epmd::start();
    let connect = || async {
        let stream = tokio::net::TcpStream::connect(epmd.address()).await.expect("EPMD listens");
        EpmdClient::new(tokio_util::compat::TokioAsyncReadCompatExt::compat(stream))
    };
    let entry = NodeEntry::new_hidden("prior_art", 4711);
    let (_lease, _creation) = connect().await.register(entry.clone()).await.expect("it is registered");
    let found = connect().await.get_node("prior_art").await.expect("EPMD answers");
    assert_eq!(found, Some(entry));
    assert_eq!(epmd.names(), [("prior_art".to_owned(), 4711)]);
}

fn local_node() -> LocalNode {
    LocalNode::new("prior_art@h".parse().expect("a node name"), Creation::new(1))
}

/// A connection with prepared input; records the output, and the number of writes.
#[derive(Clone)]
struct Script(Arc<Mutex<Recording>>);

struct Recording {
    to_read: io::Cursor<Vec<u8>>,
    writes: Vec<Vec<u8>>,
}

impl Script {
    fn reads(bytes: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Recording { to_read: io::Cursor::new(bytes.to_vec()), writes: Vec::new() })))
    }

    fn written(&self) -> Vec<u8> {
        self.0.lock().unwrap().writes.concat()
    }

    fn writes(&self) -> usize {
        self.0.lock().unwrap().writes.len()
    }
}

impl AsyncRead for Script {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(io::Read::read(&mut self.0.lock().unwrap().to_read, buffer))
    }
}

impl AsyncWrite for Script {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().writes.push(bytes.to_vec());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

// erl_rpc 0.4.0

/// Three small writes a message on a socket without TCP_NODELAY: the second waits for the acknowledgement of the
/// first, which the BEAM's side delays by 40 ms. The BEAM itself takes about 0.1 ms a call.
#[tokio::test]
async fn erl_rpc_takes_forty_milliseconds_a_call() {
    let epmd = Epmd::start();
    let beam = Beam::erlang(Otp::V25).epmd(&epmd).start_async().await;
    let [(_, port)] = epmd.names()[..] else { panic!("one node is registered") };

    let client = erl_rpc::RpcClient::connect_with_port(beam.name(), port, COOKIE).await.expect("it connects");
    let mut handle = client.handle();
    let running = tokio::spawn(client.run());
    let mut times = Vec::new();
    for _ in 0..9 {
        let start = Instant::now();
        let args = term::List::from(vec![term::FixInteger::from(1000).into()]);
        let value = handle.call("erlang".into(), "abs".into(), args).await.expect("the call is served");
        assert_eq!(value, term::FixInteger::from(1000).into());
        times.push(start.elapsed());
    }
    running.abort();
    times.sort();
    assert!(times[4] > Duration::from_millis(10), "{MENDED}: median of {times:?}");
}
