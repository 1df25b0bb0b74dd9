#![no_main]
//! Terms as values of Rust: whatever is read is the same after it has been written.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use peerl_term::serde::{from_bytes, from_term, to_vec};
use peerl_term::{Pid, Reference, Term};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    name: String,
    number: i64,
    list: Vec<Option<bool>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Choice {
    Unit,
    One(u8),
    Two(String, (i8, u16)),
    Named { key: char, record: Option<Box<Record>> },
}

/// `term` is what the input is, if it is as peerl and the BEAM encode it: the other forms are read by `Term` alone, such as
/// compressed terms, and binaries that are encoded as bit strings.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(input: &Bytes, term: Option<&Term>) {
    let read = from_bytes::<T>(input);
    if let Some(of_term) = term.map(from_term::<T>) {
        assert_eq!(of_term.ok().map(|value| to_vec(&value)), read.as_ref().ok().map(to_vec));
    }
    let Ok(value) = read else { return };
    let written = to_vec(&value).expect("what was read can be written");
    let again: T = from_bytes(&Bytes::from(written)).expect("what was written can be read");
    assert_eq!(again, value);
}

fuzz_target!(|input: &[u8]| {
    let input = Bytes::copy_from_slice(input);
    let term = Term::decode(&input).ok().filter(|term| term.encode() == input);
    let term = term.as_ref();
    read::<Term>(&input, term);
    read::<Record>(&input, term);
    read::<Choice>(&input, term);
    read::<BTreeMap<String, Vec<i128>>>(&input, term);
    read::<(u64, i32, bool, char)>(&input, term);
    read::<Vec<(Option<Pid>, Reference)>>(&input, term);
    let _ = from_bytes::<Vec<f64>>(&input);
    let _ = from_bytes::<&str>(&input);
    let _ = from_bytes::<&[u8]>(&input);
});
