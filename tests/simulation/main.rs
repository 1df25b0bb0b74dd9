//! Whole nodes on a simulated network, in simulated time. A seed gives a schedule: connections come and go, hosts are separated
//! and reunited, bytes are late, nodes die and start again, and meanwhile processes call, link, monitor and send. Whatever
//! happens, what the documentation promises holds.
//!
//! `PEERL_SEEDS=10000` runs more seeds than the usual 200; `PEERL_SEED=7` runs one, and prints its trace.

mod cluster;
mod random;
mod record;
mod residents;
mod work;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Builder;

use cluster::Cluster;

/// A run that takes longer, in real time, hangs.
const HANGS: Duration = Duration::from_secs(120);

thread_local! {
    /// How many panics there were in tasks of this thread.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// What a seed has given: the trace, and the broken invariants.
struct Outcome {
    trace: Vec<String>,
    failures: Vec<String>,
}

fn run(seed: u64) -> Outcome {
    PANICS.set(0);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (trace, mut failures) = runtime.block_on(async { Cluster::new(seed).run().await });
    drop(runtime);
    if PANICS.get() > 0 {
        failures.push(format!("{} panics", PANICS.get()));
    }
    Outcome { trace, failures }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is not a number")))
}

fn count_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.set(PANICS.get() + 1);
        usual(panic);
    }));
}

#[test]
fn what_is_promised_holds_for_every_seed() {
    count_panics();
    if let Some(seed) = number("PEERL_SEED") {
        let outcome = run(seed);
        println!("{}", outcome.trace.join("\n"));
        assert!(outcome.failures.is_empty(), "seed {seed}: {:#?}", outcome.failures);
        return;
    }
    let seeds = number("PEERL_SEEDS").unwrap_or(200);
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (reports, reported) = mpsc::channel();
    let next = &*Box::leak(Box::new(next));
    for thread in 0..threads {
        let reports = reports.clone();
        std::thread::spawn(move || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return;
                }
                let _ = reports.send((thread, seed, None));
                let outcome = std::panic::catch_unwind(|| run(seed));
                let _ = reports.send((thread, seed, Some(outcome)));
            }
        });
    }
    drop(reports);
    let mut running = vec![None; threads];
    let mut failed = Vec::new();
    loop {
        let (thread, seed, outcome) = match reported.recv_timeout(HANGS) {
            Ok(report) => report,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("these seeds hang: {running:?}"),
        };
        if outcome.is_some() && seed.is_multiple_of(500) {
            println!("seed {seed} of {seeds}");
        }
        match outcome {
            None => running[thread] = Some(seed),
            Some(Ok(outcome)) if outcome.failures.is_empty() => running[thread] = None,
            Some(outcome) => {
                println!("\nPEERL_SEED={seed} cargo nextest run -p peerl --test simulation --no-capture every_seed");
                if let Ok(outcome) = outcome {
                    outcome.failures.iter().for_each(|failure| println!("  {failure}"));
                }
                running[thread] = None;
                failed.push(seed);
            }
        }
    }
    assert!(failed.is_empty(), "{} of {seeds} seeds fail: {failed:?}", failed.len());
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [1, 2, 3] {
        let (first, second) = (run(seed), run(seed));
        assert!(first.trace.len() > 20);
        let differs = first.trace.iter().zip(&second.trace).find(|(one, two)| one != two);
        assert!(differs.is_none(), "seed {seed}: {differs:#?}");
        assert_eq!(first.trace.len(), second.trace.len());
    }
}
