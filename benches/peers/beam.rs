//! BEAM nodes with the module `bench`.

use std::time::Duration;

use peerl_node::NodeName;
use peerl_test_support::{Beam, Epmd};

use crate::harness::Settings;

/// The EPMD of all contestants, on the configured port.
pub(crate) fn start_epmd(settings: &Settings) -> Epmd {
    settings.epmd_port.map_or_else(Epmd::start, Epmd::start_on)
}

pub(crate) fn start_beam(settings: &Settings, epmd: &Epmd) -> Beam {
    let beam = Beam::erlang(settings.otp).epmd(epmd).usual_schedulers(settings.threads).start();
    beam.load_module(include_str!("bench.erl")).expect("the module compiles");
    beam
}

pub(crate) fn name(beam: &Beam) -> NodeName {
    beam.name().parse().expect("a BEAM has a name")
}

/// Calls from a number of BEAM processes, in calls a second. `function` is `module, function, argument`.
pub(crate) fn call_rate(beam: &Beam, node: &str, callers: usize, function: &str, slice: Duration) -> f64 {
    let (calls, micros) = called(beam, node, callers, function, slice);
    calls / micros * 1e6
}

/// The same from one process, in microseconds a call.
pub(crate) fn per_call(beam: &Beam, node: &str, function: &str, slice: Duration) -> f64 {
    let (calls, micros) = called(beam, node, 1, function, slice);
    micros / calls
}

fn called(beam: &Beam, node: &str, callers: usize, function: &str, slice: Duration) -> (f64, f64) {
    pair(&eval(beam, &format!("bench:callers('{node}', {callers}, {}, {function})", slice.as_millis())))
}

/// Starts a process with the name `sink` that takes this many messages.
pub(crate) fn sink(beam: &Beam, messages: u64) {
    assert_eq!(eval(beam, &format!("bench:sink({messages})")), "ok");
}

/// Waits until it has taken them.
pub(crate) fn sunk(beam: &Beam, messages: u64) {
    assert_eq!(eval(beam, "bench:sunk()"), messages.to_string());
}

/// Sends to a `sink`.
pub(crate) fn send(beam: &Beam, node: &str, messages: u64) {
    assert_eq!(eval(beam, &format!("bench:send('{node}', {messages})")), "ok");
}

fn eval(beam: &Beam, expression: &str) -> String {
    beam.eval_within(expression, Duration::from_secs(120)).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn pair(text: &str) -> (f64, f64) {
    let inner = text.trim_matches(['{', '}']);
    let (first, second) = inner.split_once(',').unwrap_or_else(|| panic!("not a pair: {text}"));
    (first.parse().expect("a number"), second.parse().expect("a number"))
}
