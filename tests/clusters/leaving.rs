//! Members of ours that lose or leave a mesh: no BEAM node loses another one because of them.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::stage::{LIMIT, Stage, eval, eventually, expect, name};
use futures::future::{BoxFuture, join_all};
use peerl::otp::global::NodeGlobal;
use peerl::transport::{Listener, ReadHalf, Stream, Tcp, Transport};
use peerl::{Limits, Node, NodeName, Nodes, Term};
use peerl_discovery::Mesh as _;
use peerl_test_support::{Beam, Otp, conformance, matrix};
use tokio::io::{AsyncRead, ReadBuf};

/// Three BEAM nodes and two of ours, each connected to all others. One of ours goes.
struct Mesh {
    beams: Vec<Beam>,
    going: Node,
    staying: Node,
}

impl Mesh {
    async fn new(stage: &Stage, otp: Otp) -> Self {
        Self::with(stage, otp, stage.node().await).await
    }

    /// The node that goes connects to the second BEAM node itself.
    async fn with(stage: &Stage, otp: Otp, going: Node) -> Self {
        let beams = join_all([stage.beam(otp), stage.beam(otp), stage.beam(otp)]).await;
        let staying = stage.node().await;
        for beam in &beams[1..] {
            beam.wait_for_async(&format!("net_adm:ping('{}')", beams[0].name()), "pong", LIMIT).await;
        }
        going.connect(&name(&beams[1])).await.unwrap();
        staying.connect(&name(&beams[0])).await.unwrap();
        let mesh = Self { beams, going, staying };
        mesh.complete().await;
        let watch = "Self = self(), spawn(fun() -> register(watch, self()), ok = net_kernel:monitor_nodes(true), Self ! on, \
                     receive {ask, From} -> From ! [Node || {nodedown, Node} <- element(2, process_info(self(), messages))] \
                     end end), receive on -> ok end";
        for beam in &mesh.beams {
            expect(beam, &mesh.going, watch, "ok").await;
        }
        mesh
    }

    async fn complete(&self) {
        for beam in &self.beams {
            beam.wait_for_async("length(nodes())", "4", LIMIT).await;
            beam.wait_for_async("global:sync()", "ok", LIMIT).await;
            beam.wait_for_async("length(gen_server:call(global_name_server, get_known))", "4", LIMIT).await;
        }
        for node in [&self.going, &self.staying] {
            eventually("a mesh", || node.nodes(Nodes::Visible).len() == 4).await;
            tokio::time::timeout(LIMIT, node.global().sync()).await.expect("the names").unwrap();
        }
    }

    /// Waits until the BEAM nodes have lost the node that goes, and have seen nobody else go.
    async fn only_one_has_gone(&self, what: &str) {
        let going = self.going.name().as_str();
        for beam in &self.beams {
            beam.wait_for_async(&format!("lists:member('{going}', nodes())"), "false", LIMIT).await;
        }
        eventually(what, || !self.staying.nodes(Nodes::Visible).contains(self.going.name())).await;
        // Names are registered at all of them: nothing that was on its way then can still part them.
        for beam in &self.beams {
            let register = "global:register_name(self(), self())";
            expect(beam, &self.staying, register, "yes").await;
        }
        for beam in &self.beams {
            let gone = eval(beam, &self.staying, "watch ! {ask, self()}, receive Gone -> lists:usort(Gone) end").await;
            assert_eq!(gone, format!("['{going}']"), "{what}: {}", beam.name());
            expect(beam, &self.staying, "lists:member(NODE, nodes()) andalso length(nodes()) =:= 3", "true").await;
        }
        assert_eq!(self.staying.nodes(Nodes::Visible).len(), 3, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_the_program_ends() {
    let stage = Stage::new();
    for otp in matrix() {
        let mesh = Mesh::new(&stage, otp).await;
        assert!(mesh.going.disconnect(&name(&mesh.beams[1])));
        mesh.only_one_has_gone("one connection was ended").await;
        // The program may join again.
        mesh.going.connect(&name(&mesh.beams[2])).await.unwrap();
        mesh.complete().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_a_beam_ends() {
    let stage = Stage::new();
    for otp in matrix() {
        for by in ["net_kernel:disconnect(NODE)", "erlang:disconnect_node(NODE)"] {
            let mesh = Mesh::new(&stage, otp).await;
            expect(&mesh.beams[1], &mesh.going, by, "true").await;
            mesh.only_one_has_gone(by).await;
            mesh.going.connect(&name(&mesh.beams[1])).await.unwrap();
            mesh.complete().await;
        }
        conformance::holds(otp, [58]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_violation_of_the_protocol() {
    let stage = Stage::new();
    for otp in matrix() {
        let garbled = Arc::new(AtomicBool::new(false));
        let going = stage
            .builder()
            .transport(Garbling { tcp: Tcp::default(), is_garbled: garbled.clone() })
            .start()
            .await
            .unwrap();
        let mesh = Mesh::with(&stage, otp, going).await;
        garbled.store(true, Ordering::Relaxed);
        eval(&mesh.beams[1], &mesh.going, "{nobody, NODE} ! hello").await;
        mesh.only_one_has_gone("what came on a connection was no frame").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read() {
    let stage = Stage::new();
    for otp in matrix() {
        let going = stage.builder().limits(Limits { queued: 1 << 20, ..Limits::default() }).start().await.unwrap();
        let mesh = Mesh::with(&stage, otp, going).await;
        mesh.beams[1].sigstop();
        let (process, peer) = (mesh.going.process(), name(&mesh.beams[1]));
        let filler = Term::from("x".repeat(100_000));
        eventually("a full queue", || {
            let _ = process.send_connected(("nobody", &peer), &filler);
            !mesh.going.nodes(Nodes::Visible).contains(&peer)
        })
        .await;
        mesh.beams[1].sigcont();
        mesh.only_one_has_gone("a peer did not read").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_leaves() {
    let stage = Stage::new();
    for otp in matrix() {
        let mesh = Mesh::new(&stage, otp).await;
        assert_eq!(mesh.going.global().disconnect().await.unwrap().len(), 4);
        mesh.only_one_has_gone("global:disconnect/0 was called").await;

        let mesh = Mesh::new(&stage, otp).await;
        assert_eq!(mesh.going.leave().await.unwrap().len(), 4);
        mesh.only_one_has_gone("discovery lists a node no longer").await;
        conformance::holds(otp, [61]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_drained() {
    let stage = Stage::new();
    for otp in matrix() {
        let mesh = Mesh::new(&stage, otp).await;
        mesh.going.drain().await;
        // It is still a member.
        for beam in &mesh.beams {
            expect(beam, &mesh.going, "global:register_name(node(), self())", "yes").await;
            expect(beam, &mesh.going, "length(nodes())", "4").await;
        }
        mesh.going.shutdown().await;
        mesh.only_one_has_gone("a node was drained").await;
    }
}

/// Two nodes of ours are parted: one of them leaves, and the others stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_between_two_of_ours() {
    let stage = Stage::new();
    let mesh = Mesh::new(&stage, matrix()[0]).await;
    assert!(mesh.going.disconnect(mesh.staying.name()));
    mesh.only_one_has_gone("two of ours were parted").await;
    mesh.going.connect(mesh.staying.name()).await.unwrap();
    mesh.complete().await;
}

/// Streams of TCP that give other bytes than what has come, once that is wanted; only those that were dialled.
struct Garbling {
    tcp: Tcp,
    is_garbled: Arc<AtomicBool>,
}

impl Transport for Garbling {
    fn listen(
        &self,
        address: Option<IpAddr>,
        ports: RangeInclusive<u16>,
    ) -> BoxFuture<'_, io::Result<(Box<dyn Listener>, u16)>> {
        self.tcp.listen(address, ports)
    }

    fn dial<'a>(&'a self, peer: &'a NodeName, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let Stream { read, write } = self.tcp.dial(peer, port).await?;
            Ok(Stream { read: Box::new(GarbledRead { read, is_garbled: self.is_garbled.clone() }), write })
        })
    }
}

struct GarbledRead {
    read: Box<dyn ReadHalf>,
    is_garbled: Arc<AtomicBool>,
}

impl AsyncRead for GarbledRead {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begin = buffer.filled().len();
        let read = Pin::new(&mut *self.read).poll_read(context, buffer);
        if self.is_garbled.load(Ordering::Relaxed) {
            buffer.filled_mut()[begin..].fill(0xff);
        }
        read
    }
}

impl ReadHalf for GarbledRead {
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.read.poll_readable(context)
    }
}
