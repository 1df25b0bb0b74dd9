//! Calls between nodes: one after another, and from 64 callers at once. `cargo bench -p peerl --bench calls`

#![allow(missing_docs)]

mod harness;
mod peers;

use std::pin::Pin;
use std::time::{Duration, Instant};

use harness::{Bound, Contest, Measure, Processor, Settings, describe};
use peerl_node::{Mfa, NodeName};
use peers::{CNode, EdpNode, ErlRpc, Raw, Stage, call_rate, per_call};

const ECHO: &str = "bench, echo, 1";
const CALLERS: usize = 64;

fn main() {
    peers::run_if_worker();
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let runtime = settings.runtime();
    let stage = Stage::new(&settings, &runtime);
    one_after_another(&settings, &stage);
    callers_to_beam(&settings, &stage);
    beam_to_worker(&settings, &stage);
    peerl_to_peerl(&settings, &stage);
    processor_of_worker(&settings, &stage);
}

fn one_after_another(settings: &Settings, stage: &Stage<'_>) {
    let title = "One call after another to a BEAM";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Micros);
    let mut raw = Raw::connect(&stage.callee_name, stage.callee_port);
    contest.add("raw", move |slice| raw.per_call(slice));
    match CNode::start(&stage.epmd, &stage.callee) {
        Ok(mut node) => contest.add("C `ei_rpc`", move |slice| node.per_call(slice)),
        Err(why) => contest.absent("C `ei_rpc`", why),
    }
    contest.add("OTP `erpc:call`", |slice| per_call(&stage.caller, stage.callee.name(), ECHO, slice));
    add_rivals(stage, &mut contest, 1, |calls, time| time.as_secs_f64() * 1e6 / calls);
    contest.add("peerl", |slice| {
        let (calls, time) = stage.calls(1, slice, echo(stage, &stage.callee_name));
        time.as_secs_f64() * 1e6 / calls
    });
    contest.target(Bound::AtMost(1.15), "raw");
    contest.target(Bound::AtMost(1.0), "OTP `erpc:call`");
    contest.run(settings);
}

fn callers_to_beam(settings: &Settings, stage: &Stage<'_>) {
    let title = "64 callers to a BEAM";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Calls);
    let mut raw = Raw::connect(&stage.callee_name, stage.callee_port);
    contest.add("raw", move |slice| raw.call_rate(CALLERS as u64, slice));
    contest.add("OTP `erpc:call`", |slice| call_rate(&stage.caller, stage.callee.name(), CALLERS, ECHO, slice));
    add_rivals(stage, &mut contest, CALLERS, |calls, time| calls / time.as_secs_f64());
    contest.add("peerl", |slice| our_call_rate(stage, &stage.callee_name, slice));
    contest.target(Bound::AtLeast(0.95), "raw");
    contest.run(settings);
}

fn beam_to_worker(settings: &Settings, stage: &Stage<'_>) {
    let title = "64 callers in a BEAM";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Calls);
    contest.add("to a BEAM", |slice| call_rate(&stage.caller, stage.callee.name(), CALLERS, ECHO, slice));
    contest.add("peerl", |slice| call_rate(&stage.caller, stage.worker.name().as_str(), CALLERS, ECHO, slice));
    contest.target(Bound::AtLeast(1.5), "to a BEAM");
    contest.run(settings);
}

fn peerl_to_peerl(settings: &Settings, stage: &Stage<'_>) {
    let title = "64 callers, from peerl to peerl";
    if !settings.wants(title) {
        return;
    }
    let mut contest = Contest::new(title, Measure::Calls);
    contest.add("BEAM to BEAM", |slice| call_rate(&stage.caller, stage.callee.name(), CALLERS, ECHO, slice));
    contest.add("peerl", |slice| our_call_rate(stage, stage.worker.name(), slice));
    contest.target(Bound::AtLeast(6.0), "BEAM to BEAM");
    contest.run(settings);
}

/// How much of a core a worker takes while nothing happens, and while one client makes 1,000 calls a second.
fn processor_of_worker(settings: &Settings, stage: &Stage<'_>) {
    const SECONDS: u64 = 5;
    let title = "Processor time of a worker";
    if !settings.wants(title) {
        return;
    }
    let mut raw = Raw::connect(stage.worker.name(), stage.worker.port());
    let processor = Processor::of(stage.worker.pid());
    let percent = |work: &mut dyn FnMut()| {
        let (start, before) = (Instant::now(), processor.time());
        work();
        (processor.time() - before).as_secs_f64() / start.elapsed().as_secs_f64() * 100.0
    };
    let idle = percent(&mut || std::thread::sleep(Duration::from_secs(SECONDS)));
    let busy = percent(&mut || {
        let start = Instant::now();
        for call in 1..=1000 * SECONDS {
            // One call.
            raw.per_call(Duration::ZERO);
            std::thread::sleep((start + Duration::from_millis(call)).saturating_duration_since(Instant::now()));
        }
    });
    println!("\n| {title} | of a core |\n|---|---:|\n| idle | {idle:.2} % |\n| 1,000 calls/s | {busy:.2} % |");
}

fn add_rivals<'a>(stage: &'a Stage<'_>, contest: &mut Contest<'a>, callers: usize, measure: fn(f64, Duration) -> f64) {
    match stage.runtime.block_on(ErlRpc::connect(&stage.callee_name, stage.callee_port)) {
        Ok(client) => contest.add("erl_rpc 0.4", move |slice| {
            let client = client.clone();
            let (calls, time) = stage.calls(callers, slice, move || client.clone().call());
            measure(calls, time)
        }),
        Err(why) => contest.absent("erl_rpc 0.4", why),
    }
    match stage.runtime.block_on(EdpNode::connect(&stage.callee_name, stage.epmd.port())) {
        Ok(node) => contest.add("edp_node 0.16", move |slice| {
            let node = node.clone();
            let (calls, time) = stage.calls(callers, slice, move || node.clone().call());
            measure(calls, time)
        }),
        Err(why) => contest.absent("edp_node 0.16", why),
    }
}

/// 64 callers of this process's node; calls a second.
fn our_call_rate(stage: &Stage<'_>, peer: &NodeName, slice: Duration) -> f64 {
    let (calls, time) = stage.calls(CALLERS, slice, echo(stage, peer));
    calls / time.as_secs_f64()
}

/// `bench:echo(1)`, called by this process's node.
fn echo(
    stage: &Stage<'_>,
    peer: &NodeName,
) -> impl Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Clone + Send + use<> {
    let (node, peer) = (stage.node.clone(), peer.clone());
    move || {
        let call = node.call::<i64>(&peer, Mfa::new("bench", "echo", (1,)).expect("a call"));
        Box::pin(async move { assert_eq!(call.await.expect("an answer"), 1) })
    }
}
