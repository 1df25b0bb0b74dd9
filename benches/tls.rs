//! TLS beside that of OTP: calls, arguments of 1 MB, handshakes, and the memory of a connection.
//! `cargo bench -p peerl --bench tls`

#![allow(missing_docs)]

mod harness;
mod peers;

/// As in the benchmark of throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::net::Ipv4Addr;
use std::task::Poll;
use std::time::{Duration, Instant};

use harness::{Bound, Contest, Measure, Settings, describe};
use peerl_epmd::Client;
use peerl_node::transport::{Stream, Tls, TlsConfig, Transport};
use peerl_node::{Epmd as Mapper, Mfa, Node, NodeName, Term, Visibility};
use peerl_test_support::{Authority, Beam, COOKIE, Identity, unique_name};
use peers::{call_rate, name, per_call};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

const ECHO: &str = "bench, echo, 1";
const BYTE_SIZE: &str = "erlang, byte_size, binary:copy(<<7>>, 1000000)";
const MEGABYTE: usize = 1_000_000;

fn main() {
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let runtime = settings.runtime();
    let authority = Authority::new();
    let identity = authority.issue("node", &["localhost"]);
    for versions in ["tlsv1.2", "tlsv1.3"] {
        println!("\n{versions}");
        let optfile = identity.optfile(&format!(", {{versions, ['{versions}']}}"));
        let epmd = peers::start_epmd(&settings);
        let beam = || {
            let beam = Beam::erlang(settings.otp).epmd(&epmd).usual_schedulers(settings.threads).short_names();
            let beam = beam.args(["-proto_dist", "inet_tls", "-ssl_dist_optfile", optfile.to_str().expect("a path")]);
            let beam = beam.start();
            beam.load_module(include_str!("peers/bench.erl")).expect("the module compiles");
            beam
        };
        let (caller, callee) = (beam(), beam());
        let node = peerl::node(format!("{}@localhost", unique_name("bench")))
            .cookie(COOKIE)
            .listen_address(Ipv4Addr::LOCALHOST.into())
            .epmd(Mapper::External)
            .epmd_client(Client::new(epmd.address()))
            .visibility(Visibility::Hidden)
            .transport(tls(&identity));
        let node = runtime.block_on(node.start()).expect("the node starts");
        let stage = Stage { runtime: &runtime, callee_name: name(&callee), caller, callee, node };
        calls(&settings, &stage);
        handshakes(&settings, &stage);
    }
    runtime.block_on(memory(&identity));
}

fn tls(identity: &Identity) -> Tls {
    Tls::new(TlsConfig::mutual(&identity.certificate, &identity.key, &identity.authority)).expect("the files are there")
}

struct Stage<'a> {
    runtime: &'a Runtime,
    caller: Beam,
    callee: Beam,
    callee_name: NodeName,
    node: Node,
}

fn calls(settings: &Settings, stage: &Stage<'_>) {
    let echo = || Mfa::new("bench", "echo", (1,)).expect("a call");
    let data = Term::binary(vec![7; MEGABYTE]);
    let size = move || Mfa::new("erlang", "byte_size", (data.clone(),)).expect("a call");

    let title = "One call after another, by TLS";
    if settings.wants(title) {
        let mut contest = Contest::new(title, Measure::Micros);
        contest.add("OTP `erpc:call`", |slice| per_call(&stage.caller, stage.callee.name(), ECHO, slice));
        contest.add("peerl", |slice| 1e6 / rate(stage, 1, slice, echo));
        contest.target(Bound::AtMost(1.0), "OTP `erpc:call`");
        contest.run(settings);
    }
    let title = "64 callers, by TLS";
    if settings.wants(title) {
        let mut contest = Contest::new(title, Measure::Calls);
        contest.add("OTP `erpc:call`", |slice| call_rate(&stage.caller, stage.callee.name(), 64, ECHO, slice));
        contest.add("peerl", |slice| rate(stage, 64, slice, echo));
        contest.target(Bound::AtLeast(1.0), "OTP `erpc:call`");
        contest.run(settings);
    }
    let title = "Arguments of 1 MB, 8 callers, by TLS";
    if settings.wants(title) {
        let mut contest = Contest::new(title, Measure::Megabytes);
        contest.add("OTP `erpc:call`", |slice| call_rate(&stage.caller, stage.callee.name(), 8, BYTE_SIZE, slice));
        contest.add("peerl", |slice| rate(stage, 8, slice, size.clone()));
        contest.target(Bound::AtLeast(1.0), "OTP `erpc:call`");
        contest.run(settings);
    }
}

/// Calls a second of this process's node, one after another by each caller.
fn rate(stage: &Stage<'_>, callers: usize, slice: Duration, mfa: impl Fn() -> Mfa + Clone + Send + 'static) -> f64 {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (node, peer, mfa) = (stage.node.clone(), stage.callee_name.clone(), mfa.clone());
            stage.runtime.spawn(async move {
                let mut calls = 0_u64;
                while start.elapsed() < slice {
                    let _: i64 = node.call(&peer, mfa()).await.expect("an answer");
                    calls += 1;
                }
                calls
            })
        })
        .collect();
    let calls: u64 =
        tasks.into_iter().map(|task| stage.runtime.block_on(task).expect("the caller does not panic")).sum();
    calls as f64 / start.elapsed().as_secs_f64()
}

/// Connections a second, each with the handshakes of TLS and of the distribution.
fn handshakes(settings: &Settings, stage: &Stage<'_>) {
    let title = "Connections a second, by TLS";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Calls);
    contest.add("OTP to OTP", |slice| {
        let count = format!(
            "(fun Again(End, Count) ->
                 true = net_kernel:connect_node('{0}'), true = erlang:disconnect_node('{0}'),
                 case erlang:monotonic_time(millisecond) < End of true -> Again(End, Count + 1); false -> Count + 1 end
             end)(erlang:monotonic_time(millisecond) + {1}, 0)",
            stage.callee.name(),
            slice.as_millis()
        );
        let count = stage.caller.eval_within(&count, Duration::from_secs(120)).expect("the nodes connect");
        count.parse::<f64>().expect("a number") / slice.as_secs_f64()
    });
    contest.add("peerl", |slice| {
        stage.runtime.block_on(async {
            let (start, mut count) = (Instant::now(), 0_u64);
            while start.elapsed() < slice {
                stage.node.connect(&stage.callee_name).await.expect("the nodes connect");
                stage.node.disconnect(&stage.callee_name);
                count += 1;
            }
            count as f64 / start.elapsed().as_secs_f64()
        })
    });
    contest.run(settings);
}

/// What both ends of idle streams take in this process.
async fn memory(identity: &Identity) {
    const STREAMS: usize = 300;
    let tls = tls(identity);
    let (mut listener, port) = tls.listen(Some(Ipv4Addr::LOCALHOST.into()), 0..=0).await.expect("a free port");
    let peer: NodeName = "peer@localhost".parse().expect("a name");
    let mut streams = Vec::new();
    let mut open = async |count: usize| {
        for _ in 0..count {
            let accepted = async { listener.accept().await.expect("a peer").stream.await.expect("TLS") };
            let (dialled, mut accepted) = tokio::join!(tls.dial(&peer, port), accepted);
            let mut dialled = dialled.expect("TLS");
            exchange(&mut dialled, &mut accepted).await;
            streams.push((dialled, accepted));
        }
    };
    open(20).await;
    let before = resident();
    open(STREAMS).await;
    let kib = (resident() - before) / (2 * STREAMS) as f64 / 1024.0;
    let met = if kib <= 64.0 { "met" } else { "MISSED" };
    println!("\n| memory | resident | target |\n|---|---:|---|");
    println!("| TLS of an idle connection (of {STREAMS}) | {kib:.1} KiB | at most 64 KiB: {met} |");
}

async fn exchange(one: &mut Stream, other: &mut Stream) {
    let sent = vec![7; 100_000];
    let mut received = vec![0; sent.len()];
    for turn in 0..2 {
        let (from, to) = if turn == 0 { (&mut *one, &mut *other) } else { (&mut *other, &mut *one) };
        let (sent, received) = tokio::join!(from.write.write_all(&sent), to.read.read_exact(&mut received));
        sent.and(received.map(drop)).expect("the bytes arrive");
    }
    // Both wait for more, as an idle connection does.
    for stream in [one, other] {
        std::future::poll_fn(|context| {
            assert!(stream.read.poll_readable(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the process runs");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says how much");
    kib.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}
