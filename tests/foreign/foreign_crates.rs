//! Other Rust crates that implement the protocol, connected to a peerl node.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use crate::stage::{LIMIT, Stage, eventually, export, message};
use erl_dist::handshake::{ClientSideHandshake, HandshakeStatus, ServerSideHandshake};
use erl_dist::message::{Message, channel};
use erl_dist::node::{Creation, LocalNode};
use erl_dist::term;
use futures::io::{AsyncRead, AsyncWrite};
use peerl_epmd::{Client, Registration};
use peerl_node::{Atom, Nodes, Term};
use peerl_test_support::{COOKIE, unique_name};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

/// The client of `erl_rpc` requests a name, and calls by `SPAWN_REQUEST`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erl_rpc_calls_us() {
    let stage = Stage::new();
    let node = stage.node().await;
    export(&node);
    let client = erl_rpc::RpcClient::connect_with_port(node.name().as_str(), node.port(), COOKIE).await.unwrap();
    let mut handle = client.handle();
    let running = tokio::spawn(client.run());
    for n in 0..5 {
        let arguments = term::List::from(vec![term::FixInteger::from(n).into(), term::FixInteger::from(1).into()]);
        let sum = handle.call("rust".into(), "add".into(), arguments).await.unwrap();
        assert_eq!(sum, term::FixInteger::from(n + 1).into());
    }
    let failed = handle.call("rust".into(), "none".into(), term::List::nil()).await;
    assert!(failed.is_err(), "{failed:?}");
    assert_eq!(node.nodes(Nodes::Hidden).len(), 1, "a node that was given its name is hidden");
    running.abort();
    eventually("the end of the connection", || node.nodes(Nodes::Connected).is_empty()).await;
}

/// `erl_dist` needs a socket that can be cloned, like those of smol.
#[derive(Clone)]
struct Shared(Arc<Mutex<Compat<TcpStream>>>);

impl Shared {
    fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(stream.compat())))
    }

    fn with<T>(&self, work: impl FnOnce(Pin<&mut Compat<TcpStream>>) -> T) -> T {
        work(Pin::new(&mut self.0.lock().unwrap()))
    }
}

impl AsyncRead for Shared {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Shared {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_close(cx))
    }
}

fn their_node(name: &str) -> LocalNode {
    LocalNode::new(name.parse().unwrap(), Creation::new(7))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erl_dist_connects_to_us() {
    let stage = Stage::new();
    let node = stage.node().await;
    let mut process = node.process();
    process.register(Atom::from_static("inbox")).unwrap();
    let own_name = format!("{}@127.0.0.1", unique_name("theirs"));
    let socket = Shared::new(TcpStream::connect(("127.0.0.1", node.port())).await.unwrap());
    let local = their_node(&own_name);
    let mut handshake = ClientSideHandshake::new(socket, local.clone(), COOKIE);
    assert_eq!(handshake.execute_send_name(6).await.unwrap(), HandshakeStatus::Ok);
    let (connection, peer) = handshake.execute_rest(true).await.unwrap();
    assert_eq!(peer.name.to_string(), node.name().as_str());
    let (mut sender, mut receiver) = channel(connection, local.flags & peer.flags);
    let from = term::Pid::new(own_name.as_str(), 1, 0, 7);
    let hello = term::Tuple::from(vec![from.clone().into(), term::Atom::from("hello").into()]);
    sender.send(Message::reg_send(from, "inbox".into(), hello.into())).await.unwrap();
    let Term::Tuple(hello) = message(&mut process).await else { panic!() };
    assert_eq!(hello[1], Term::atom("hello"));
    process.send_term(hello[0].as_pid().unwrap(), &Term::atom("back")).await.unwrap();
    let back = tokio::time::timeout(LIMIT, receiver.recv()).await.unwrap().unwrap();
    let Message::Send(back) = back else { panic!("{back:?}") };
    assert_eq!(back.message, term::Atom::from("back").into());

    // With another cookie the connection fails.
    let socket = Shared::new(TcpStream::connect(("127.0.0.1", node.port())).await.unwrap());
    let stranger = their_node("stranger@127.0.0.1");
    let mut handshake = ClientSideHandshake::new(socket, stranger, "another");
    handshake.execute_send_name(6).await.unwrap();
    assert!(handshake.execute_rest(true).await.is_err());
    assert_eq!(node.nodes(Nodes::Connected).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_connect_to_erl_dist() {
    let stage = Stage::new();
    let node = stage.node().await;
    let alive = unique_name("theirs");
    let own_name = format!("{alive}@127.0.0.1");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let registration = Registration::new(alive.parse().unwrap(), port);
    let _lease = Client::new(stage.epmd.address()).register(registration).await.unwrap();
    let local = their_node(&own_name);
    let accepting = async {
        let socket = Shared::new(listener.accept().await.unwrap().0);
        let mut handshake = ServerSideHandshake::new(socket, local.clone(), COOKIE);
        let caller = handshake.execute_recv_name().await.unwrap().unwrap();
        assert_eq!(caller.to_string(), node.name().as_str());
        handshake.execute_rest(HandshakeStatus::Ok).await.unwrap()
    };
    let theirs = own_name.parse().unwrap();
    let ((connection, peer), connected) = tokio::join!(accepting, node.connect(&theirs));
    connected.unwrap();
    assert_eq!(node.nodes(Nodes::Hidden), std::slice::from_ref(&theirs));
    let (_sender, mut receiver) = channel(connection, local.flags & peer.flags);
    node.process().send_term(("inbox", &theirs), &Term::atom("hello")).await.unwrap();
    let hello = tokio::time::timeout(LIMIT, receiver.recv()).await.unwrap().unwrap();
    let Message::RegSend(hello) = hello else { panic!("{hello:?}") };
    assert_eq!((hello.to_name.name.as_str(), hello.message), ("inbox", term::Atom::from("hello").into()));
}
