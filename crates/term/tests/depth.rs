//! No function recurses on its input: a million levels fit any stack.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hash;

use bytes::Bytes;
use peerl_term::text::{elixir, erlang};
use peerl_term::{Limits, Term};

const DEPTH: usize = 1_000_000;

fn nested(tag_and_count: &[u8], after: &[u8]) -> Bytes {
    let mut wire = vec![131];
    for _ in 0..DEPTH {
        wire.extend_from_slice(tag_and_count);
    }
    wire.push(106);
    for _ in 0..DEPTH {
        wire.extend_from_slice(after);
    }
    wire.into()
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
        assert!(format!("{term:?}").len() >= DEPTH);
        drop(term);
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn lists_a_million_deep() {
    live_through(nested(&[108, 0, 0, 0, 1], &[106]));
}

#[test]
fn tuples_a_million_deep() {
    live_through(nested(&[104, 1], &[]));
}

#[test]
fn maps_a_million_deep_in_values_and_in_keys() {
    live_through(nested(&[116, 0, 0, 0, 1, 97, 1], &[]));
    live_through(nested(&[116, 0, 0, 0, 1], &[97, 1]));
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
