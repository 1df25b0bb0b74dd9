//! No function recurses on its input: a million levels fit any stack.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;

use bytes::Bytes;
use peerl_term::text::{elixir, erlang};
use peerl_term::{Limits, Record, Term};
use proptest::prelude::*;

const DEPTH: usize = 1_000_000;

/// Maps are sorted and printed by slow functions, and a tenth of the levels does not fit the stack either.
const DEPTH_OF_MAPS: usize = 100_000;

fn nested(levels: usize, tag_and_count: &[u8], after: &[u8]) -> Bytes {
    [&[131], &tag_and_count.repeat(levels)[..], &[106], &after.repeat(levels)].concat().into()
}

fn live_through(wire: Bytes) {
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(move || {
        let term = Term::decode(&wire).unwrap();
        assert_eq!(term.encode(), wire);
        let twin = term.clone();
        assert_eq!(twin, term);
        assert!(twin <= term);
        let mut hasher = DefaultHasher::new();
        twin.hash(&mut hasher);
        drop(twin);
        assert_eq!(erlang::parse(&erlang::display(&term).to_string()).as_ref(), Ok(&term));
        assert_eq!(elixir::parse(&elixir::display(&term).to_string()).as_ref(), Ok(&term));
        assert!(format!("{term:?}").len() >= wire.len() / 8);
        drop(term);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn lists_a_million_deep() {
    live_through(nested(DEPTH, &[108, 0, 0, 0, 1], &[106]));
}

#[test]
fn tuples_a_million_deep() {
    live_through(nested(DEPTH, &[104, 1], &[]));
}

#[test]
fn maps_nested_in_values_and_in_keys() {
    live_through(nested(DEPTH_OF_MAPS, &[116, 0, 0, 0, 1, 97, 1], &[]));
    live_through(nested(DEPTH_OF_MAPS, &[116, 0, 0, 0, 1], &[97, 1]));
}

#[test]
fn tails_a_million_long_are_one_list() {
    let mut wire = vec![131];
    for _ in 0..DEPTH {
        wire.extend_from_slice(&[108, 0, 0, 0, 1, 97, 1]);
    }
    wire.push(106);
    let term = Term::decode(&wire.into()).unwrap();
    assert_eq!(term.as_list().unwrap().len(), DEPTH);
}

#[test]
fn nested_counts_do_not_multiply_what_is_allocated() {
    // Each level claims as many elements as there are bytes left; only the first claim is possible.
    let mut wire = vec![131];
    for level in (0..200_000u32).rev() {
        wire.push(108);
        wire.extend_from_slice(&(level * 5).to_be_bytes());
    }
    assert!(Term::decode_with(&wire.into(), &Limits::default()).is_err());
}

#[test]
fn text_that_never_closes_is_an_error_at_any_depth() {
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(|| {
        for open in ["[", "{", "#{", "#{a=>", "[1|", "#m:r{a={"] {
            assert!(erlang::parse(&open.repeat(DEPTH / 5)).is_err());
        }
        for open in ["[", "{", "%{", "%{a: ", "[1|", "%A{a: [b: ", "#Record<a.b, c: "] {
            assert!(elixir::parse(&open.repeat(DEPTH / 5)).is_err());
        }
    });
    thread.unwrap().join().unwrap();
}

/// How a term is nested in another one.
#[derive(Debug, Clone, Copy)]
enum Around {
    Tuple,
    List,
    /// A list of which each element but the first is in the tail of the one before.
    ListInPieces,
    ListBeforeString,
    HeadOfImproperList,
    TailOfList,
    /// The tail of a list without elements.
    OnlyTail,
    MapKey,
    MapValue,
    Record,
}

/// A term, and an encoding of it.
type Wired = (Term, Vec<u8>);

/// Nests a term between others.
fn nest((inner, wire): Wired, around: Around, before: u8, after: u8) -> Wired {
    let leaf = |i: u8| (Term::from(i), vec![97, i]);
    let all: Vec<Wired> =
        (0..before).map(leaf).chain([(inner.clone(), wire.clone())]).chain((0..after).map(leaf)).collect();
    let (terms, wires): (Vec<Term>, Vec<Vec<u8>>) = all.into_iter().unzip();
    let count = before + 1 + after;
    let list = |count: u8| vec![108, 0, 0, 0, count];
    let name = |name: u8| vec![119, 1, name];
    match around {
        Around::Tuple => (Term::tuple(terms), [vec![104, count], wires.concat()].concat()),
        Around::List => (Term::list(terms), [list(count), wires.concat(), vec![106]].concat()),
        Around::ListInPieces => {
            let pieces: Vec<u8> = wires.into_iter().flat_map(|wire| [list(1), wire].concat()).collect();
            (Term::list(terms), [pieces, vec![106]].concat())
        }
        Around::ListBeforeString => {
            let term = Term::list(terms.into_iter().chain([Term::from(8), Term::from(9)]));
            (term, [list(count), wires.concat(), vec![107, 0, 2, 8, 9]].concat())
        }
        Around::HeadOfImproperList => {
            (Term::list_with_tail(terms, Term::atom("t")), [list(count), wires.concat(), name(b't')].concat())
        }
        Around::TailOfList => {
            let (elements, wires): (Vec<Term>, Vec<Vec<u8>>) = (0..count).map(leaf).unzip();
            (Term::list_with_tail(elements, inner), [list(count), wires.concat(), wire].concat())
        }
        Around::OnlyTail => (inner, [list(0), wire].concat()),
        // The pairs are not in the order of their keys.
        Around::MapKey => {
            let pairs = (0..before).rev().map(|i| (Term::from(i), Term::nil()));
            let wires: Vec<u8> = (0..before).rev().flat_map(|i| [97, i, 106]).collect();
            let map = Term::map(pairs.chain([(inner, Term::nil())]));
            (map, [vec![116, 0, 0, 0, before + 1], wire, vec![106], wires].concat())
        }
        Around::MapValue => {
            let pairs = (0..before).rev().map(|i| (Term::from(i), Term::nil()));
            let wires: Vec<u8> = (0..before).rev().flat_map(|i| [97, i, 106]).collect();
            let map = Term::map(pairs.chain([(Term::from(after + 100), inner)]));
            (map, [vec![116, 0, 0, 0, before + 1, 97, after + 100], wire, wires].concat())
        }
        Around::Record => {
            let key = |i: u8| char::from(b'a' + i).to_string().parse().unwrap();
            let fields = terms.into_iter().zip(0..count).map(|(term, i)| (key(i), term));
            let record = Record::new(key(0), key(1), fields);
            let keys: Vec<u8> = (0..count).flat_map(|i| name(b'a' + i)).collect();
            let head = [vec![67, 0, 0, 0, count, 1], name(b'a'), name(b'b'), keys].concat();
            (Term::from(record), [head, wires.concat()].concat())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn terms_of_any_kind_are_read_at_any_depth(levels in prop::collection::vec((around(), 0u8..4, 0u8..4), 0..60)) {
        let (term, wire) = levels.into_iter().fold((Term::nil(), vec![106]), |inner, (around, before, after)| {
            nest(inner, around, before, after)
        });
        let wire = Bytes::from([vec![131], wire].concat());
        let read = Term::decode(&wire).unwrap();
        prop_assert_eq!(&read, &term);
        prop_assert_eq!(&read.clone(), &term);
        prop_assert_eq!(&Term::decode(&read.encode().into()).unwrap(), &term);
        // What was read of a truncated term is dropped.
        prop_assert!(Term::decode(&wire.slice(..wire.len() - 1)).is_err());
    }
}

fn around() -> impl Strategy<Value = Around> {
    prop::sample::select(vec![
        Around::Tuple,
        Around::List,
        Around::ListInPieces,
        Around::ListBeforeString,
        Around::HeadOfImproperList,
        Around::TailOfList,
        Around::OnlyTail,
        Around::MapKey,
        Around::MapValue,
        Around::Record,
    ])
}
