//! The cost of a worker's death in the middle of the work.

use std::time::Duration;

use peerl_node::NodeName;
use peerl_test_support::{Beam, Epmd};
use tokio::runtime::Runtime;

use crate::elixir::Job;
use crate::harness::Settings;
use crate::pages::{Kind, Pages};
use crate::peerl::Worker;
use crate::{elixir, median, peerl};

const WORKERS: usize = 4;
const WINDOW: usize = 8;
const PAGES: usize = 320;
const KIND: Kind = Kind { bytes: 4096, wait: Duration::from_millis(50) };

pub(crate) fn run(settings: &Settings, runtime: &Runtime) {
    let pages = Pages::serve(runtime);
    let urls = pages.urls(PAGES, KIND);
    println!(
        "\nA worker of {WORKERS} is killed (SIGKILL) when half of {PAGES} pages are done (4 kB after 50 ms, {WINDOW} under \
         way at a worker); medians of {} turns:\n",
        settings.rounds
    );
    println!("| | none dies | one dies | lost time | repeated requests |");
    println!("|---|--:|--:|--:|--:|");
    let least = PAGES as f64 / (WORKERS * WINDOW) as f64 * KIND.wait.as_secs_f64();
    let fewer = WORKERS as f64 / (WORKERS - 1) as f64;
    row("*if the others keep their rate*", [least, least / 2.0 * (1.0 + fewer)], "");

    let epmd = Epmd::start();
    let node = peerl::driver(&epmd, runtime);
    let over_ours = elixir::driver(settings, &epmd);
    let ours = || -> Vec<Worker> { (0..WORKERS).map(|_| Worker::start(&epmd)).collect() };
    turns(settings, "peerl `pmap` over peerl workers", ours, |workers, dies| {
        let names: Vec<NodeName> = workers.iter().map(|worker| worker.name.clone()).collect();
        peerl::pmap(&node, runtime, &names, &urls, WINDOW, dies.then_some(&workers[0].process))
    });
    turns(settings, "`Task.async_stream` over `:erpc` with retries, peerl workers", ours, |workers, dies| {
        let names: Vec<&str> = workers.iter().map(|worker| worker.name.as_str()).collect();
        elixir::connect(&over_ours, &names);
        elixir::async_stream(&over_ours, &names, &urls, WINDOW, dies.then(|| workers[0].process.pid()))
    });
    let elsewhere = Epmd::start();
    let over_theirs = elixir::driver(settings, &elsewhere);
    let theirs = || -> Vec<Beam> { (0..WORKERS).map(|_| elixir::worker(settings, &elsewhere)).collect() };
    turns(settings, "`Task.async_stream` over `:erpc` with retries, Elixir workers", theirs, |workers, dies| {
        let names: Vec<&str> = workers.iter().map(Beam::name).collect();
        elixir::connect(&over_theirs, &names);
        elixir::async_stream(&over_theirs, &names, &urls, WINDOW, dies.then(|| pid(&workers[0])))
    });
}

/// The BEAM process itself: the fixture's process may be a shell.
fn pid(beam: &Beam) -> u32 {
    let pid = beam.eval_elixir("System.pid()").expect("a process has an id");
    pid.trim_matches('"').parse().expect("a number")
}

/// Runs the turns, each with its own workers: to warm up, without a death, and with one.
fn turns<C>(settings: &Settings, name: &str, workers: impl Fn() -> Vec<C>, mut job: impl FnMut(&[C], bool) -> Job) {
    let (mut times, mut again) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..settings.rounds {
        let workers = workers();
        job(&workers, false);
        times[0].push(job(&workers, false).time.as_secs_f64());
        let Job { time, again: pages } = job(&workers, true);
        times[1].push(time.as_secs_f64());
        again.push(pages as f64);
    }
    row(name, times.map(|times| median(&times)), &format!("{:.0}", median(&again)));
}

fn row(name: &str, [whole, killed]: [f64; 2], again: &str) {
    let lost = killed - whole;
    println!(
        "| {name} | {:.0} ms | {:.0} ms | {:.0} ms ({:.0} %) | {again} |",
        whole * 1e3,
        killed * 1e3,
        lost * 1e3,
        lost / whole * 100.0
    );
}
