//! Erlang's term order (Reference Manual, "Term Comparisons").

use std::cmp::Ordering;
use std::slice;

use crate::number::{compare_big_float, compare_floats, compare_integer_float};
use crate::stack::Stack;
use crate::{BitString, Map, Pid, Reference, Term};

impl Term {
    /// Compares as Erlang's `<` and `==` do: numbers by value, so that `1` equals `1.0`.
    pub fn compare_numeric(&self, other: &Self) -> Ordering {
        compare(self, other, Numbers::ByValue)
    }

    /// Compares in the order of map keys: every integer before every float. Equal only if `=:=`.
    pub fn compare_keys(&self, other: &Self) -> Ordering {
        compare(self, other, Numbers::ByKind)
    }
}

impl PartialOrd for Term {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Term {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare_numeric(other).then_with(|| self.compare_keys(other))
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pid {
    fn cmp(&self, other: &Self) -> Ordering {
        compare_pids(self, other)
    }
}

/// How integers compare with floats.
#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    ByValue,
    ByKind,
}

/// Two sequences whose common prefix is being compared.
struct Pair<'a> {
    left: &'a [Term],
    right: &'a [Term],
    /// 1, or 2 for the keys or values of maps.
    step: u8,
    numbers: Numbers,
}

impl<'a> Pair<'a> {
    fn new(left: &'a [Term], right: &'a [Term], numbers: Numbers) -> Self {
        Self { left, right, step: 1, numbers }
    }

    /// Of the flattened pairs of two maps, the keys (from 0) or the values (from 1).
    fn of_maps(left: &'a Map, right: &'a Map, from: usize, numbers: Numbers) -> Self {
        let from = |map: &'a Map| map.0.get(from..).unwrap_or(&[]);
        Self { left: from(left), right: from(right), step: 2, numbers }
    }

    fn next(&mut self) -> Option<(&'a Term, &'a Term)> {
        let first = (self.left.first()?, self.right.first()?);
        let after = |terms: &'a [Term]| terms.get(usize::from(self.step)..).unwrap_or(&[]);
        (self.left, self.right) = (after(self.left), after(self.right));
        Some(first)
    }

    fn is_done(&self) -> bool {
        self.left.is_empty() || self.right.is_empty()
    }
}

/// What remains to be compared of two terms.
struct Comparison<'a> {
    inner: Pair<'a>,
    outer: Stack<Pair<'a>>,
    /// The result if all of that is equal.
    otherwise: Ordering,
}

impl<'a> Comparison<'a> {
    /// Adds two sequences that are compared before the rest.
    fn add(&mut self, pair: Pair<'a>) {
        let outer = std::mem::replace(&mut self.inner, pair);
        if !outer.is_done() {
            self.outer.push(outer);
        }
    }

    /// Adds two sequences which decide: if what they have in common is equal, the result is this.
    fn decide(&mut self, pair: Pair<'a>, otherwise: Ordering) {
        if otherwise == Ordering::Equal {
            return self.add(pair);
        }
        *self = Self { inner: pair, outer: Stack::new(), otherwise };
    }

    fn next(&mut self) -> Option<(&'a Term, &'a Term)> {
        loop {
            let next = self.inner.next();
            if next.is_some() {
                return next;
            }
            self.inner = self.outer.pop()?;
        }
    }
}

fn compare(left: &Term, right: &Term, numbers: Numbers) -> Ordering {
    let mut rest = Comparison { inner: Pair::new(&[], &[], numbers), outer: Stack::new(), otherwise: Ordering::Equal };
    let (mut left, mut right) = (left, right);
    loop {
        let order = compare_heads(left, right, rest.inner.numbers, &mut rest);
        if order != Ordering::Equal {
            return order;
        }
        match rest.next() {
            Some(next) => (left, right) = next,
            None => return rest.otherwise,
        }
    }
}

/// Compares everything except nested terms, which it adds to the rest if they can matter.
fn compare_heads<'a>(left: &'a Term, right: &'a Term, numbers: Numbers, rest: &mut Comparison<'a>) -> Ordering {
    let mut within = |left: &'a [Term], right: &'a [Term]| {
        rest.add(Pair::new(left, right, numbers));
        Ordering::Equal
    };
    match (left, right) {
        (Term::Integer(a), Term::Integer(b)) => a.cmp(b),
        (Term::BigInteger(a), Term::BigInteger(b)) => a.cmp(b),
        (Term::Integer(_), Term::BigInteger(b)) => negative_is_greater(b.get()),
        (Term::BigInteger(a), Term::Integer(_)) => negative_is_greater(a.get()).reverse(),
        (Term::Float(a), Term::Float(b)) => match numbers {
            Numbers::ByValue => compare_floats(*a, *b),
            Numbers::ByKind => a.get().total_cmp(&b.get()),
        },
        (Term::Integer(_) | Term::BigInteger(_), Term::Float(_)) if numbers == Numbers::ByKind => Ordering::Less,
        (Term::Float(_), Term::Integer(_) | Term::BigInteger(_)) if numbers == Numbers::ByKind => Ordering::Greater,
        (Term::Integer(a), Term::Float(b)) => compare_integer_float(*a, *b),
        (Term::Float(a), Term::Integer(b)) => compare_integer_float(*b, *a).reverse(),
        (Term::BigInteger(a), Term::Float(b)) => compare_big_float(a, *b),
        (Term::Float(a), Term::BigInteger(b)) => compare_big_float(b, *a).reverse(),
        (Term::Atom(a), Term::Atom(b)) => a.cmp(b),
        (Term::Reference(a), Term::Reference(b)) => compare_references(a, b),
        (Term::ExternalFun(a), Term::ExternalFun(b)) => {
            (&a.module, &a.function, a.arity).cmp(&(&b.module, &b.function, b.arity))
        }
        (Term::LocalFun(a), Term::LocalFun(b)) => (&a.module, a.old_index, a.old_unique, a.free_variables.len())
            .cmp(&(&b.module, b.old_index, b.old_unique, b.free_variables.len()))
            .then_with(|| (a.index, a.unique, a.arity).cmp(&(b.index, b.unique, b.arity)))
            .then_with(|| compare_pids(&a.pid, &b.pid))
            .then_with(|| within(&a.free_variables, &b.free_variables)),
        (Term::LocalFun(_), Term::ExternalFun(_)) => Ordering::Less,
        (Term::ExternalFun(_), Term::LocalFun(_)) => Ordering::Greater,
        (Term::Port(a), Term::Port(b)) => (&a.node, a.creation, a.id).cmp(&(&b.node, b.creation, b.id)),
        (Term::Pid(a), Term::Pid(b)) => compare_pids(a, b),
        (Term::Tuple(a), Term::Tuple(b)) => a.len().cmp(&b.len()).then_with(|| within(a, b)),
        (Term::Record(a), Term::Record(b)) => (&a.module, &a.name, a.keys.len())
            .cmp(&(&b.module, &b.name, b.keys.len()))
            .then_with(|| a.keys.cmp(&b.keys))
            .then_with(|| a.exported.cmp(&b.exported))
            .then_with(|| within(&a.values, &b.values)),
        (Term::Map(a), Term::Map(b)) => a.len().cmp(&b.len()).then_with(|| {
            rest.add(Pair::of_maps(a, b, 1, numbers));
            rest.add(Pair::of_maps(a, b, 0, Numbers::ByKind));
            Ordering::Equal
        }),
        (Term::List(a), Term::List(b)) => {
            rest.decide(Pair::new(a, b, numbers), a.len().cmp(&b.len()));
            Ordering::Equal
        }
        (Term::List(a), Term::ImproperList(b)) => {
            compare_improper(a, b.elements(), None, Some(b.tail()), numbers, rest)
        }
        (Term::ImproperList(a), Term::List(b)) => {
            compare_improper(a.elements(), b, Some(a.tail()), None, numbers, rest)
        }
        (Term::ImproperList(a), Term::ImproperList(b)) => {
            compare_improper(a.elements(), b.elements(), Some(a.tail()), Some(b.tail()), numbers, rest)
        }
        (Term::Binary(_) | Term::BitString(_), Term::Binary(_) | Term::BitString(_)) => {
            let bits = |term: &'a Term| match term {
                Term::BitString(bits) => (bits.bytes(), BitString::bit_len(bits)),
                Term::Binary(bytes) => (bytes.as_slice(), bytes.len() * 8),
                _ => (&[][..], 0),
            };
            compare_bits(bits(left), bits(right))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

/// Compares an `i64` with a big integer, which is always outside its range.
fn negative_is_greater(big: &num_bigint::BigInt) -> Ordering {
    if big.sign() == num_bigint::Sign::Minus { Ordering::Greater } else { Ordering::Less }
}

/// Compares lists of which at least one is improper; `None` is the tail `[]`.
fn compare_improper<'a>(
    left: &'a [Term],
    right: &'a [Term],
    left_tail: Option<&'a Term>,
    right_tail: Option<&'a Term>,
    numbers: Numbers,
    rest: &mut Comparison<'a>,
) -> Ordering {
    let tail_rank = |tail: Option<&Term>| tail.map_or(NIL, rank);
    let otherwise = match left.len().cmp(&right.len()) {
        Ordering::Less => tail_rank(left_tail).cmp(&CONS),
        Ordering::Greater => CONS.cmp(&tail_rank(right_tail)),
        Ordering::Equal => match (left_tail, right_tail) {
            (Some(a), Some(b)) => {
                rest.add(Pair::new(slice::from_ref(a), slice::from_ref(b), numbers));
                Ordering::Equal
            }
            (a, b) => tail_rank(a).cmp(&tail_rank(b)),
        },
    };
    rest.decide(Pair::new(left, right, numbers), otherwise);
    Ordering::Equal
}

/// Compares pids by serial, id, node, creation.
fn compare_pids(a: &Pid, b: &Pid) -> Ordering {
    (a.serial, a.id, &a.node, a.creation).cmp(&(b.serial, b.id, &b.node, b.creation))
}

/// Compares references by node, creation, and the words from the last.
fn compare_references(a: &Reference, b: &Reference) -> Ordering {
    (a.node(), a.creation())
        .cmp(&(b.node(), b.creation()))
        .then_with(|| a.padded().iter().rev().cmp(b.padded().iter().rev()))
}

/// Compares bit by bit; a prefix is smaller.
fn compare_bits((a, a_bits): (&[u8], usize), (b, b_bits): (&[u8], usize)) -> Ordering {
    let common = a_bits.min(b_bits);
    let whole = common / 8;
    let rest = |bytes: &[u8]| match common % 8 {
        0 => 0,
        bits => bytes[whole] >> (8 - bits),
    };
    a[..whole].cmp(&b[..whole]).then_with(|| rest(a).cmp(&rest(b))).then_with(|| a_bits.cmp(&b_bits))
}

/// A number that is smaller than another term's only if the term is the smaller map key.
pub(crate) fn order_prefix(key: &Term) -> (u8, u64) {
    const FLOATS: u8 = 1;
    const OTHERS: u8 = 2;
    /// Maps signed to unsigned numbers of the same order.
    const SIGN: u64 = 1 << 63;
    let beginning = |bytes: &[u8]| {
        let mut first = [0; 8];
        let len = bytes.len().min(8);
        first[..len].copy_from_slice(&bytes[..len]);
        u64::from_be_bytes(first)
    };
    let prefix = match key {
        Term::Integer(value) => return (0, value.cast_unsigned() ^ SIGN),
        Term::BigInteger(value) if value.get().sign() == num_bigint::Sign::Minus => return (0, 0),
        Term::BigInteger(_) => return (0, u64::MAX),
        Term::Float(value) => {
            let bits = value.get().to_bits();
            return (FLOATS, if bits & SIGN == 0 { bits | SIGN } else { !bits });
        }
        Term::Atom(name) => beginning(name.as_bytes()),
        Term::Binary(bytes) => beginning(bytes),
        Term::BitString(bits) => beginning(bits.bytes()),
        _ => 0,
    };
    (OTHERS + rank(key), prefix)
}

const NIL: u8 = 9;
const CONS: u8 = 10;

/// The kinds in order; records come between tuples and maps (OTP 29).
fn rank(term: &Term) -> u8 {
    match term {
        Term::Integer(_) | Term::BigInteger(_) | Term::Float(_) => 0,
        Term::Atom(_) => 1,
        Term::Reference(_) => 2,
        Term::ExternalFun(_) | Term::LocalFun(_) => 3,
        Term::Port(_) => 4,
        Term::Pid(_) => 5,
        Term::Tuple(_) => 6,
        Term::Record(_) => 7,
        Term::Map(_) => 8,
        Term::List(list) if list.is_empty() => NIL,
        Term::List(_) | Term::ImproperList(_) => CONS,
        Term::Binary(_) | Term::BitString(_) => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BigInt;

    #[test]
    fn kinds_are_in_erlangs_order() {
        let big: BigInt = BigInt::from(1u8) << 100;
        let ascending = [
            Term::from(-big.clone()),
            Term::from(-1),
            Term::float(-0.5).unwrap(),
            Term::from(1),
            Term::float(1.0).unwrap(),
            Term::from(big),
            Term::atom("a"),
            Term::atom("b"),
            Term::tuple([]),
            Term::tuple([Term::atom("z")]),
            Term::tuple([Term::from(1), Term::from(1)]),
            Term::map([]),
            Term::nil(),
            Term::list([Term::from(1)]),
            Term::list_with_tail([Term::from(1)], Term::from(2)),
            Term::list([Term::from(2)]),
            Term::binary(b""),
            Term::binary(b"a"),
            Term::from(BitString::new([b'a', 0x80], 1).unwrap()),
            Term::binary(b"b"),
        ];
        for pair in ascending.windows(2) {
            if let [Term::List(_), Term::ImproperList(_)] = pair {
                continue;
            }
            assert_eq!(pair[0].cmp(&pair[1]), Ordering::Less);
            assert_eq!(pair[1].cmp(&pair[0]), Ordering::Greater);
        }
    }

    #[test]
    fn numbers_are_compared_by_value_between_kinds() {
        let tuple = |a: Term, b: &'static str| Term::tuple([a, Term::atom(b)]);
        let (one, one_float) = (Term::from(1), Term::float(1.0).unwrap());
        assert_ne!(one, one_float);
        assert_eq!(one.compare_numeric(&one_float), Ordering::Equal);
        assert_eq!(tuple(one, "b").cmp(&tuple(one_float, "a")), Ordering::Greater);
        assert_eq!(Term::from(i64::MAX).compare_numeric(&Term::float(i64::MAX as f64).unwrap()), Ordering::Less);
        assert_ne!(Term::float(0.0), Term::float(-0.0));
    }

    #[test]
    fn improper_lists_compare_by_their_tails() {
        let improper = Term::list_with_tail([Term::from(1)], Term::from(2));
        assert_eq!(improper.cmp(&Term::list([Term::from(1)])), Ordering::Less);
        assert_eq!(improper.cmp(&Term::list([Term::from(1), Term::from(0)])), Ordering::Less);
        assert_eq!(improper.cmp(&improper.clone()), Ordering::Equal);
        let binary_tail = Term::list_with_tail([Term::from(1)], Term::binary(b""));
        assert_eq!(binary_tail.cmp(&Term::list([Term::from(1), Term::from(0)])), Ordering::Greater);
    }
}
