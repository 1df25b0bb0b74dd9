//! Random terms for property tests, as [`proptest`](mod@proptest) strategies.
//!
//! ```
//! use peerl_term::arbitrary::{Kinds, term};
//! use proptest::prelude::*;
//!
//! proptest!(|(term in term(Kinds::All))| {
//!     prop_assert_eq!(peerl_term::Term::decode(&term.encode().into()).unwrap(), term);
//! });
//! ```

use num_bigint::{BigInt, Sign};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::elements::Elements;
use crate::{Atom, BitString, ExternalFun, LocalFun, Pid, Port, Record, Reference, Term};

/// The kinds of terms to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kinds {
    /// Terms that can be written as literals: no pids, ports, references, local funs, records.
    Literals,
    /// Also pids, ports and references: every term that OTP 25 can decode without the module of a fun.
    Identifiers,
    /// Also records: every term that can be written as text.
    Text,
    /// All.
    All,
}

/// A term of any depth up to 8.
pub fn term(kinds: Kinds) -> BoxedStrategy<Term> {
    leaf(kinds)
        .prop_recursive(8, 64, 8, move |inner| {
            let pair = (any_key(kinds, inner.clone()), inner.clone());
            let mut compounds = vec![
                vec(inner.clone(), 0..8).prop_map(Term::tuple).boxed(),
                vec(inner.clone(), 0..8).prop_map(Term::list).boxed(),
                vec(pair, 0..6).prop_map(Term::map).boxed(),
                (vec(inner.clone(), 1..5), inner.clone())
                    .prop_map(|(elements, tail)| Term::list_with_tail(elements, tail))
                    .boxed(),
                // A list that Elixir shows as keywords.
                vec((atom(), inner.clone()), 1..4)
                    .prop_map(|pairs| {
                        Term::list(pairs.into_iter().map(|(key, value)| Term::tuple([key.into(), value])))
                    })
                    .boxed(),
                vec((atom(), inner.clone()), 1..4)
                    .prop_map(|pairs| Term::map(pairs.into_iter().map(|(key, value)| (key.into(), value))))
                    .boxed(),
            ];
            if matches!(kinds, Kinds::Text | Kinds::All) {
                compounds.push(record(kinds, inner.clone()).boxed());
            }
            if kinds == Kinds::All {
                compounds.push(local_fun(inner).boxed());
            }
            proptest::strategy::Union::new(compounds)
        })
        .boxed()
}

fn any_key(kinds: Kinds, inner: BoxedStrategy<Term>) -> impl Strategy<Value = Term> {
    prop_oneof![3 => leaf(kinds), 1 => inner]
}

/// A term without nested terms, except lists of characters and bytes.
pub fn leaf(kinds: Kinds) -> BoxedStrategy<Term> {
    let literals = prop_oneof![
        3 => integer(),
        2 => float(),
        4 => atom().prop_map(Term::from),
        3 => binary(),
        1 => bit_string(),
        2 => text().prop_map(|text| Term::charlist(&text)),
        1 => vec(any::<u8>(), 0..12).prop_map(|bytes| Term::list(bytes.into_iter().map(Term::from))),
        1 => (atom(), atom(), any::<u8>())
            .prop_map(|(module, function, arity)| ExternalFun { module, function, arity }.into()),
    ];
    if kinds == Kinds::Literals {
        return literals.boxed();
    }
    prop_oneof![4 => literals, 1 => identifier()].boxed()
}

/// An integer of up to 4,096 bits; often one at which the encoding changes.
pub fn integer() -> impl Strategy<Value = Term> {
    let edge = (0..4096u32, -2..=2i64, any::<bool>()).prop_map(|(bits, off, negative)| {
        let edge = (BigInt::from(1u8) << bits) + off;
        Term::from(if negative { -edge } else { edge })
    });
    let big = (vec(any::<u8>(), 8..=512), any::<bool>()).prop_map(|(bytes, negative)| {
        Term::from(BigInt::from_bytes_le(if negative { Sign::Minus } else { Sign::Plus }, &bytes))
    });
    prop_oneof![
        3 => (-1000..1000i64).prop_map(Term::from),
        2 => any::<i64>().prop_map(Term::from),
        1 => (0..70u32).prop_map(|bits| Term::from(BigInt::from(1u8) << bits)),
        1 => edge,
        1 => big,
    ]
}

/// A finite float: any bits, a round number, or one next to an integer.
pub fn float() -> impl Strategy<Value = Term> {
    let of = |value: f64| Term::float(value).unwrap_or_else(|| Term::from(0));
    let special =
        [0.0, -0.0, 1.0, -1.5, 1e10, 1e22, 1e-7, 0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324, 9007199254740992.0];
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()).prop_map(of),
        proptest::sample::select(special.to_vec()).prop_map(of),
        (-1_000_000..1_000_000i64, 0..8i32).prop_map(move |(digits, scale)| of(digits as f64 / 10f64.powi(scale))),
        any::<i64>().prop_map(move |value| of(value as f64)),
    ]
}

/// An atom of up to 255 characters: plain, in need of quotes, a reserved word, or an alias.
pub fn atom() -> impl Strategy<Value = Atom> {
    const SPECIAL: &[&str] = &[
        "ok",
        "nil",
        "undefined",
        "true",
        "false",
        "",
        "end",
        "fun",
        "maybe",
        "Elixir",
        "Elixir.MyApp.Page",
        "Elixir.a",
        "Elixir.Elixir",
        "Elixir.",
        "a b",
        "a@h",
        "ok?",
        "+",
        "=>",
        "it's",
        "\"",
        "\\",
        "\n",
        "\0",
        "été",
        "日本",
        "_",
        "__struct",
        "Upper",
        "#{x}",
        "\u{7f}",
        "\u{2028}",
        "1a",
        "a-b",
        "do",
        "_a",
    ];
    prop_oneof![
        3 => proptest::sample::select(SPECIAL).prop_map(|name| name.to_owned()),
        4 => vec(proptest::char::range('a', 'z'), 1..12).prop_map(String::from_iter),
        1 => vec(any::<char>(), 0..20).prop_map(String::from_iter),
        1 => vec(any::<char>(), 250..=255).prop_map(String::from_iter),
    ]
    .prop_map(|name| Atom::new(&name).unwrap_or(Atom::from_static("too_long")))
}

/// Text: plain, of any characters, or with characters that need escapes.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(proptest::char::range(' ', '~'), 0..30).prop_map(String::from_iter),
        vec(any::<char>(), 0..12).prop_map(String::from_iter),
        vec(
            proptest::sample::select(vec!['"', '\\', '#', '{', '}', '\n', '\u{1b}', '\u{7}', 'é', '日', '\'', 'a']),
            0..12
        )
        .prop_map(String::from_iter),
    ]
}

/// A binary: bytes or text; sometimes large enough to share its buffer.
pub fn binary() -> impl Strategy<Value = Term> {
    prop_oneof![
        4 => text().prop_map(Term::from),
        4 => vec(any::<u8>(), 0..40).prop_map(Term::binary),
        1 => (any::<u8>(), 250..5000usize).prop_map(|(byte, len)| Term::binary(vec![byte; len])),
    ]
}

/// A bit string with a partial last byte.
pub fn bit_string() -> impl Strategy<Value = Term> {
    (vec(any::<u8>(), 1..10), 1..=7u8)
        .prop_filter_map("bits", |(bytes, last)| BitString::new(bytes, last).ok().map(Term::from))
}

/// A pid, port or reference of some node.
pub fn identifier() -> impl Strategy<Value = Term> {
    let pid = (node(), any::<u32>(), any::<u32>(), any::<u32>())
        .prop_map(|(node, id, serial, creation)| Pid { node, id, serial, creation }.into());
    let port = (node(), any::<u64>(), any::<u32>()).prop_map(|(node, id, creation)| Port { node, id, creation }.into());
    let small_port =
        (node(), 0..1u64 << 28, any::<u32>()).prop_map(|(node, id, creation)| Port { node, id, creation }.into());
    let reference = (node(), any::<u32>(), vec(any::<u32>(), 1..=5))
        .prop_filter_map("words", |(node, creation, words)| {
            Reference::new(node, creation, &words).ok().map(Term::from)
        });
    prop_oneof![pid, port, small_port, reference]
}

fn node() -> impl Strategy<Value = Atom> {
    proptest::sample::select(&["a@h", "w1@127.0.0.1", "é@host-1.example.com"][..]).prop_map(Atom::from_static)
}

fn record(kinds: Kinds, inner: BoxedStrategy<Term>) -> impl Strategy<Value = Term> {
    (any::<bool>(), atom(), atom(), vec((atom(), inner), 0..4)).prop_map(move |(exported, module, name, mut fields)| {
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields.dedup_by(|a, b| a.0 == b.0);
        let mut record = Record::new(module, name, fields);
        record.exported = exported || kinds == Kinds::Text;
        record.into()
    })
}

fn local_fun(inner: BoxedStrategy<Term>) -> impl Strategy<Value = Term> {
    // OTP keeps the old fields in 32 bits.
    let numbers = (any::<u8>(), any::<[u8; 16]>(), any::<u32>(), 0..=i32::MAX, any::<i32>());
    (atom(), node(), numbers, vec(inner, 0..4)).prop_map(|(module, node, numbers, free_variables)| {
        let (arity, unique, index, old_index, old_unique) = numbers;
        let fun = LocalFun {
            arity,
            unique,
            index,
            module,
            old_index: i64::from(old_index),
            old_unique: i64::from(old_unique),
            pid: Pid { node, id: index, serial: 0, creation: index },
            free_variables: Elements::from(free_variables),
        };
        fun.into()
    })
}
