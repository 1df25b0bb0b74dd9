//! The libraries, each in a process that this program starts from its own binary.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use peerl_term::{Term, serde as typed};

use crate::corpus::{Account, BorrowedAccount};

/// The environment variable that names the library of a worker.
pub(crate) const ROLE: &str = "PEERL_BENCH_CODEC";

/// The answer of a library that does not support the operation.
pub(crate) const CANNOT: &str = "cannot";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Peerl,
    Eetf,
    Erltf,
}

impl Library {
    pub(crate) const ALL: [Self; 3] = [Self::Peerl, Self::Eetf, Self::Erltf];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Peerl => "peerl",
            Self::Eetf => "eetf",
            Self::Erltf => "erltf",
        }
    }
}

/// Serves requests until there are no more, if this process was started as a worker.
pub(crate) fn run_if_worker() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let library = Library::ALL.into_iter().find(|library| library.name() == role).expect("a library");
    // From then on, as after any large message, the C library keeps memory that it would otherwise return to the
    // kernel each time; a BEAM process also gets its heap before the measurement.
    drop(black_box(vec![1u8; 32 << 20]));
    for request in std::io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = request.split(' ');
        let mut word = || words.next().expect("three words");
        let (what, file, rounds) = (word(), word(), word().parse().expect("a number"));
        let bytes = Bytes::from(std::fs::read(file).expect("a corpus"));
        match measure(library, what, &bytes, rounds) {
            Some(time) => println!("{}", time.as_nanos()),
            None => println!("{CANNOT}"),
        }
        std::io::stdout().flush().expect("somebody reads");
    }
    std::process::exit(0);
}

fn measure(library: Library, what: &str, bytes: &Bytes, rounds: u32) -> Option<Duration> {
    match (library, what) {
        (Library::Peerl, "decode") => Some(timed(rounds, || Term::decode(bytes))),
        (Library::Peerl, "encode") => {
            let term = Term::decode(bytes).ok()?;
            Some(timed(rounds, || term.encode()))
        }
        (Library::Peerl, "structs") => {
            Some(timed(rounds, || typed::from_bytes::<Vec<Account>>(bytes).expect("accounts")))
        }
        (Library::Peerl, "borrowed") => {
            Some(timed(rounds, || typed::from_bytes::<Vec<BorrowedAccount<'_>>>(bytes).expect("accounts")))
        }
        (Library::Eetf, "decode") => {
            eetf::Term::decode(&bytes[..]).ok()?;
            Some(timed(rounds, || eetf::Term::decode(&bytes[..])))
        }
        (Library::Eetf, "encode") => {
            let term = eetf::Term::decode(&bytes[..]).ok()?;
            Some(timed(rounds, || {
                let mut bytes = Vec::new();
                term.encode(&mut bytes).map(|()| bytes)
            }))
        }
        (Library::Erltf, "decode") => {
            erltf::decode(bytes).ok()?;
            Some(timed(rounds, || erltf::decode(bytes)))
        }
        (Library::Erltf, "encode") => {
            let term = erltf::decode(bytes).ok()?;
            Some(timed(rounds, || erltf::encode(&term)))
        }
        _ => None,
    }
}

/// Measures as the BEAM does: half as many rounds warm up first.
fn timed<T>(rounds: u32, mut act: impl FnMut() -> T) -> Duration {
    for _ in 0..rounds / 2 + 1 {
        drop(black_box(act()));
    }
    let start = Instant::now();
    for _ in 0..rounds {
        drop(black_box(act()));
    }
    start.elapsed()
}
