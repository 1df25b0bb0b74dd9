//! What terms take in memory: decoding takes what was measured, and what the limits say; no other function takes more than
//! the term itself.

use std::cmp::Ordering;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write};
use std::hash::Hash;

use allocation_counter::AllocationInfo;
use bytes::Bytes;
use peerl_term::arbitrary::{Kinds, term};
use peerl_term::serde::from_bytes;
use peerl_term::text::{elixir, erlang};
use peerl_term::{AtomTable, DecodeError, Limits, Measure, RawTerm, Sink, Term};
use proptest::prelude::*;
use serde::de::IgnoredAny;

/// How many bytes of an encoding each of the large terms has.
const LARGE: usize = 30_000;

/// The memory of these allocations: glibc adds a header of 8 bytes to each and rounds up to 16.
fn memory(info: AllocationInfo) -> usize {
    (info.bytes_max + 16 * info.count_max) as usize
}

/// Decodes a term without version byte; returns the most memory that this takes at a time.
fn decoding(body: &Bytes) -> (Result<Term, DecodeError>, usize) {
    let raw = RawTerm::new(body.clone(), AtomTable::empty());
    let mut decoded = Ok(Term::nil());
    let peak = memory(allocation_counter::measure(|| decoded = raw.decode_with(&Limits::NONE)));
    (decoded, peak)
}

fn measured(body: &[u8]) -> usize {
    let mut measure = Measure::new();
    while !measure.advance(body, 1000) {}
    measure.memory()
}

/// A term of large size, and how many elements it has, with the compound terms.
struct Shape {
    name: &'static str,
    body: Bytes,
    elements: usize,
    /// Whether it is one list, and the tail of that is not `[]`: all elements are moved to a larger block.
    is_moved: bool,
}

/// `LARGE` bytes of these, as elements of a list.
fn many(name: &'static str, elements: usize, element: impl Fn(u32) -> Vec<u8>) -> Shape {
    let count = (LARGE / element(1000).len()) as u32;
    let mut body = [&[108][..], &count.to_be_bytes()].concat();
    (0..count).for_each(|i| body.extend(element(i)));
    body.push(106);
    Shape { name, body: body.into(), elements: 1 + count as usize * elements, is_moved: false }
}

/// Nests a term so deep that there are `LARGE` bytes: each level begins and ends with these.
fn nested(name: &'static str, elements: usize, begin: &[u8], end: &[u8]) -> Shape {
    let levels = LARGE / (begin.len() + end.len());
    let body = [begin.repeat(levels), vec![106], end.repeat(levels)].concat();
    Shape { name, body: body.into(), elements: levels * elements, is_moved: false }
}

fn encoded(term: &Term) -> Vec<u8> {
    term.encode().split_off(1)
}

/// What an honest peer sends.
fn honest() -> Vec<Shape> {
    let atom = |i: u32| Term::Atom(format!("k{}", i % 1000).parse().unwrap());
    let big_map = |order: &dyn Fn(u32) -> u32| {
        let count = LARGE as u32 / 10;
        let mut body = [&[116][..], &count.to_be_bytes()].concat();
        for i in 0..count {
            body.extend([&[98][..], &order(i).to_be_bytes(), &[98, 1, 2, 3, 4]].concat());
        }
        Shape { name: "a large map", body: body.into(), elements: 1 + 2 * count as usize, is_moved: false }
    };
    vec![
        many("integers", 1, |i| encoded(&Term::from(i))),
        many("large integers", 1, |i| encoded(&Term::from(i64::MAX - i64::from(i)))),
        many("floats", 1, |i| encoded(&Term::float(f64::from(i)).unwrap())),
        many("atoms", 1, move |i| encoded(&atom(i))),
        many("pairs", 4, move |i| encoded(&Term::tuple([atom(i), Term::from(i)]))),
        many("triples of pairs", 8, move |i| {
            encoded(&Term::tuple([Term::tuple([atom(i), Term::from(i)]), Term::from(i), Term::from("text")]))
        }),
        many("small maps", 6, |i| {
            encoded(&Term::map([(Term::atom("id"), Term::from(i)), (Term::atom("name"), Term::from("a name of 16 b"))]))
        }),
        many("maps of one pair", 4, |i| encoded(&Term::map([(Term::atom("id"), Term::from(i))]))),
        many("keywords", 10, move |i| {
            encoded(&Term::list([Term::tuple([atom(i), Term::from(i)]), Term::tuple([atom(i), Term::from(1)])]))
        }),
        many("strings", 21, |_| [&[107, 0, 20][..], &[b'x'; 20]].concat()),
        many("short texts", 1, |i| encoded(&Term::from(format!("text {i}")))),
        many("texts", 1, |i| encoded(&Term::from(format!("a text of more than 22 bytes: {i}")))),
        many("larger binaries", 1, |i| encoded(&Term::binary(vec![i as u8; 500]))),
        many("pages", 1, |i| encoded(&Term::binary(vec![i as u8; 5000]))),
        many("iolists", 4, |i| encoded(&Term::list_with_tail([Term::from("a")], Term::from(i)))),
        big_map(&|i| i),
        big_map(&|i| i.wrapping_mul(0x9e37_79b1)),
        Shape { name: "one binary", body: encoded(&Term::binary(vec![1; LARGE])).into(), elements: 0, is_moved: false },
    ]
}

/// What only a hostile peer sends: the most memory for the fewest bytes.
fn hostile() -> Vec<Shape> {
    let list = [108, 0, 0, 0, 1];
    let list_of_two = [108, 0, 0, 0, 2];
    let map = [116, 0, 0, 0, 1];
    let long_atom = [&[119, 23][..], &[b'a'; 23]].concat();
    let fun = [&[112, 0, 0, 0, 0, 0][..], &[0; 16], &[0; 4], &[0, 0, 0, 1, 119, 0, 97, 0, 97, 0], &pid()].concat();
    vec![
        nested("tuples", 2, &[104, 1], &[]),
        nested("pairs of pairs", 3, &[104, 2], &[106]),
        nested("pairs whose second is a pair", 3, &[104, 2, 106], &[]),
        nested("tuples in the middle", 4, &[104, 3, 106], &[106]),
        nested("lists", 2, &list, &[106]),
        nested("lists of lists", 3, &list_of_two, &[106, 106]),
        nested("lists that are heads of improper ones", 3, &list, &[119, 0]),
        nested("tuples that are tails", 5, &[&list[..], &[106, 104, 1]].concat(), &[]),
        nested("lists that grow", 3, &[&list[..], &[106], &list].concat(), &[106]),
        nested("lists that grow twice", 4, &[&list[..], &[106], &list, &[106], &list].concat(), &[106]),
        nested("lists without elements", 0, &[108, 0, 0, 0, 0], &[]),
        nested("lists as tails", 1, &[&list[..], &[106]].concat(), &[]),
        nested("maps in values", 3, &[&map[..], &[106]].concat(), &[]),
        nested("maps in keys", 3, &map, &[106]),
        nested("funs", 2, &fun, &[]),
        nested("records", 3, &[67, 0, 0, 0, 1, 0, 119, 0, 119, 0, 119, 0], &[]),
        many("empty tuples", 2, |_| vec![104, 0]),
        many("tuples of one", 3, |_| vec![104, 1, 106]),
        many("tuples of 16 levels", 33, |_| [&[104, 1].repeat(16)[..], &[106]].concat()),
        many("strings of one", 2, |_| vec![107, 0, 1, 7]),
        many("improper lists", 4, move |_| [&list[..], &[106, 119, 0]].concat()),
        many("lists that end with a string", 4, move |_| [&list[..], &[106, 107, 0, 1, 7]].concat()),
        many("lists that end with a list", 4, move |_| [&list[..], &[106], &list, &[106, 106]].concat()),
        many("small bigs", 1, |i| [&[110, 8, 0][..], &i.to_be_bytes(), &[255; 4]].concat()),
        many("padded bigs", 1, |i| [&[110, 9, 0][..], &i.to_be_bytes(), &[0; 5]].concat()),
        many("bit strings", 1, |i| vec![77, 0, 0, 0, 1, 3, i as u8]),
        many("whole bit strings", 1, |_| [&[77, 0, 0, 0, 30, 8][..], &[7; 30]].concat()),
        many("binaries of 22", 1, |_| [&[109, 0, 0, 0, 22][..], &[7; 22]].concat()),
        many("binaries of 23", 1, |_| [&[109, 0, 0, 0, 23][..], &[7; 23]].concat()),
        many("pairs of binaries of 23", 4, |_| [&[104, 2, 109, 0, 0, 0, 23][..], &[7; 23], &[106]].concat()),
        many("binaries far apart", 4, |_| {
            [&[104, 2, 109, 0, 0, 0, 23][..], &[7; 23], &[109, 0, 0, 1, 44], &[7; 300]].concat()
        }),
        many("pids", 1, |_| pid()),
        many("old references", 1, |_| vec![101, 119, 0, 0, 0, 0, 1, 0]),
        many("references", 1, |_| vec![90, 0, 1, 119, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        many("ports", 1, |_| vec![102, 119, 0, 0, 0, 0, 1, 0]),
        many("external funs", 1, |_| vec![113, 119, 0, 119, 0, 97, 0]),
        many("long atoms", 1, move |_| long_atom.clone()),
        many("Latin-1 atoms", 1, |_| [&[115, 12][..], &[0xe9; 12]].concat()),
        many("funs without variables", 2, |_| {
            [&[112, 0, 0, 0, 0, 0][..], &[0; 24], &[119, 0, 97, 0, 97, 0], &pid()].concat()
        }),
        many("empty records", 2, |_| vec![67, 0, 0, 0, 0, 0, 119, 0, 119, 0]),
        a_large_map_of_nested_keys(),
        an_improper_list(),
        a_string_after_a_list(),
        a_wide_record(),
    ]
}

fn pid() -> Vec<u8> {
    [&[88, 119, 0][..], &[0; 12]].concat()
}

/// Two keys that differ at the deepest level only.
fn a_large_map_of_nested_keys() -> Shape {
    let levels = LARGE / 6;
    let key = |i: u8| [[104, 2].repeat(levels), vec![97, i], [106].repeat(levels)].concat();
    let body = [&[116, 0, 0, 0, 2][..], &key(2), &[106], &key(1), &[106]].concat();
    Shape { name: "a map of nested keys", body: body.into(), elements: 5 + 6 * levels, is_moved: false }
}

fn an_improper_list() -> Shape {
    let body = [&[108][..], &(LARGE as u32).to_be_bytes(), &[106].repeat(LARGE), &[119, 0]].concat();
    Shape { name: "an improper list", body: body.into(), elements: LARGE + 2, is_moved: true }
}

fn a_string_after_a_list() -> Shape {
    let body = [&[108][..], &(LARGE as u32).to_be_bytes(), &[106].repeat(LARGE), &[107, 0, 1, 7]].concat();
    Shape { name: "a string after a list", body: body.into(), elements: LARGE + 2, is_moved: true }
}

fn a_wide_record() -> Shape {
    let fields = LARGE / 3;
    let head = [&[67][..], &(fields as u32).to_be_bytes(), &[0, 119, 0, 119, 0]].concat();
    let body = [head, [119, 0].repeat(fields), [106].repeat(fields)].concat();
    Shape { name: "a wide record", body: body.into(), elements: 1 + 2 * fields, is_moved: false }
}

/// Decodes a shape, and checks what it takes against what was measured and what the limits say.
fn check(shape: &Shape) -> (Term, usize, usize) {
    let Shape { name, body, elements, is_moved } = shape;
    let (decoded, peak) = decoding(body);
    let measured = measured(body);
    let term = decoded.unwrap_or_else(|error| panic!("{name}: {error}"));
    let ratio = measured as f64 / peak as f64;
    println!("{name}: {} bytes, {peak} in memory, measured {measured} ({ratio:.2})", body.len());
    assert!(peak * 100 <= (body.len() + measured) * 115, "{name}: {peak} is more than {measured}");
    let moved = if *is_moved { 64 * elements } else { 0 };
    assert!(peak <= 32 * elements + 12 * body.len() + moved + 4096, "{name}: {peak} for {elements} elements");
    (term, peak, measured)
}

#[test]
fn honest_terms_take_about_what_is_measured() {
    for shape in honest() {
        let (_, peak, measured) = check(&shape);
        assert!(measured * 2 <= peak * 3 + 1000, "{}: {measured} is more than 1.5 times {peak}", shape.name);
    }
}

#[test]
fn hostile_terms_take_no_more_than_is_measured() {
    hostile().iter().for_each(|shape| drop(check(shape)));
}

#[test]
fn elements_are_counted_with_the_compound_terms() {
    for Shape { name, body, elements, .. } in honest().into_iter().chain(hostile()) {
        let decode = |elements| {
            let raw = RawTerm::new(body.clone(), AtomTable::empty());
            raw.decode_with(&Limits { elements, ..Limits::default() }).map(drop)
        };
        assert_eq!(decode(elements + 1), Ok(()), "{name}");
        if elements > 1 {
            assert!(decode(elements - 2).is_err_and(|error| error.kind.is_limit()), "{name}");
        }
    }
}

/// Counts what is written.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn position(&self) -> usize {
        self.0
    }

    fn patch_u32(&mut self, _: usize, _: u32) {}
}

impl Write for Count {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Checks that a function takes at most this part of the memory of the term.
fn takes(part: f64, of: usize, name: &str, function: &str, call: impl FnOnce()) {
    let taken = memory(allocation_counter::measure(call));
    let limit = of as f64 * part + 20_000.0;
    println!("{name}: {function} takes {taken} for {of}");
    assert!(taken as f64 <= limit, "{name}: {function} takes {taken} for a term of {of}");
}

#[test]
fn no_function_takes_more_than_the_term() {
    for shape in honest().into_iter().chain(hostile()) {
        let name = shape.name;
        let (term, peak, _) = check(&shape);
        let mut copy = Term::nil();
        takes(1.45, peak, name, "clone", || copy = term.clone());
        takes(0.45, peak, name, "==", || assert!(copy == term));
        takes(0.55, peak, name, "compare", || assert_eq!(copy.cmp(&term), Ordering::Equal));
        takes(0.35, peak, name, "find", || assert_eq!(term.find(|_| None::<()>), None));
        takes(0.35, peak, name, "hash", || term.hash(&mut DefaultHasher::new()));
        takes(0.5, peak, name, "encode", || peerl_term::encode::term(&term, &mut Count::default()));
        takes(1.0, peak, name, "print for Erlang", || write!(Count::default(), "{}", erlang::display(&term)).unwrap());
        takes(1.0, peak, name, "print for Elixir", || write!(Count::default(), "{}", elixir::display(&term)).unwrap());
        takes(0.0, peak, name, "drop", || drop(copy));
        let wire = Bytes::from([&[131], &shape.body[..]].concat());
        takes(0.0, peak, name, "skip", || assert!(from_bytes::<IgnoredAny>(&wire).is_ok()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_term_takes_no_more_than_is_measured(term in term(Kinds::All)) {
        let body = Bytes::from(encoded(&term));
        let (decoded, peak) = decoding(&body);
        prop_assert_eq!(decoded.unwrap(), term);
        let measured = measured(&body);
        prop_assert!(peak * 100 <= (body.len() + measured) * 115, "{} is more than {}", peak, measured);
    }
}
