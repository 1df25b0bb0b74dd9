//! The measured terms: like those in real clusters, generated from a fixed seed.

use bytes::Bytes;
use peerl_term::{Atom, BigInt, Pid, Reference, Term};
use serde::{Deserialize, Serialize};

/// A term to encode, and its bytes to decode.
pub(crate) struct Corpus {
    pub(crate) name: &'static str,
    pub(crate) term: Term,
    pub(crate) bytes: Bytes,
}

/// The name of the corpus that is reported separately: it measures only a copy.
pub(crate) const BINARY: &str = "8 MB binary";
/// The name of the corpus that is also read with serde.
pub(crate) const RECORDS: &str = "records";

/// One row of the corpus `records`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) age: u8,
    pub(crate) active: bool,
    pub(crate) balance: f64,
    pub(crate) role: Role,
    pub(crate) logins: Vec<u32>,
    pub(crate) manager: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Admin,
    Editor,
    Reader,
}

/// The same row without copies of its strings.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct BorrowedAccount<'a> {
    pub(crate) id: u64,
    pub(crate) name: &'a str,
    pub(crate) email: &'a str,
    pub(crate) age: u8,
    pub(crate) active: bool,
    pub(crate) balance: f64,
    pub(crate) role: Role,
    pub(crate) logins: Vec<u32>,
    pub(crate) manager: Option<u64>,
}

pub(crate) fn all() -> Vec<Corpus> {
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    [
        ("small message", small_message()),
        ("mixed", mixed(&mut random)),
        (RECORDS, peerl_term::serde::to_term(&accounts(&mut random)).expect("accounts are terms")),
        (BINARY, Term::binary((0..8 << 20).map(|i| ((i * 31) >> 3) as u8).collect::<Vec<u8>>())),
        ("integers", integers(&mut random)),
        ("floats", floats(&mut random)),
        ("maps", maps(&mut random)),
        ("strings", strings(&mut random)),
    ]
    .map(|(name, term)| Corpus { name, bytes: term.encode().into(), term })
    .into()
}

/// A `gen_server:call`: `{'$gen_call', {Pid, [alias | Reference]}, {lookup, <<"session:4711">>, 5000}}`.
fn small_message() -> Term {
    let from = Term::tuple([pid(1), Term::list_with_tail([Term::atom("alias")], reference(7))]);
    let request = Term::tuple([Term::atom("lookup"), Term::from("session:4711"), Term::from(5000)]);
    Term::tuple([Term::atom("$gen_call"), from, request])
}

/// 200 events of a log, each a tuple with a pid, a timestamp and a nested map.
fn mixed(random: &mut Random) -> Term {
    let event = |random: &mut Random| {
        let meta = Term::map([
            (Term::atom("pid"), pid(random.below(100_000) as u32)),
            (Term::atom("time"), Term::from(1_700_000_000_000_000 + random.below(1 << 40) as i64)),
            (Term::atom("mfa"), Term::tuple([Term::atom("shop_cart"), Term::atom("checkout"), Term::from(3)])),
            (Term::atom("line"), Term::from(random.below(2000) as i64)),
        ]);
        let items = Term::list((0..random.below(5)).map(|_| {
            Term::tuple([
                Term::from(random.text(8, 16)),
                Term::from(random.below(20) as i64),
                Term::float(random.below(100_000) as f64 / 100.0).expect("finite"),
            ])
        }));
        let level = ["debug", "info", "notice", "warning", "error"][random.below(5) as usize];
        Term::tuple([
            Term::atom("log"),
            Term::atom(level),
            Term::from(random.text(20, 80)),
            Term::map([
                (Term::atom("items"), items),
                (Term::atom("reference"), reference(random.below(1 << 30) as u32)),
                (Term::from("trace"), Term::charlist(&random.text(10, 30))),
            ]),
            meta,
        ])
    };
    Term::list((0..200).map(|_| event(random)).collect::<Vec<_>>())
}

/// 1,000 rows of a table: maps with atoms as keys.
pub(crate) fn accounts(random: &mut Random) -> Vec<Account> {
    let account = |id: u64, random: &mut Random| Account {
        id,
        name: random.text(6, 20),
        email: format!("{}@example.org", random.text(5, 12)),
        age: 18 + random.below(70) as u8,
        active: random.below(4) > 0,
        balance: random.below(10_000_000) as f64 / 100.0,
        role: match random.below(3) {
            0 => Role::Admin,
            1 => Role::Editor,
            _ => Role::Reader,
        },
        logins: (0..random.below(4)).map(|_| 1_600_000_000 + random.below(100_000_000) as u32).collect(),
        manager: (random.below(3) > 0).then(|| random.below(1000)),
    };
    (0..1000).map(|id| account(id, random)).collect()
}

/// 10,000 integers: a third of a byte, a third of 32 bits, the rest of 64 bits, a few of 128.
fn integers(random: &mut Random) -> Term {
    let integer = |random: &mut Random| match random.below(100) {
        0..33 => Term::from(random.below(256) as i64),
        33..66 => Term::from(random.next() as i32),
        66..98 => Term::from(random.next() as i64),
        _ => Term::from(BigInt::from(random.next()) << 60),
    };
    Term::list((0..10_000).map(|_| integer(random)).collect::<Vec<_>>())
}

/// 10,000 floats.
fn floats(random: &mut Random) -> Term {
    let float = |random: &mut Random| (random.next() as i64 as f64) / 1e9;
    Term::list((0..10_000).map(|_| Term::float(float(random)).expect("finite")).collect::<Vec<_>>())
}

/// A map of 2,000 sessions: binaries to small maps with atoms as keys.
fn maps(random: &mut Random) -> Term {
    let session = |random: &mut Random| {
        Term::map([
            (Term::atom("user"), Term::from(random.below(1 << 20) as i64)),
            (Term::atom("node"), Term::atom("shop@10.0.0.7")),
            (Term::atom("state"), Term::atom(["idle", "busy", "closing"][random.below(3) as usize])),
            (Term::atom("since"), Term::from(1_700_000_000 + random.below(10_000_000) as i64)),
        ])
    };
    Term::map((0..2000).map(|_| (Term::from(random.text(16, 17)), session(random))).collect::<Vec<_>>())
}

/// 5,000 binaries of text of 5 to 100 bytes, and 500 charlists.
fn strings(random: &mut Random) -> Term {
    let string = |i: u32, random: &mut Random| match i % 11 {
        0 => Term::charlist(&random.text(5, 100)),
        _ => Term::from(random.text(5, 100)),
    };
    Term::list((0..5500).map(|i| string(i, random)).collect::<Vec<_>>())
}

fn pid(id: u32) -> Term {
    Term::from(Pid { node: Atom::from_static("shop@10.0.0.7"), id, serial: 0, creation: 1_679_000_000 })
}

fn reference(word: u32) -> Term {
    let words = [word & 0x3ffff, 0x2c51_0002, 0x9f10_44a1];
    Term::from(Reference::new(Atom::from_static("shop@10.0.0.7"), 1_679_000_000, &words).expect("three words"))
}

/// xorshift64: the corpora are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Lower-case text of a length in the range, with some spaces.
    fn text(&mut self, from: u64, to: u64) -> String {
        let len = from + self.below(to - from);
        (0..len).map(|_| b"etaoinshrdlucmfwyp vbgkqjxz"[self.below(27) as usize] as char).collect()
    }
}
