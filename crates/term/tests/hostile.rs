//! Random and damaged bytes cause an error or make a term, never a panic, and every reader consumes the same length.

use std::collections::BTreeMap;

use bytes::Bytes;
use peerl_term::serde::{Options, from_slice, to_vec};
use peerl_term::{AtomTable, Decoder, Limits, Measure, Term};
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    small: i8,
    large: u64,
    huge: i128,
    float: f64,
    letter: char,
    text: String,
    maybe: Option<String>,
    list: Vec<i64>,
    tuple: (u8, String),
    map: BTreeMap<String, Vec<u8>>,
    kind: Kind,
    outcome: Result<u32, String>,
    inner: Option<Box<Everything>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    Newtype(Vec<Kind>),
    Tuple(i32, String),
    Struct { a: u16, b: Option<bool> },
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Unit),
        (any::<i32>(), ".{0,9}").prop_map(|(a, b)| Kind::Tuple(a, b)),
        (any::<u16>(), any::<Option<bool>>()).prop_map(|(a, b)| Kind::Struct { a, b }),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Kind::Newtype))
}

/// `None` and its two atoms are read alike.
fn text() -> impl Strategy<Value = String> {
    ".{0,30}".prop_filter("not absent", |text| text != "undefined" && text != "nil")
}

fn everything() -> impl Strategy<Value = Everything> {
    let numbers = (any::<bool>(), any::<i8>(), any::<u64>(), any::<i128>(), prop::num::f64::NORMAL, any::<char>());
    let compound = (
        prop::collection::vec(any::<i64>(), 0..9),
        (any::<u8>(), ".{0,9}"),
        prop::collection::btree_map(".{0,5}", prop::collection::vec(any::<u8>(), 0..5), 0..4),
        kind(),
        prop_oneof![any::<u32>().prop_map(Ok), ".{0,9}".prop_map(Err)],
    );
    let flat = (numbers, text(), prop::option::of(text()), compound).prop_map(
        |((flag, small, large, huge, float, letter), text, maybe, (list, tuple, map, kind, outcome))| Everything {
            flag,
            small,
            large,
            huge,
            float,
            letter,
            text,
            maybe,
            list,
            tuple,
            map,
            kind,
            outcome,
            inner: None,
        },
    );
    flat.prop_recursive(3, 3, 1, |inner| {
        inner.prop_map(|inner| Everything { inner: Some(Box::new(inner.clone())), ..inner })
    })
}

/// A stream of tags and small numbers: more of it is well-formed than of random bytes.
fn tagged() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::sample::select(
        [67, 70, 77, 82, 88, 89, 90, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113]
            .into_iter()
            .chain([114, 115, 116, 118, 119, 120])
            .collect::<Vec<u8>>(),
    );
    let byte = prop_oneof![4 => tags, 6 => 0u8..4, 1 => any::<u8>()];
    prop::collection::vec(byte, 0..60)
}

fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    (everything(), damage, any::<prop::sample::Index>()).prop_map(|(value, damage, end)| {
        let mut wire = to_vec(&value).unwrap().split_off(1);
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        if end.index(4) == 0 {
            wire.truncate(end.index(wire.len()));
        }
        wire
    })
}

/// Where a measure of the whole term ends, and what it finds.
fn measured(body: &[u8]) -> (usize, usize) {
    let mut measure = Measure::new();
    assert!(measure.advance(body, usize::MAX));
    (measure.position(), measure.memory())
}

fn survive(body: &[u8]) {
    let shared = Bytes::copy_from_slice(body);
    let limits = Limits { elements: 1 << 16, ..Limits::default() };
    let atoms = AtomTable::empty();
    let mut reading = Decoder::new(&shared, &atoms, &limits);
    let mut skipping = reading.clone();
    let (term, skipped) = (reading.term(), skipping.skip_term());
    if let Ok(term) = &term {
        assert_eq!(skipped.as_ref(), Ok(&reading.position()), "{body:?}");
        let wire = term.encode();
        let again = Term::decode(&Bytes::copy_from_slice(&wire)).unwrap();
        assert_eq!(&again, term);
        assert_eq!(again.encode(), wire);
    }
    for step in [1, 2, 7] {
        let mut measure = Measure::new();
        while !measure.advance(body, step) {}
        if term.is_ok() {
            assert_eq!(measure.position(), reading.position(), "{body:?}");
        }
        assert_eq!((measure.position(), measure.memory()), measured(body), "{body:?}, {step} elements at a time");
    }
    let wire = [&[131], body].concat();
    let options = Options::default();
    let _ = options.from_slice::<Everything>(&wire);
    let _ = options.from_slice::<Kind>(&wire);
    let _ = options.from_slice::<Vec<Kind>>(&wire);
    let _ = options.from_slice::<serde_json::Value>(&wire);
    let _ = options.from_slice::<BTreeMap<String, (u8, Term)>>(&wire);
    if let Ok(term) = term
        && reading.is_empty()
    {
        options.from_slice::<IgnoredAny>(&wire).unwrap();
        assert_eq!(options.from_slice::<Term>(&wire).unwrap(), term);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes(body in prop::collection::vec(any::<u8>(), 0..80)) {
        survive(&body);
    }

    #[test]
    fn random_tags(body in tagged()) {
        survive(&body);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_terms(body in damaged()) {
        survive(&body);
    }

    #[test]
    fn derived_types_come_back(value in everything()) {
        let wire = to_vec(&value).unwrap();
        prop_assert_eq!(&from_slice::<Everything>(&wire).unwrap(), &value);
        let term = Term::decode(&wire.into()).unwrap();
        prop_assert_eq!(&from_slice::<Everything>(&term.encode()).unwrap(), &value);
    }
}
