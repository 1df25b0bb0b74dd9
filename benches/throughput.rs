//! Bytes and messages between nodes: calls with arguments of 1 MB, and one-way sends.
//! `cargo bench -p peerl --bench throughput`

#![allow(missing_docs)]

mod harness;
mod peers;

/// The C library returns the memory of a large message to the kernel each time, and gets it back page by page.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

use harness::{Bound, Contest, Measure, Settings, describe};
use peerl_node::{Atom, Mfa, NodeName, Term};
use peers::{CNode, Raw, Stage, call_rate};

const MEGABYTE: usize = 1_000_000;
/// The number of callers, each with one argument in transit.
const CALLERS: usize = 8;
/// The same as a call of the module `bench`.
const BYTE_SIZE: &str = "erlang, byte_size, binary:copy(<<7>>, 1000000)";

fn main() {
    peers::run_if_worker();
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let runtime = settings.runtime();
    let stage = Stage::new(&settings, &runtime);
    arguments_to_beam(&settings, &stage);
    arguments_to_peerl(&settings, &stage);
    sends_to_beam(&settings, &stage);
    sends_to_peerl(&settings, &stage);
}

fn arguments_to_beam(settings: &Settings, stage: &Stage<'_>) {
    let title = "Arguments of 1 MB to a BEAM, 8 callers";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Megabytes);
    contest.add("OTP `erpc:call`", |slice| call_rate(&stage.caller, stage.callee.name(), CALLERS, BYTE_SIZE, slice));
    contest.add("peerl", |slice| megabytes(stage, &stage.callee_name, slice));
    contest.target(Bound::AtLeast(1.0), "OTP `erpc:call`");
    contest.run(settings);
}

fn arguments_to_peerl(settings: &Settings, stage: &Stage<'_>) {
    let title = "Arguments of 1 MB from peerl to peerl, 8 callers";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Megabytes);
    contest.add("raw TCP", |slice| raw_tcp(stage.worker.raw_port(), slice));
    contest.add("BEAM to BEAM", |slice| call_rate(&stage.caller, stage.callee.name(), CALLERS, BYTE_SIZE, slice));
    contest.add("peerl", |slice| megabytes(stage, stage.worker.name(), slice));
    contest.target(Bound::AtLeast(0.7), "raw TCP");
    contest.run(settings);
}

fn sends_to_beam(settings: &Settings, stage: &Stage<'_>) {
    let title = "One-way sends to a BEAM";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Messages);
    let sent = |count: &mut Count, slice, send: &mut dyn FnMut(u64)| {
        count.turn(slice, |messages| {
            peers::sink(&stage.callee, messages);
            send(messages);
            peers::sunk(&stage.callee, messages);
        })
    };
    let mut raw = Raw::connect(&stage.callee_name, stage.callee_port);
    let mut count = Count::default();
    contest.add("raw", move |slice| sent(&mut count, slice, &mut |messages| raw.send(messages)));
    match CNode::start(&stage.epmd, &stage.callee) {
        Ok(mut node) => {
            let mut count = Count::default();
            contest.add("C `ei_reg_send`", move |slice| sent(&mut count, slice, &mut |messages| node.send(messages)));
        }
        Err(why) => contest.absent("C `ei_reg_send`", why),
    }
    let mut count = Count::default();
    let otp_send = |messages: u64| peers::send(&stage.caller, stage.callee.name(), messages);
    contest.add("OTP `!`", move |slice| sent(&mut count, slice, &mut { otp_send }));
    let mut count = Count::default();
    let our_send = |messages| send(stage, &stage.callee_name, messages);
    contest.add("peerl", move |slice| sent(&mut count, slice, &mut { our_send }));
    contest.target(Bound::AtLeast(0.9), "raw");
    contest.target(Bound::AtLeast(1.4), "C `ei_reg_send`");
    contest.run(settings);
}

fn sends_to_peerl(settings: &Settings, stage: &Stage<'_>) {
    let title = "One-way sends from peerl to peerl";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Messages);
    let mut count = Count::default();
    contest.add("BEAM to BEAM", move |slice| {
        count.turn(slice, |messages| {
            peers::sink(&stage.callee, messages);
            peers::send(&stage.caller, stage.callee.name(), messages);
            peers::sunk(&stage.callee, messages);
        })
    });
    let mut count = Count::default();
    contest.add("peerl", move |slice| {
        count.turn(slice, |messages| {
            stage.runtime.block_on(stage.worker.sink(&stage.node, messages));
            send(stage, stage.worker.name(), messages);
            stage.runtime.block_on(stage.worker.sunk(&stage.node, messages));
        })
    });
    contest.target(Bound::AtLeast(8.0), "BEAM to BEAM");
    contest.run(settings);
}

/// The number of messages in a contestant's turn: enough to fill it at the rate of the last turn.
struct Count(f64);

impl Default for Count {
    fn default() -> Self {
        Self(100_000.0)
    }
}

impl Count {
    /// Messages a second, from before the first send until the receiver has taken the last message.
    fn turn(&mut self, slice: Duration, send: impl FnOnce(u64)) -> f64 {
        let messages = (self.0 * slice.as_secs_f64()) as u64;
        let start = Instant::now();
        send(messages);
        self.0 = messages as f64 / start.elapsed().as_secs_f64();
        self.0
    }
}

/// One process of this node sends to the `sink` of a peer.
fn send(stage: &Stage<'_>, peer: &NodeName, messages: u64) {
    let (node, peer) = (stage.node.clone(), peer.clone());
    let task = stage.runtime.spawn(async move {
        let sender = node.process();
        let message = Term::tuple([Term::atom("bench"), Term::from(42)]);
        for _ in 0..messages {
            sender.send_term(("sink", &peer), &message).await.expect("it is sent");
        }
    });
    stage.runtime.block_on(task).expect("the sender does not panic");
}

/// `byte_size/1` of 1 MB, called by this process's node; megabytes a second. The argument is encoded once, as the
/// BEAM's is a binary that all its callers share.
fn megabytes(stage: &Stage<'_>, peer: &NodeName, slice: Duration) -> f64 {
    let (node, peer) = (stage.node.clone(), peer.clone());
    let argument = Term::binary(vec![7; MEGABYTE]);
    let mfa = Mfa::with_terms(Atom::from_static("erlang"), Atom::from_static("byte_size"), vec![argument]);
    let (calls, time) = stage.calls(CALLERS, slice, move || {
        let call = node.call::<usize>(&peer, mfa.clone());
        async move { assert_eq!(call.await.expect("an answer"), MEGABYTE) }
    });
    calls / time.as_secs_f64()
}

/// The rate of a plain connection, in megabytes a second: written a megabyte at a time, and counted by the other
/// process.
fn raw_tcp(port: u16, slice: Duration) -> f64 {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the worker listens");
    let megabyte = vec![7; MEGABYTE];
    let start = Instant::now();
    while start.elapsed() < slice {
        socket.write_all(&megabyte).expect("the worker reads");
    }
    socket.shutdown(Shutdown::Write).expect("it is open");
    let mut total = [0; 8];
    socket.read_exact(&mut total).expect("the worker answers");
    u64::from_be_bytes(total) as f64 / 1e6 / start.elapsed().as_secs_f64()
}
