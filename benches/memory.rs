//! The memory of an idle connection, and of an idle worker. `cargo bench -p peerl --bench memory`

#![allow(missing_docs)]

mod harness;
mod peers;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Settings, describe};
use peerl_test_support::{COOKIE, Epmd, unique_name};
use peers::{Raw, Worker};

const CONNECTIONS: usize = 500;

fn main() {
    peers::run_if_worker();
    let settings = Settings::from_args();
    println!("{}", describe(&settings));
    let epmd = peers::start_epmd(&settings);
    println!("\n| memory | resident | target |");
    println!("|---|---:|---|");
    connection(&settings, &epmd);
    worker(&settings, &epmd);
}

/// Each connection makes one call before it is idle, so that it has allocated all that a connection in use needs.
fn connection(settings: &Settings, epmd: &Epmd) {
    let mut per_connection: Vec<f64> = (0..3)
        .map(|_| {
            let worker = Worker::start(settings, epmd);
            let mut connections = connect(&worker, 20);
            let before = resident(worker.pid());
            connections.extend(connect(&worker, CONNECTIONS));
            let after = resident(worker.pid());
            (after - before) / CONNECTIONS as f64
        })
        .collect();
    per_connection.sort_by(f64::total_cmp);
    let kib = per_connection[1] / 1024.0;
    let met = if kib <= 32.0 { "met" } else { "MISSED" };
    println!("| an idle connection (of {CONNECTIONS}) | {kib:.1} KiB | at most 32 KiB: {met} |");
}

fn connect(worker: &Worker, count: usize) -> Vec<Raw> {
    let connections = (0..count).map(|_| {
        let mut raw = Raw::connect(worker.name(), worker.port());
        raw.per_call(Duration::ZERO);
        raw
    });
    let connections = connections.collect();
    std::thread::sleep(Duration::from_millis(300));
    connections
}

fn worker(settings: &Settings, epmd: &Epmd) {
    let worker = Worker::start(settings, epmd);
    drop(connect(&worker, 1));
    report("an idle node that exports four functions", resident(worker.pid()));
    drop(worker);
    let Some(program) = peerl() else {
        println!("| an idle `peerl worker` | not built: `cargo build --release` makes it | |");
        return;
    };
    let child = Command::new(program)
        .args(["--name", &format!("{}@127.0.0.1", unique_name("idle")), "--cookie", COOKIE, "worker"])
        .env("ERL_EPMD_PORT", epmd.port().to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return };
    std::thread::sleep(Duration::from_secs(2));
    report("an idle `peerl worker`", resident(child.id()));
    let _ = child.kill();
    let _ = child.wait();
}

fn report(what: &str, bytes: f64) {
    let mb = bytes / 1e6;
    let met = if mb <= 15.0 { "met" } else { "MISSED" };
    println!("| {what} | {mb:.1} MB | at most 15 MB: {met} |");
}

/// The binary of the release profile, beside this benchmark.
fn peerl() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let program = own.parent()?.parent()?.join("peerl");
    program.exists().then_some(program)
}

/// The resident memory of a process, in bytes.
fn resident(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it says how much");
    kib.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}
