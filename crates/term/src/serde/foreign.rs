//! Terms in formats other than the external term format.

use std::fmt;

use num_traits::ToPrimitive;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use super::handover::{self, NAME};
use crate::{BigInt, Binary, Term};

/// The deepest term for other formats: serde recurses there.
const DEPTH: usize = 128;

/// Writes the closest equivalent of the term.
pub(super) fn serialize<S: Serializer>(term: &Term, serializer: S) -> Result<S::Ok, S::Error> {
    Foreign { term, depth_left: DEPTH }.serialize(serializer)
}

struct Foreign<'a> {
    term: &'a Term,
    depth_left: usize,
}

impl Serialize for Foreign<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(depth_left) = self.depth_left.checked_sub(1) else {
            return Err(S::Error::custom("a term that is nested too deep"));
        };
        let inside = |term| Foreign { term, depth_left };
        match self.term {
            Term::Integer(value) => serializer.serialize_i64(*value),
            Term::BigInteger(value) => match (value.get().to_u64(), value.get().to_i128(), value.get().to_u128()) {
                (Some(value), _, _) => serializer.serialize_u64(value),
                (_, Some(value), _) => serializer.serialize_i128(value),
                (_, _, Some(value)) => serializer.serialize_u128(value),
                _ => encoded(self.term, serializer),
            },
            Term::Float(value) => serializer.serialize_f64(value.get()),
            Term::Atom(atom) => match atom.as_str() {
                "true" => serializer.serialize_bool(true),
                "false" => serializer.serialize_bool(false),
                "undefined" | "nil" => serializer.serialize_none(),
                name => serializer.serialize_str(name),
            },
            Term::Binary(bytes) => match bytes.as_str() {
                Some(text) => serializer.serialize_str(text),
                None => serializer.serialize_bytes(bytes),
            },
            Term::Tuple(elements) => serializer.collect_seq(elements.iter().map(inside)),
            Term::List(elements) => serializer.collect_seq(elements.iter().map(inside)),
            Term::Map(map) => serializer.collect_map(map.iter().map(|(key, value)| (inside(key), inside(value)))),
            other => encoded(other, serializer),
        }
    }
}

/// Writes a map of one key, with the encoded term.
fn encoded<S: Serializer>(term: &Term, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(NAME, &Binary::from(term.encode()))?;
    map.end()
}

/// Takes the term that our deserializer hands over, or an equivalent of one in another format.
pub(super) struct TermVisitor;

struct ForeignTerm(Term);

impl<'de> Deserialize<'de> for ForeignTerm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TermVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for TermVisitor {
    type Value = Term;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Term, E> {
        Ok(Term::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Term, E> {
        Ok(Term::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Term, E> {
        Ok(Term::from(value))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Term, E> {
        Ok(Term::from(BigInt::from(value)))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Term, E> {
        Ok(Term::from(BigInt::from(value)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Term, E> {
        Term::float(value).ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &"a finite float"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Term, E> {
        Ok(Term::from(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Term, E> {
        Ok(Term::binary(bytes))
    }

    fn visit_unit<E>(self) -> Result<Term, E> {
        Ok(Term::atom("undefined"))
    }

    fn visit_none<E>(self) -> Result<Term, E> {
        Ok(Term::atom("undefined"))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Term, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Term, D::Error> {
        match handover::take_over() {
            Some(term) => Ok(term),
            None => deserializer.deserialize_any(self),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Term, A::Error> {
        let mut terms = Vec::new();
        while let Some(ForeignTerm(term)) = elements.next_element()? {
            terms.push(term);
        }
        Ok(Term::List(terms.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Term, A::Error> {
        let mut pairs = Vec::new();
        while let Some(ForeignTerm(key)) = map.next_key()? {
            if matches!(&key, Term::Binary(name) if **name == *NAME.as_bytes()) {
                let encoded: Binary = map.next_value()?;
                return Term::decode(&encoded.into_bytes()).map_err(de::Error::custom);
            }
            let ForeignTerm(value) = map.next_value()?;
            pairs.push((key, value));
        }
        Ok(Term::map(pairs))
    }
}
