//! The external term format: peerl against eetf, erltf and OTP, on the same bytes in the same run.
//!
//! `cargo bench -p peerl --bench codec [-- CORPUS]` prints medians and ratios. All peers take turns, so that what else
//! the machine does meets them alike. Every round decodes into a fresh term and drops it, or encodes into a
//! fresh buffer.

mod beam;
mod corpus;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use peerl_term::{Term, serde as typed};

use beam::Beam;
use corpus::{Account, BINARY, BorrowedAccount, Corpus, RECORDS};

const TURNS: usize = 51;
const TURN: Duration = Duration::from_millis(4);

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let mut beam = Beam::start().map_err(|error| eprintln!("no OTP to compare with: {error}")).ok();
    let mut decoded = Vec::new();
    let mut encoded = Vec::new();
    let mut records = None;
    for mut corpus in corpus::all() {
        if wanted.as_ref().is_some_and(|wanted| !corpus.name.contains(wanted)) {
            continue;
        }
        if let Some(beam) = &mut beam {
            corpus.bytes = beam.rewrite(corpus.name, &corpus.bytes).expect("the BEAM answers").into();
        }
        decoded.push(decode(&corpus, beam.as_mut()));
        encoded.push(encode(&corpus, beam.as_mut()));
        if corpus.name == RECORDS {
            records = Some(decode_records(&corpus));
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

/// The median times of one corpus, of the peers that can do it.
struct Row {
    corpus: &'static str,
    bytes: usize,
    peerl: Duration,
    eetf: Option<Duration>,
    erltf: Option<Duration>,
    otp: Option<Duration>,
}

/// Someone who does a number of rounds, and says how long they took.
type Peer<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

fn decode(corpus: &Corpus, beam: Option<&mut Beam>) -> Row {
    let bytes = &corpus.bytes;
    assert_eq!(Term::decode(bytes).as_ref(), Ok(&corpus.term));
    let mut peers: Vec<Option<Peer<'_>>> = vec![
        Some(timed(|| Term::decode(bytes))),
        eetf::Term::decode(&bytes[..]).ok().map(|_| timed(|| eetf::Term::decode(&bytes[..]))),
        erltf::decode(bytes).ok().map(|_| timed(|| erltf::decode(bytes))),
        beam.map(|beam| measured(beam, "decode", corpus)),
    ];
    row(corpus, medians(&mut peers))
}

fn encode(corpus: &Corpus, beam: Option<&mut Beam>) -> Row {
    let eetf = eetf::Term::decode(&corpus.bytes[..]).ok();
    let erltf = erltf::decode(&corpus.bytes).ok();
    let mut peers: Vec<Option<Peer<'_>>> = vec![
        Some(timed(|| corpus.term.encode())),
        eetf.as_ref().map(|term| {
            timed(move || {
                let mut bytes = Vec::new();
                term.encode(&mut bytes).map(|()| bytes)
            })
        }),
        erltf.as_ref().map(|term| timed(move || erltf::encode(term))),
        beam.map(|beam| measured(beam, "encode", corpus)),
    ];
    row(corpus, medians(&mut peers))
}

/// Reads the records into structs; the first one is eetf's time for its `Term`.
fn decode_records(corpus: &Corpus) -> Vec<(&'static str, Duration)> {
    let bytes: &Bytes = &corpus.bytes;
    let names = ["eetf `Term`", "peerl `Term`", "peerl structs", "peerl structs that borrow strings"];
    let mut peers: Vec<Option<Peer<'_>>> = vec![
        Some(timed(|| eetf::Term::decode(&bytes[..]))),
        Some(timed(|| Term::decode(bytes))),
        Some(timed(|| typed::from_bytes::<Vec<Account>>(bytes).expect("accounts"))),
        Some(timed(|| typed::from_bytes::<Vec<BorrowedAccount<'_>>>(bytes).expect("accounts"))),
    ];
    names.into_iter().zip(medians(&mut peers).into_iter().flatten()).collect()
}

fn timed<'a, T>(mut act: impl FnMut() -> T + 'a) -> Peer<'a> {
    Box::new(move |rounds| {
        drop(black_box(act())); // The allocator gets back what the peer before made it give up.
        let start = Instant::now();
        for _ in 0..rounds {
            drop(black_box(act()));
        }
        start.elapsed()
    })
}

fn measured<'a>(beam: &'a mut Beam, what: &'static str, corpus: &Corpus) -> Peer<'a> {
    let file = beam.store(corpus.name, &corpus.bytes).expect("a temporary file");
    Box::new(move |rounds| beam.measure(what, &file, rounds).expect("the BEAM answers"))
}

/// Lets all peers take turns; gives the median time of one round of each.
fn medians(peers: &mut [Option<Peer<'_>>]) -> Vec<Option<Duration>> {
    let rounds: Vec<u32> = peers.iter_mut().map(|peer| peer.as_mut().map_or(0, rounds_in_a_turn)).collect();
    let mut samples = vec![Vec::new(); peers.len()];
    for _ in 0..TURNS {
        for ((peer, rounds), samples) in peers.iter_mut().zip(&rounds).zip(&mut samples) {
            if let Some(peer) = peer {
                samples.push(peer(*rounds) / *rounds);
            }
        }
    }
    let median = |mut samples: Vec<Duration>| {
        samples.sort_unstable();
        samples.get(TURNS / 2).copied()
    };
    samples.into_iter().map(median).collect()
}

/// Finds out, and warms up.
fn rounds_in_a_turn(peer: &mut Peer<'_>) -> u32 {
    let mut rounds = 1;
    loop {
        let took = peer(rounds);
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
