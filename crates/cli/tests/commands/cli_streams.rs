//! `peerl pmap` and `peerl checksum` as streams: items in and results out one by one, constant memory, and an
//! immediate end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cluster::{A_WHILE, Cluster, Ran, records};
use peerl_test_support::{Beam, ProcessGuard, matrix};

/// A BEAM with functions for the items of these tests.
fn beam(cluster: &Cluster, otp: peerl_test_support::Otp) -> Beam {
    let beam = Beam::erlang(otp).epmd(&cluster.epmd).start();
    beam.load_module(
        "-module(jobs).\n-export([same/1, large/1, list/1, odd/1]).\n\
         same(X) -> X.\n\
         large(X) -> {binary_to_integer(X), binary:copy(<<\"0123456789abcdef\">>, 1 bsl 18)}.\n\
         list(X) -> [binary_to_integer(X) | lists:duplicate(4000000, 77)].\n\
         odd(X) -> 1 = binary_to_integer(X) rem 2.\n",
    )
    .unwrap();
    beam
}

fn pmap(cluster: &Cluster, call: &str, beam: &Beam, more: &[&str]) -> Command {
    cluster.command(&[&["pmap", call, "--items", "-", "--node", beam.name()], more].concat())
}

fn start(mut command: Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads until the text holds this.
fn read_until(out: &mut impl Read, text: &mut String, wanted: &str) {
    let mut buffer = [0; 4096];
    while !text.contains(wanted) {
        let length = out.read(&mut buffer).unwrap();
        assert!(length > 0, "{wanted} in {text}");
        text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
}

fn signal(child: &Child, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

/// Ends it by a signal; returns its output and the time that it took.
fn ended(child: Child, name: &str) -> (Ran, Duration) {
    signal(&child, name);
    let began = Instant::now();
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    assert!(!ran.err.contains("panicked"), "{ran:?}");
    (ran, began.elapsed())
}

#[test]
fn a_result_comes_before_the_next_item_is_given() {
    let cluster = Cluster::start();
    let beam = beam(&cluster, matrix()[0]);
    for format in ["jsonl", "json", "erlang", "elixir", "text"] {
        let mut running = start(pmap(&cluster, "jobs:same(_)", &beam, &["--format", format]));
        let mut items = running.stdin.take().unwrap();
        let mut out = running.stdout.take().unwrap();
        let mut text = String::new();
        for number in 0..4 {
            writeln!(items, "item{number}").unwrap();
            read_until(&mut out, &mut text, &format!("item{number}"));
        }
        drop(items);
        assert!(running.wait().unwrap().success(), "{format}");
    }
}

#[test]
fn items_from_a_terminal() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    // script(1) gives the command a terminal for both.
    let peerl = cluster.command(&[]);
    let line = format!(
        "{} pmap 'peerl:echo(_)' --items - --node {name} --format jsonl",
        peerl.get_program().to_str().unwrap()
    );
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).current_dir(cluster.home.path());
    for (name, value) in peerl.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let mut running = start(command);
    let mut keyboard = running.stdin.take().unwrap();
    let mut screen = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    for word in ["one", "two"] {
        writeln!(keyboard, "{word}").unwrap();
        assert!(screen.by_ref().any(|row| row.contains(&format!("\"value\":\"{word}\""))));
    }
    // Ctrl-D.
    keyboard.write_all(&[4]).unwrap();
    assert!(running.wait().unwrap().success());
}

#[test]
fn ctrl_c_prints_what_is_done_and_closes_the_array() {
    let cluster = Cluster::start();
    let beam = beam(&cluster, matrix()[0]);
    for (name, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 129)] {
        let mut running = start(pmap(&cluster, "jobs:same(_)", &beam, &["--format", "json"]));
        // The input stays open: the end of the items would end the run, too.
        let mut items = running.stdin.take().unwrap();
        items.write_all(b"a\nb\nc\n").unwrap();
        let mut out = running.stdout.take().unwrap();
        let mut text = String::new();
        read_until(&mut out, &mut text, "\"c\"");
        let (ran, took) = ended(running, name);
        drop(items);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(took < Duration::from_secs(20), "{took:?}");
        out.read_to_string(&mut text).unwrap();
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(rows.len(), 3);
        assert!(ran.err.contains("3 items done"), "{ran:?}");
    }
}

#[test]
fn memory_does_not_grow_with_the_items() {
    const ITEMS: usize = 60_000;
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let urls: String =
        (0..ITEMS).map(|number| format!("https://example.org/a/long/path/of/a/page/{number}\n")).collect();
    let file = cluster.write("items", urls);
    let peak = |more: &[&str]| {
        let arguments = ["pmap", "peerl:echo(_)", "--items", &file, "--node", &name, "--concurrency", "64"];
        let running = ProcessGuard::spawn(&mut cluster.command(&[&arguments, more].concat()));
        let status = format!("/proc/{}/status", running.pid());
        let mut peak = 0_u64;
        while running.is_running() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
            peak = peak.max(line.trim().trim_end_matches(" kB").parse().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(running.wait(A_WHILE).success(), "{}", running.stderr());
        peak / 1024
    };
    let out = cluster.path("out.jsonl");
    let out = out.to_str().unwrap();
    let first = peak(&["--format", "jsonl", "--out", out]);
    assert!(first < 60, "{first} MB");
    assert_eq!(records(std::path::Path::new(out)).len(), ITEMS);
    let resumed = peak(&["--format", "json", "--out", out, "--resume"]);
    assert!(resumed < 60, "{resumed} MB");
}

#[test]
fn large_answers_are_shown_by_their_beginning_and_size() {
    for otp in matrix() {
        let cluster = Cluster::start();
        let beam = beam(&cluster, otp);
        let out = cluster.path("large.jsonl");
        let mut running = start(pmap(&cluster, "jobs:large(_)", &beam, &["--out", out.to_str().unwrap()]));
        running.stdin.take().unwrap().write_all(b"1\n2\n3\n4\n").unwrap();
        let output = running.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.len() < 4000, "{}", text.len());
        for number in 1..=4 {
            assert!(text.contains(&format!("{{{number},<<\"0123456789abcdef0123")), "{text}");
        }
        assert!(text.contains("… (4.19 MB)"), "{text}");
        let whole = records(&out);
        assert!(
            whole.len() == 4
                && whole.iter().all(|record| record["value"]["$tuple"][1].as_str().unwrap().len() == 4 << 20)
        );
    }
}

#[test]
fn a_signal_ends_it_within_a_second_whatever_it_computes_alone() {
    let cluster = Cluster::start();
    let beam = beam(&cluster, matrix()[0]);
    for (format, name, code) in [("text", "-TERM", 143), ("json", "-INT", 130), ("erlang", "-TERM", 143)] {
        let more = ["--format", format, "--timeout", "10m"];
        let mut running = start(pmap(&cluster, "jobs:list(_)", &beam, &more));
        let items: String = (0..40).map(|number| format!("{number}\n")).collect();
        running.stdin.take().unwrap().write_all(items.as_bytes()).unwrap();
        // Long enough for answers to arrive, be decoded and printed.
        std::thread::sleep(Duration::from_secs(2));
        let (ran, took) = ended(running, name);
        assert_eq!(ran.code, code, "{}", ran.err);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn a_file_belongs_to_one_call() {
    let cluster = Cluster::start();
    let beam = beam(&cluster, matrix()[0]);
    let out = cluster.path("out.jsonl");
    let out = out.to_str().unwrap();
    let run = |call: &str, more: &[&str]| {
        let arguments = [&["pmap", call, "--items", "-", "--node", beam.name(), "--out", out], more].concat();
        cluster.run_with(&arguments, b"1\n2\n3\n")
    };
    assert_eq!(run("jobs:odd(_)", &[]).code, 2);
    let text = || std::fs::read_to_string(out).unwrap();
    let first = text();
    let failure = run("jobs:odd(_)", &[]).failure(1);
    assert!(failure.contains("exists") && failure.contains("--resume"), "{failure}");
    let failure = run("jobs:same(_)", &["--resume"]).failure(64);
    assert!(failure.contains("jobs:odd(_)") && failure.contains("jobs:same(_)"), "{failure}");
    run("jobs:odd({_, 1})", &["--resume"]).failure(64);
    run("jobs:odd(_)", &["--resume", "--items-format", "json"]).failure(64);
    let arguments = ["checksum", "http://127.0.0.1:1/", "--local", "1", "--out", out, "--resume"];
    cluster.run(&arguments).failure(64);
    assert_eq!(text(), first, "nothing is written");
    // The same call in the other syntax; nothing is left to do, and earlier failures are printed again.
    let again = run(":jobs.odd( _ )", &["--resume", "--concurrency", "1"]);
    assert_eq!((again.code, text()), (2, first.clone()));
    assert_eq!(again.out.lines().count(), 4);
    // Failed items are repeated, and then count as successes.
    beam.load_module("-module(jobs).\n-export([odd/1]).\nodd(X) -> binary_to_integer(X).\n").unwrap();
    let retried = run("jobs:odd(_)", &["--retry-failed", "--format", "json"]);
    assert_eq!(retried.code, 0, "{retried:?}");
    assert_eq!(retried.json()[1]["value"], 2);
    assert_eq!(text().lines().count(), first.lines().count() + 1);
    let last = run("jobs:odd(_)", &["--resume", "--format", "jsonl"]);
    assert_eq!((last.code, last.out.lines().count()), (0, 3));
}

#[test]
fn a_hyphen_is_the_standard_output() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let arguments = ["pmap", "peerl:echo(_)", "--items", "-", "--node", &name, "--out", "-"];
    let ran = cluster.run_with(&arguments, b"1\n2\n");
    let mut items: Vec<String> = ran
        .ok()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["item"].as_str().unwrap().to_owned())
        .collect();
    items.sort();
    assert_eq!(items, ["1", "2"]);
    assert!(!cluster.path("-").exists());
    cluster.run_with(&[&arguments[..], &["--resume"]].concat(), b"1\n").failure(64);
}

#[test]
fn an_item_that_cannot_be_read_ends_the_job_after_those_before_it() {
    let cluster = Cluster::start();
    let (_worker, name) = cluster.worker(&[]);
    let arguments = ["pmap", "peerl:echo(_)", "--items", "-", "--node", &name, "--format", "json"];
    let ran = cluster.run_with(&arguments, b"1\n2\n\xff\n4\n");
    assert_eq!(ran.json().as_array().unwrap().len(), 2);
    assert!(ran.failure(1).contains("line 3"));
}
