//! What it costs when a worker dies in the middle of the work.

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
    println!("| | nobody dies | one dies | lost | asked for again |");
    println!("|---|--:|--:|--:|--:|");
    let least = PAGES as f64 / (WORKERS * WINDOW) as f64 * KIND.wait.as_secs_f64();
    let fewer = WORKERS as f64 / (WORKERS - 1) as f64;
    row("*if the others do no more at once*", [least, least / 2.0 * (1.0 + fewer)], "");

    let epmd = Epmd::start();
    let node = peerl::driver(&epmd, runtime);
    let over_ours = elixir::driver(settings, &epmd);
    let ours = || -> Vec<Worker> { (0..WORKERS).map(|_| Worker::start(&epmd)).collect() };
    turns(settings, "peerl `pmap` over peerl workers", ours, |crew, dies| {
        let names: Vec<NodeName> = crew.iter().map(|worker| worker.name.clone()).collect();
        peerl::pmap(&node, runtime, &names, &urls, WINDOW, dies.then_some(&crew[0].process))
    });
    turns(settings, "`Task.async_stream` over `:erpc` that asks again, peerl workers", ours, |crew, dies| {
        let names: Vec<&str> = crew.iter().map(|worker| worker.name.as_str()).collect();
        elixir::connect(&over_ours, &names);
        elixir::async_stream(&over_ours, &names, &urls, WINDOW, dies.then(|| crew[0].process.pid()))
    });
    let elsewhere = Epmd::start();
    let over_theirs = elixir::driver(settings, &elsewhere);
    let theirs = || -> Vec<Beam> { (0..WORKERS).map(|_| elixir::worker(settings, &elsewhere)).collect() };
    turns(settings, "`Task.async_stream` over `:erpc` that asks again, Elixir workers", theirs, |crew, dies| {
        let names: Vec<&str> = crew.iter().map(Beam::name).collect();
        elixir::connect(&over_theirs, &names);
        elixir::async_stream(&over_theirs, &names, &urls, WINDOW, dies.then(|| pid(&crew[0])))
    });
}

/// The process of the BEAM itself: the fixture's may be a shell before it.
fn pid(beam: &Beam) -> u32 {
    let pid = beam.eval_elixir("System.pid()").expect("a process has an id");
    pid.trim_matches('"').parse().expect("a number")
}

/// So many turns, each with a crew of its own: to warm up, without a death, and with one.
fn turns<C>(settings: &Settings, name: &str, crew: impl Fn() -> Vec<C>, mut job: impl FnMut(&[C], bool) -> Job) {
    let (mut times, mut again) = ([Vec::new(), Vec::new()], Vec::new());
    for _ in 0..settings.rounds {
        let crew = crew();
        job(&crew, false);
        times[0].push(job(&crew, false).time.as_secs_f64());
        let Job { time, again: pages } = job(&crew, true);
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
