use std::cmp::Ordering;
use std::mem;

use crate::Term;
use crate::elements::Elements;
use crate::order::order_prefix;

/// A map. Its pairs are in the order of their keys (integers before floats, as in the Erlang reference manual), so
/// maps with equal pairs are equal, in whatever order they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Map(pub(crate) Elements);

/// Two pairs have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a map has each key once")]
pub struct DuplicateKey;

impl Map {
    /// Makes a map of pairs with distinct keys.
    ///
    /// # Errors
    /// If two keys are the same.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (Term, Term)>) -> Result<Self, DuplicateKey> {
        let mut flat = Vec::new();
        for (key, value) in pairs {
            flat.push(key);
            flat.push(value);
        }
        Self::from_flat(flat)
    }

    /// Makes a map of keys and values in turn.
    pub(crate) fn from_flat(flat: Vec<Term>) -> Result<Self, DuplicateKey> {
        let ascending = |a: &Term, b: &Term| match (a, b) {
            (Term::Atom(a), Term::Atom(b)) => a < b,
            _ => a.compare_keys(b) == Ordering::Less,
        };
        if flat.chunks_exact(2).zip(flat.chunks_exact(2).skip(1)).all(|(a, b)| ascending(&a[0], &b[0])) {
            return Ok(Self(flat.into()));
        }
        let mut flat = flat;
        let mut places = sorted_places(&flat)?;
        for start in 0..places.len() {
            arrange(&mut flat, &mut places, start);
        }
        Ok(Self(flat.into()))
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Term, &Term)> + Clone {
        self.0.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
    }

    /// The value of a key.
    pub fn get(&self, key: &Term) -> Option<&Term> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.0[2 * middle].compare_keys(key) {
                Ordering::Equal => return Some(&self.0[2 * middle + 1]),
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// The value of a key that is an atom.
    pub fn get_atom(&self, name: &str) -> Option<&Term> {
        self.iter().find(|(key, _)| matches!(key, Term::Atom(atom) if *atom == name)).map(|(_, value)| value)
    }

    /// Returns the pairs, in the order of their keys.
    pub fn into_pairs(self) -> impl Iterator<Item = (Term, Term)> {
        let mut terms = self.0.into_vec().into_iter();
        std::iter::from_fn(move || Some((terms.next()?, terms.next()?)))
    }
}

/// The place of a pair, after a number made of the beginning of its key.
type Place = ((u8, u64), usize);

/// The places of the pairs in the order of their keys.
///
/// A BEAM sends large maps in hash order. Sorting by a number made of each key's beginning is several times faster
/// than comparing keys, which is needed only for keys with the same beginning.
fn sorted_places(flat: &[Term]) -> Result<Vec<Place>, DuplicateKey> {
    let key = |place: usize| &flat[2 * place];
    let mut order: Vec<Place> = (0..flat.len() / 2).map(|place| (order_prefix(key(place)), place)).collect();
    order.sort_unstable_by_key(|(prefix, _)| *prefix);
    for alike in order.chunk_by_mut(|a, b| a.0 == b.0).filter(|alike| alike.len() > 1) {
        alike.sort_unstable_by(|a, b| key(a.1).compare_keys(key(b.1)));
        if alike.windows(2).any(|pair| key(pair[0].1) == key(pair[1].1)) {
            return Err(DuplicateKey);
        }
    }
    Ok(order)
}

/// Moves a pair to its place, the one there to its own, and so on: a large map is not copied.
fn arrange(flat: &mut [Term], places: &mut [Place], start: usize) {
    let mut place = start;
    loop {
        let from = mem::replace(&mut places[place].1, place);
        if from == start {
            return;
        }
        flat.swap(2 * place, 2 * from);
        flat.swap(2 * place + 1, 2 * from + 1);
        place = from;
    }
}

/// Collects pairs; a later pair replaces an earlier one with the same key, as in a map literal.
impl FromIterator<(Term, Term)> for Map {
    fn from_iter<I: IntoIterator<Item = (Term, Term)>>(pairs: I) -> Self {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_by(|a, b| a.0.compare_keys(&b.0));
        let mut flat: Vec<Term> = Vec::with_capacity(2 * pairs.len());
        for (key, value) in pairs {
            match flat.len().checked_sub(2) {
                Some(last) if flat[last] == key => flat[last + 1] = value,
                _ => flat.extend([key, value]),
            }
        }
        Self(flat.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Atom, BigInt, BitString};

    #[test]
    fn pairs_are_sorted_however_their_keys_begin() {
        let big = |shift: u32| BigInt::from(1u8) << shift;
        let ascending = [
            Term::from(-big(80)),
            Term::from(i64::MIN),
            Term::from(-1),
            Term::from(0),
            Term::from(i64::MAX),
            Term::from(big(80)),
            Term::from(big(81)),
            Term::float(-1.5).unwrap(),
            Term::float(-0.0).unwrap(),
            Term::float(0.0).unwrap(),
            Term::float(1.5).unwrap(),
            Term::atom(""),
            Term::atom("longer than that"),
            Term::atom("longer than this"),
            Term::Atom(Atom::new("é").unwrap()),
            Term::tuple([]),
            Term::tuple([Term::from(1)]),
            Term::nil(),
            Term::list([Term::from(1)]),
            Term::binary(b""),
            Term::binary(b"\0"),
            Term::binary(b"a"),
            Term::from(BitString::new([b'a', 0], 1).unwrap()),
            Term::binary(b"a\0"),
            Term::binary(b"longer than that"),
            Term::binary(b"longer than this"),
        ];
        for pair in ascending.windows(2) {
            assert!(order_prefix(&pair[0]) <= order_prefix(&pair[1]), "{pair:?}");
        }
        let flat = |key: &Term| [key.clone(), Term::nil()];
        let map = Map::from_flat(ascending.iter().rev().flat_map(flat).collect()).unwrap();
        assert!(map.iter().map(|(key, _)| key).eq(&ascending));
        let twice = ascending.iter().rev().chain(&ascending[12..13]);
        assert_eq!(Map::from_flat(twice.flat_map(flat).collect()), Err(DuplicateKey));
    }
}
