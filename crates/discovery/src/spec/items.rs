//! Parses settings from the items of a text.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqAccessDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de, forward_to_deserialize_any};

use super::text;

/// Parses `a,key=b,key=c` as the fields of a struct; bare values belong to the field `bare`.
pub(crate) fn read<T: DeserializeOwned>(source: &str, bare: Option<&str>) -> Result<T, String> {
    let mut fields: Vec<(String, Values)> = Vec::new();
    for (key, value) in text::items(source) {
        let key = match (key, bare) {
            (Some(key), _) => key,
            (None, Some(bare)) => bare.to_owned(),
            (None, None) => return Err(format!("{value:?} is not KEY=VALUE")),
        };
        match fields.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.values.push(value),
            None => fields.push((key.clone(), Values { key, values: vec![value] })),
        }
    }
    T::deserialize(MapDeserializer::new(fields.into_iter())).map_err(|SettingError(message)| message)
}

/// Reads a list, or a single value as a list of one; for `#[serde(deserialize_with)]`, with `default`. A value must
/// be readable from text, or a table.
///
/// # Errors
/// The deserializer's errors.
pub fn one_or_many<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

struct OneOrMany<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, or a list of values")
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Vec<T>, E> {
        Ok(vec![T::deserialize(value.into_deserializer())?])
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Vec<T>, A::Error> {
        Ok(vec![T::deserialize(MapAccessDeserializer::new(table))?])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, values: A) -> Result<Vec<T>, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(values))
    }
}

/// All values of one key. They are text until a field requests another type.
struct Values {
    key: String,
    values: Vec<String>,
}

impl Values {
    fn one(mut self) -> Result<String, SettingError> {
        match (self.values.pop(), self.values.is_empty()) {
            (Some(value), true) => Ok(value),
            _ => Err(SettingError(format!("`{}` is given more than once", self.key))),
        }
    }

    fn parsed<T: std::str::FromStr<Err: fmt::Display>>(self) -> Result<T, SettingError> {
        let key = self.key.clone();
        let value = self.one()?;
        value.parse().map_err(|error| SettingError(format!("`{key}` can't be {value:?}: {error}")))
    }
}

impl IntoDeserializer<'_, SettingError> for Values {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parse_numbers {
    ($($method:ident $visit:ident $type:ty),+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
            visitor.$visit(self.parsed::<$type>()?)
        }
    )+};
}

impl<'de> Deserializer<'de> for Values {
    type Error = SettingError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
        match self.values.len() {
            1 => visitor.visit_string(self.one()?),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
        visitor.visit_string(self.one()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
        visitor.visit_string(self.one()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
        let Self { key, values } = self;
        let each = values.into_iter().map(|value| Values { key: key.clone(), values: vec![value] });
        visitor.visit_seq(SeqDeserializer::new(each))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, SettingError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, SettingError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, SettingError> {
        visitor.visit_enum(self.one()?.into_deserializer())
    }

    parse_numbers! {
        deserialize_bool visit_bool bool,
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
        deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64
    }

    forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier ignored_any
    }
}

/// An error in an item.
#[derive(Debug)]
struct SettingError(String);

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SettingError {}

impl de::Error for SettingError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}
