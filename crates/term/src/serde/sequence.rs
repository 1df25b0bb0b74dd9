//! Access to the elements of compound terms, for visitors.

use std::borrow::Cow;

use serde::de::value::{BorrowedStrDeserializer, StrDeserializer, U8Deserializer};
use serde::de::{self, DeserializeSeed, Deserializer as _, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::{Deserializer, Error, ErrorKind};
use crate::Tag;

/// The elements of a tuple.
pub(super) struct TupleElements<'s, 'd, 'de> {
    pub(super) de: &'s mut Deserializer<'d, 'de>,
    pub(super) left: usize,
}

impl<'de> SeqAccess<'de> for TupleElements<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.de).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The elements of a proper list, whose tail may be another list or a string.
pub(super) struct ListElements<'s, 'd, 'de> {
    pub(super) de: &'s mut Deserializer<'d, 'de>,
    pub(super) left: usize,
    pub(super) bytes: &'de [u8],
    /// Whether a tail follows the remaining elements.
    pub(super) open: bool,
}

impl<'s, 'd, 'de> ListElements<'s, 'd, 'de> {
    /// Starts at a list or a string.
    pub(super) fn new(de: &'s mut Deserializer<'d, 'de>) -> Result<Self, Error> {
        let mut elements = Self { de, left: 0, bytes: &[], open: true };
        elements.advance()?;
        Ok(elements)
    }

    /// Reads headers, the first one or those of tails, until there is an element or the end.
    #[inline]
    fn advance(&mut self) -> Result<bool, Error> {
        while self.left == 0 && self.bytes.is_empty() && self.open {
            match self.de.decoder.peek_tag()? {
                Tag::STRING_EXT => {
                    self.bytes = self.de.decoder.string()?;
                    self.open = false;
                }
                Tag::NIL_EXT => {
                    self.de.decoder.nil()?;
                    self.open = false;
                }
                Tag::LIST_EXT => self.left = self.de.decoder.list_header()?,
                _ => return Err(ErrorKind::ImproperList { offset: self.de.decoder.position() }.into()),
            }
        }
        Ok(self.left > 0 || !self.bytes.is_empty())
    }

    /// Checks that the visitor has taken all elements.
    #[inline]
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if self.advance()? { Err(de::Error::custom("list of too many elements")) } else { Ok(()) }
    }
}

impl<'de> SeqAccess<'de> for ListElements<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            if !self.advance()? {
                return Ok(None);
            }
            if let Some((byte, rest)) = self.bytes.split_first() {
                self.bytes = rest;
                return seed.deserialize(U8Deserializer::new(*byte)).map(Some);
            }
        }
        self.left -= 1;
        seed.deserialize(&mut *self.de).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left + self.bytes.len())
    }
}

/// The bytes of a binary as numbers.
pub(super) struct Bytes<'de>(pub(super) &'de [u8]);

impl<'de> SeqAccess<'de> for Bytes<'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        match self.0.split_first() {
            Some((byte, rest)) => {
                self.0 = rest;
                seed.deserialize(U8Deserializer::new(*byte)).map(Some)
            }
            None => Ok(None),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The pairs of a map that is read into a struct.
///
/// Keys are compared with field names as bytes, without a check of their encoding. Maps of one type have their keys
/// in the same order, so the index of a key predicts its field: in a sequence of structs, all keys after the first
/// struct are found at once.
pub(super) struct StructPairs<'s, 'd, 'de> {
    pub(super) pairs: Pairs<'s, 'd, 'de>,
    pub(super) fields: &'static [&'static str],
    /// The number of keys read.
    pub(super) read: usize,
}

impl<'de> StructPairs<'_, '_, 'de> {
    /// Reads a key that is an atom with the name of a field.
    #[inline(always)]
    fn field(&mut self) -> Option<&'static str> {
        let place = self.read;
        self.read += 1;
        let de = &mut *self.pairs.de;
        if let Some(field) = de.field_places.get(place)
            && let Some(name) = self.fields.get(usize::from(*field))
            && de.decoder.atom_if(name)
        {
            return Some(name);
        }
        self.other_field(place)
    }

    #[inline(never)]
    fn other_field(&mut self, place: usize) -> Option<&'static str> {
        let de = &mut *self.pairs.de;
        let field = self.fields.iter().position(|name| de.decoder.atom_if(name))?;
        if let Some(place) = de.field_places.get_mut(place) {
            *place = u8::try_from(field).unwrap_or(0);
        }
        Some(self.fields[field])
    }
}

impl<'de> MapAccess<'de> for StructPairs<'_, '_, 'de> {
    type Error = Error;

    #[inline(always)]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.pairs.left > 0
            && let Some(name) = self.field()
        {
            self.pairs.left -= 1;
            return seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some);
        }
        self.pairs.next_key_seed(seed)
    }

    #[inline(always)]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        self.pairs.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.pairs.size_hint()
    }
}

/// The pairs of a map.
pub(super) struct Pairs<'s, 'd, 'de> {
    pub(super) de: &'s mut Deserializer<'d, 'de>,
    pub(super) left: usize,
}

impl Pairs<'_, '_, '_> {
    /// Checks that the visitor has taken all pairs.
    #[inline(always)]
    pub(super) fn finish<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        if result.is_ok() && self.left > 0 {
            return Err(de::Error::custom("map of too many pairs"));
        }
        result
    }
}

impl<'de> MapAccess<'de> for Pairs<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.de).map(Some)
    }

    #[inline]
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.de)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The pairs of a property list: `{Key, Value}`, or just `Key` for `{Key, true}`.
pub(super) struct Properties<'s, 'd, 'de> {
    pub(super) list: ListElements<'s, 'd, 'de>,
    pub(super) just_key: bool,
}

impl<'de> MapAccess<'de> for Properties<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.list.advance()? {
            return Ok(None);
        }
        let decoder = &mut self.list.de.decoder;
        self.just_key = match (self.list.left, decoder.peek_tag()) {
            (1.., Ok(Tag::SMALL_TUPLE_EXT | Tag::LARGE_TUPLE_EXT)) => {
                if decoder.tuple_header()? != 2 {
                    return Err(de::Error::custom("a property is an atom or a tuple of two"));
                }
                false
            }
            (1.., Ok(tag)) if tag.is_atom() => true,
            _ => return Err(de::Error::custom("a property is an atom or a tuple of two")),
        };
        self.list.left -= 1;
        seed.deserialize(&mut *self.list.de).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        match std::mem::take(&mut self.just_key) {
            true => seed.deserialize(de::value::BoolDeserializer::new(true)),
            false => seed.deserialize(&mut *self.list.de),
        }
    }
}

/// The fields of a native record.
pub(super) struct Fields<'s, 'd, 'de> {
    pub(super) de: &'s mut Deserializer<'d, 'de>,
    pub(super) keys: std::vec::IntoIter<Cow<'de, str>>,
}

impl<'de> MapAccess<'de> for Fields<'_, '_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        self.keys.next().map(|key| deserialize_name(seed, &key)).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.de)
    }
}

#[inline]
fn deserialize_name<'de, S: DeserializeSeed<'de>>(seed: S, name: &Cow<'de, str>) -> Result<S::Value, Error> {
    match name {
        Cow::Borrowed(name) => seed.deserialize(BorrowedStrDeserializer::new(name)),
        Cow::Owned(name) => seed.deserialize(StrDeserializer::new(name)),
    }
}

/// An enum's variant, whose name has been read.
pub(super) struct Variant<'s, 'd, 'de> {
    pub(super) de: &'s mut Deserializer<'d, 'de>,
    pub(super) name: Cow<'de, str>,
    /// The number of values that follow.
    pub(super) values: usize,
}

impl Variant<'_, '_, '_> {
    #[inline]
    fn expect(&self, values: usize) -> Result<(), Error> {
        if self.values == values {
            return Ok(());
        }
        let message = format_args!("variant `{}` has {values} values, not {}", self.name, self.values);
        Err(de::Error::custom(message))
    }
}

impl<'de> EnumAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Error;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        Ok((deserialize_name(seed, &self.name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn unit_variant(self) -> Result<(), Error> {
        self.expect(0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        self.expect(1)?;
        seed.deserialize(self.de)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        self.expect(len)?;
        visitor.visit_seq(TupleElements { de: self.de, left: len })
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.expect(1)?;
        self.de.deserialize_struct("", fields, visitor)
    }
}
