//! The external term format: peerl against eetf, erltf and OTP, on the same bytes in the same run.
//!
//! `cargo bench -p peerl --bench codec [-- CORPUS]` prints medians and ratios. The contestants take turns, so that
//! other load of the machine affects them equally. Every round decodes into a fresh term and drops it, or encodes
//! into a fresh buffer.

mod contestant;
mod corpus;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Duration;

use peerl_term::Term;
use tempfile::TempDir;

use contestant::Contestant;
use corpus::{BINARY, Corpus, RECORDS};
use worker::Library;

const TURNS: usize = 51;
const TURN: Duration = Duration::from_millis(4);

fn main() {
    worker::run_if_worker();
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let otp = Contestant::otp(directory.path());
    let mut otp = otp.map_err(|error| eprintln!("no OTP to compare with: {error}")).ok();
    let mut decoded = Vec::new();
    let mut encoded = Vec::new();
    let mut records = None;
    for mut corpus in corpus::all() {
        if wanted.as_ref().is_some_and(|wanted| !corpus.name.contains(wanted)) {
            continue;
        }
        let file = store(&directory, &corpus);
        if let Some(otp) = &mut otp {
            // OTP orders the keys of large maps differently.
            otp.measure("rewrite", &file, 1).expect("the BEAM answers");
            corpus.bytes = std::fs::read(&file).expect("a corpus").into();
        }
        assert_eq!(Term::decode(&corpus.bytes).as_ref(), Ok(&corpus.term));
        decoded.push(row(&corpus, compare("decode", &file, otp.as_mut())));
        encoded.push(row(&corpus, compare("encode", &file, otp.as_mut())));
        if corpus.name == RECORDS {
            records = Some(compare_typed(&file));
        }
    }
    table("Decode", &decoded);
    table("Encode", &encoded);
    if let Some(records) = records {
        println!("\n| typed decode of the records | µs | against eetf's `Term` |\n|---|--:|--:|");
        let eetf = records[0].1;
        for (name, time) in records {
            println!("| {name} | {:.1} | {:.1}x |", microseconds(time), ratio(eetf, time));
        }
    }
}

fn store(directory: &TempDir, corpus: &Corpus) -> PathBuf {
    let file = directory.path().join(corpus.name.replace(' ', "_"));
    std::fs::write(&file, &corpus.bytes).expect("a temporary file");
    file
}

/// The median times of one corpus, for the contestants that support it.
struct Row {
    corpus: &'static str,
    bytes: usize,
    peerl: Duration,
    eetf: Option<Duration>,
    erltf: Option<Duration>,
    otp: Option<Duration>,
}

/// Runs a number of rounds and returns the duration; `None` if unsupported.
type Peer<'a> = Box<dyn FnMut(u32) -> Option<Duration> + 'a>;

/// Runs an operation on a corpus with the libraries and OTP.
fn compare(what: &'static str, file: &Path, otp: Option<&mut Contestant>) -> Vec<Option<Duration>> {
    let mut peers: Vec<Peer<'_>> = Library::ALL.into_iter().map(|library| peer(library, what, file)).collect();
    match otp {
        Some(otp) => peers.push(Box::new(|rounds| otp.measure(what, file, rounds).expect("the BEAM answers"))),
        None => peers.push(Box::new(|_| None)),
    }
    medians(&mut peers)
}

/// Reads the records into structs; the first line is eetf's time for its `Term`.
fn compare_typed(file: &Path) -> Vec<(&'static str, Duration)> {
    let names = ["eetf `Term`", "peerl `Term`", "peerl structs", "peerl structs that borrow strings"];
    let mut peers = [
        peer(Library::Eetf, "decode", file),
        peer(Library::Peerl, "decode", file),
        peer(Library::Peerl, "structs", file),
        peer(Library::Peerl, "borrowed", file),
    ];
    names.into_iter().zip(medians(&mut peers).into_iter().flatten()).collect()
}

fn peer<'a>(library: Library, what: &'static str, file: &'a Path) -> Peer<'a> {
    let mut contestant = Contestant::library(library).expect("this program starts again");
    Box::new(move |rounds| contestant.measure(what, file, rounds).expect("the worker answers"))
}

/// Runs all contestants in turn; returns the median time of one round of each.
fn medians(peers: &mut [Peer<'_>]) -> Vec<Option<Duration>> {
    let rounds: Vec<u32> = peers.iter_mut().map(rounds_in_a_turn).collect();
    let mut samples = vec![Vec::new(); peers.len()];
    for _ in 0..TURNS {
        for ((peer, rounds), samples) in peers.iter_mut().zip(&rounds).zip(&mut samples) {
            samples.extend(peer(*rounds).map(|time| time / *rounds));
        }
    }
    let median = |mut samples: Vec<Duration>| {
        samples.sort_unstable();
        samples.get(samples.len() / 2).copied()
    };
    samples.into_iter().map(median).collect()
}

/// The number of rounds that fills a turn; also warms up.
fn rounds_in_a_turn(peer: &mut Peer<'_>) -> u32 {
    let mut rounds = 1;
    loop {
        let Some(took) = peer(rounds) else { return 1 };
        if took * 2 > TURN {
            return rounds;
        }
        rounds = (rounds * 2)
            .max((f64::from(rounds) * TURN.div_duration_f64(took.max(Duration::from_nanos(1))) * 0.6) as u32);
    }
}

fn row(corpus: &Corpus, medians: Vec<Option<Duration>>) -> Row {
    let [Some(peerl), eetf, erltf, otp] = medians[..] else {
        unreachable!("four peers, of which ours is always there")
    };
    Row { corpus: corpus.name, bytes: corpus.bytes.len(), peerl, eetf, erltf, otp }
}

fn table(title: &str, rows: &[Row]) {
    println!(
        "\n| {title} | bytes | peerl µs | eetf µs | erltf µs | OTP µs | eetf / peerl | erltf / peerl | OTP / peerl |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|");
    let time = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{:.2}", microseconds(time)));
    let ratio_to = |other: Option<Duration>, row: &Row| match other {
        Some(other) => format!("{:.2}x", ratio(other, row.peerl)),
        None => "-".into(),
    };
    for row in rows {
        println!(
            "| {} | {} | {:.2} | {} | {} | {} | {} | {} | {} |",
            row.corpus,
            row.bytes,
            microseconds(row.peerl),
            time(row.eetf),
            time(row.erltf),
            time(row.otp),
            ratio_to(row.eetf, row),
            ratio_to(row.erltf, row),
            ratio_to(row.otp, row),
        );
    }
    let mean = |other: fn(&Row) -> Option<Duration>| {
        let ratios: Vec<f64> = rows
            .iter()
            .filter(|row| row.corpus != BINARY)
            .filter_map(|row| other(row).map(|other| ratio(other, row.peerl).ln()))
            .collect();
        if ratios.is_empty() {
            "-".into()
        } else {
            format!("**{:.2}x**", (ratios.iter().sum::<f64>() / ratios.len() as f64).exp())
        }
    };
    println!(
        "| geometric mean without the big binary | | | | | | {} | {} | {} |",
        mean(|row| row.eetf),
        mean(|row| row.erltf),
        mean(|row| row.otp)
    );
}

fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ratio(other: Duration, ours: Duration) -> f64 {
    other.div_duration_f64(ours)
}
