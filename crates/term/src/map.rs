use std::cmp::Ordering;

use crate::Term;
use crate::elements::Elements;

/// A map. Its pairs are kept in the order of their keys (integers before floats, as the Erlang reference
/// manual orders map keys), so equal maps are equal whatever order they were made in.
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
        let mut pairs = Vec::with_capacity(flat.len() / 2);
        let mut terms = flat.into_iter();
        while let (Some(key), Some(value)) = (terms.next(), terms.next()) {
            pairs.push((key, value));
        }
        pairs.sort_unstable_by(|a, b| a.0.compare_keys(&b.0));
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(DuplicateKey);
        }
        Ok(Self(pairs.into_iter().flat_map(<[Term; 2]>::from).collect::<Vec<_>>().into()))
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// Says whether there are no pairs.
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

    /// Takes the pairs out, in the order of their keys.
    pub fn into_pairs(self) -> impl Iterator<Item = (Term, Term)> {
        let mut terms = self.0.into_vec().into_iter();
        std::iter::from_fn(move || Some((terms.next()?, terms.next()?)))
    }
}

/// Collects pairs; of two with the same key the later one counts, as in a map literal.
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
