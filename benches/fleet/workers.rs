//! The gain from more workers.

use std::time::Duration;

use peerl_node::NodeName;
use peerl_test_support::{Beam, Epmd};
use tokio::runtime::Runtime;

use crate::harness::Settings;
use crate::pages::{Kind, Pages};
use crate::peerl::Worker;
use crate::{elixir, median, peerl};

/// Calls at a time for each worker.
const WINDOW: usize = 8;
const WORKERS: [usize; 4] = [1, 2, 4, 8];

/// The contestants, by the program that distributes the pages.
const CONTESTANTS: [&str; 4] = [
    "peerl `pmap` over peerl workers",
    "`Task.async_stream` over `:erpc`, peerl workers",
    "`Task.async_stream` over `:erpc`, Elixir workers",
    "`:rpc.pmap`, Elixir workers (and the caller; all pages at once)",
];

pub(crate) fn run(settings: &Settings, runtime: &Runtime) {
    let pages = Pages::serve(runtime);
    let (epmd, elsewhere) = (Epmd::start(), Epmd::start());
    let node = peerl::driver(&epmd, runtime);
    let ours: Vec<Worker> = (0..WORKERS[3]).map(|_| Worker::start(&epmd)).collect();
    let names: Vec<NodeName> = ours.iter().map(|worker| worker.name.clone()).collect();
    let over_ours = elixir::driver(settings, &epmd);
    // With an EPMD of their own, so that no BEAM node makes a mesh of all.
    let theirs: Vec<Beam> = (0..WORKERS[3]).map(|_| elixir::worker(settings, &elsewhere)).collect();
    let over_theirs = elixir::driver(settings, &elsewhere);
    let jobs = [
        ("Pages, limited by the processor (2 MB, no delay)", 64, Kind { bytes: 2 << 20, wait: Duration::ZERO }),
        ("Pages, limited by latency (4 kB after 50 ms)", 160, Kind { bytes: 4096, wait: Duration::from_millis(50) }),
    ];
    let mut rates = jobs.map(|_| vec![vec![Vec::new(); WORKERS.len()]; CONTESTANTS.len()]);
    // The number only grows: BEAM nodes reconnect a node that leaves to those with which they are still connected.
    for (size, workers) in WORKERS.into_iter().enumerate() {
        let our_names: Vec<&str> = names[..workers].iter().map(NodeName::as_str).collect();
        let their_names: Vec<&str> = theirs[..workers].iter().map(Beam::name).collect();
        elixir::connect(&over_ours, &our_names);
        elixir::connect(&over_theirs, &their_names);
        for ((_, count, kind), rates) in jobs.iter().zip(&mut rates) {
            let urls = pages.urls(*count, *kind);
            for round in 0..=settings.rounds {
                for (contestant, rates) in rates.iter_mut().enumerate() {
                    let job = match contestant {
                        0 => peerl::pmap(&node, runtime, &names[..workers], &urls, WINDOW, None),
                        1 => elixir::async_stream(&over_ours, &our_names, &urls, WINDOW, None),
                        2 => elixir::async_stream(&over_theirs, &their_names, &urls, WINDOW, None),
                        _ => elixir::pmap(&over_theirs, &urls),
                    };
                    // The first round warms up.
                    if round > 0 {
                        rates[size].push(urls.len() as f64 / job.time.as_secs_f64());
                    }
                }
            }
        }
    }
    for ((title, ..), rates) in jobs.iter().zip(&rates) {
        print(title, rates);
    }
}

fn print(title: &str, rates: &[Vec<Vec<f64>>]) {
    println!("\n{title}, {WINDOW} under way at a worker; pages/s, medians (lowest – highest):\n");
    println!("| | 1 worker | 2 | 4 | 8 | 8 to 1 | peerl / this, at 8 |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let last = WORKERS.len() - 1;
    let ours = &rates[0][last];
    for (name, rates) in CONTESTANTS.into_iter().zip(rates) {
        let cell = |rates: &Vec<f64>| {
            let (low, high) =
                (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
            format!("{:.0} ({low:.0} – {high:.0})", median(rates))
        };
        let cells: Vec<String> = rates.iter().map(cell).collect();
        let growth = median(&rates[last]) / median(&rates[0]);
        // Round by round.
        let ratio = median(&ours.iter().zip(&rates[last]).map(|(ours, this)| ours / this).collect::<Vec<_>>());
        println!("| {name} | {} | {growth:.1} | {ratio:.2} |", cells.join(" | "));
    }
}
