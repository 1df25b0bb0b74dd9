use std::borrow::Cow;

use num_traits::ToPrimitive;
use serde::de::{self, Unexpected, Visitor};

use super::sequence::{Bytes, Fields, ListElements, Pairs, Properties, StructPairs, TupleElements, Variant};
use super::{Absent, AcceptedAbsent, Charlists, Error, ErrorKind, Options, handover};
use crate::{Decoder, Tag, Term};

/// Reads values from a [`Decoder`], one term each.
#[derive(Debug)]
pub struct Deserializer<'d, 'de> {
    pub(super) decoder: &'d mut Decoder<'de>,
    options: Options,
    depth_left: usize,
    /// For the first keys of a map, the field that the key at the same index had in the previous map.
    pub(super) field_places: [u8; 16],
}

impl<'d, 'de> Deserializer<'d, 'de> {
    /// Reads from the decoder's position, with the default options.
    pub fn new(decoder: &'d mut Decoder<'de>) -> Self {
        Self::with_options(decoder, &Options::default())
    }

    /// Reads from the decoder's position. The limits are the decoder's.
    pub fn with_options(decoder: &'d mut Decoder<'de>, options: &Options) -> Self {
        Self { decoder, options: *options, depth_left: options.depth, field_places: [0; 16] }
    }

    /// Reads the elements of a compound term whose tag is at this offset.
    #[inline(always)]
    fn nested<T>(&mut self, at: usize, read: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(ErrorKind::TooDeep { offset: Some(at) })?;
        let mut result = read(self);
        self.depth_left += 1;
        // Avoids another move of a large value.
        if let Err(error) = &mut result {
            error.locate(at);
        }
        result
    }

    #[inline]
    fn tuple<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        let arity = self.decoder.tuple_header()?;
        self.nested(at, |de| {
            let mut elements = TupleElements { de, left: arity };
            let value = visitor.visit_seq(&mut elements)?;
            match elements.left {
                0 => Ok(value),
                left => Err(de::Error::invalid_length(
                    arity,
                    &format_args!("a tuple of {}", arity - left).to_string().as_str(),
                )),
            }
        })
    }

    #[inline(always)]
    fn list<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        self.nested(at, |de| {
            let mut elements = ListElements::new(de)?;
            let value = visitor.visit_seq(&mut elements)?;
            elements.finish()?;
            Ok(value)
        })
    }

    #[inline]
    fn map<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.decoder.map_header()?;
        self.nested(at, |de| {
            let mut pairs = Pairs { de, left: pairs };
            let result = visitor.visit_map(&mut pairs);
            pairs.finish(result)
        })
    }

    fn properties<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        self.nested(at, |de| {
            let mut properties = Properties { list: ListElements::new(de)?, just_key: false };
            let value = visitor.visit_map(&mut properties)?;
            properties.list.finish()?;
            Ok(value)
        })
    }

    fn record<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        let keys = self.decoder.record_keys()?;
        self.nested(at, |de| {
            let mut fields = Fields { de, keys: keys.into_iter() };
            let value = visitor.visit_map(&mut fields)?;
            match fields.keys.len() {
                0 => Ok(value),
                _ => Err(de::Error::custom("record of too many fields")),
            }
        })
    }

    /// Reads a list of code points, if lists are accepted as strings.
    fn charlist<V: Visitor<'de>>(&mut self, at: usize, visitor: V) -> Result<V::Value, Error> {
        if self.options.charlists == Charlists::Refused {
            return self.list(at, visitor);
        }
        let text = super::charlist::deserialize::<String, _>(&mut *self).map_err(|error| error.at(at))?;
        visitor.visit_string(text).map_err(|error: Error| error.at(at))
    }

    #[inline]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        match self.decoder.peek_tag()? {
            Tag::SMALL_INTEGER_EXT => visitor.visit_u8(self.decoder.byte()?),
            Tag::INTEGER_EXT => visitor.visit_i32(self.decoder.int()?),
            Tag::SMALL_BIG_EXT | Tag::LARGE_BIG_EXT => self.big_number(visitor),
            Tag::NEW_FLOAT_EXT | Tag::FLOAT_EXT => visitor.visit_f64(self.decoder.float()?),
            _ => return self.any(visitor),
        }
        .map_err(|error: Error| error.at(at))
    }

    fn big_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.decoder.term()? {
            Term::Integer(value) => visitor.visit_i64(value),
            Term::BigInteger(value) => {
                let value = value.get();
                match (value.to_u64(), value.to_i128(), value.to_u128()) {
                    (Some(value), _, _) => visitor.visit_u64(value),
                    (_, Some(value), _) => visitor.visit_i128(value),
                    (_, _, Some(value)) => visitor.visit_u128(value),
                    _ => Err(de::Error::invalid_type(Unexpected::Other("integer of more than 128 bits"), &visitor)),
                }
            }
            _ => Err(de::Error::custom("not an integer")),
        }
    }

    #[inline]
    fn text<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        let value = match self.decoder.peek_tag()? {
            Tag::BINARY_EXT => {
                let bytes = self.decoder.binary()?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            Tag::STRING_EXT | Tag::NIL_EXT | Tag::LIST_EXT => self.charlist(at, visitor),
            tag if tag.is_atom() => self.visit_name(visitor),
            _ => return self.any(visitor),
        };
        value.map_err(|error: Error| error.at(at))
    }

    #[inline]
    fn visit_name<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        match self.decoder.atom_name()? {
            Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
            Cow::Owned(name) => visitor.visit_string(name),
        }
    }

    fn is_absent(&self, name: &str) -> bool {
        self.absent_names().contains(&name)
    }

    /// The atoms that are read as `None`.
    #[inline]
    fn absent_names(&self) -> &'static [&'static str] {
        match (self.options.accepted, self.options.absent) {
            (AcceptedAbsent::Either, _) => &["undefined", "nil"],
            (AcceptedAbsent::AsWritten, Absent::Undefined) => &["undefined"],
            (AcceptedAbsent::AsWritten, Absent::Nil) => &["nil"],
        }
    }

    fn any<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        let value = match self.decoder.peek_tag()? {
            Tag::SMALL_INTEGER_EXT
            | Tag::INTEGER_EXT
            | Tag::SMALL_BIG_EXT
            | Tag::LARGE_BIG_EXT
            | Tag::NEW_FLOAT_EXT
            | Tag::FLOAT_EXT => self.number(visitor),
            Tag::BINARY_EXT => self.text(visitor),
            Tag::SMALL_TUPLE_EXT | Tag::LARGE_TUPLE_EXT => self.tuple(at, visitor),
            Tag::NIL_EXT | Tag::STRING_EXT | Tag::LIST_EXT => self.list(at, visitor),
            Tag::MAP_EXT => self.map(at, visitor),
            Tag::RECORD_EXT => self.record(at, visitor),
            tag if tag.is_atom() => match self.decoder.atom_name()? {
                Cow::Borrowed("true") => visitor.visit_bool(true),
                Cow::Borrowed("false") => visitor.visit_bool(false),
                name if name == "true" || name == "false" => visitor.visit_bool(name == "true"),
                name if self.is_absent(&name) => visitor.visit_unit(),
                Cow::Borrowed(name) => visitor.visit_borrowed_str(name),
                Cow::Owned(name) => visitor.visit_string(name),
            },
            _ => {
                let mut encoded = vec![crate::tag::VERSION];
                crate::encode::term(&self.decoder.term()?, &mut encoded);
                visitor.visit_map(de::value::MapDeserializer::new(std::iter::once((
                    handover::NAME,
                    de::value::BytesDeserializer::new(&encoded),
                ))))
            }
        };
        value.map_err(|error: Error| error.at(at))
    }
}

macro_rules! deserialize_as {
    ($($method:ident)* => $how:ident) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.$how(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for &mut Deserializer<'_, 'de> {
    type Error = Error;

    deserialize_as!(deserialize_any => any);
    deserialize_as!(deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 => number);
    deserialize_as!(deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 => number);
    deserialize_as!(deserialize_f32 deserialize_f64 => number);
    deserialize_as!(deserialize_str deserialize_string => text);

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.decoder.atom_if("true") {
            visitor.visit_bool(true)
        } else if self.decoder.atom_if("false") {
            visitor.visit_bool(false)
        } else {
            self.any(visitor)
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        match self.decoder.peek_tag()? {
            Tag::SMALL_INTEGER_EXT | Tag::INTEGER_EXT => {
                let code_point = self.decoder.integer()?;
                let value = match u32::try_from(code_point).ok().and_then(char::from_u32) {
                    Some(value) => visitor.visit_char(value),
                    None => Err(de::Error::invalid_value(Unexpected::Signed(code_point), &visitor)),
                };
                value.map_err(|error: Error| error.at(at))
            }
            _ => self.text(visitor),
        }
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        let bytes = match self.decoder.peek_tag()? {
            Tag::BINARY_EXT => self.decoder.binary()?,
            Tag::STRING_EXT => self.decoder.string()?,
            _ => return self.any(visitor),
        };
        visitor.visit_borrowed_bytes(bytes).map_err(|error: Error| error.at(at))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let tag = self.decoder.peek_tag()?;
        if tag == Tag::SMALL_ATOM_UTF8_EXT {
            if self.absent_names().iter().any(|name| self.decoder.atom_if(name)) {
                return visitor.visit_none();
            }
        } else if tag.is_atom() {
            let before = self.decoder.clone();
            let name = self.decoder.atom_name()?;
            if self.is_absent(&name) {
                return visitor.visit_none();
            }
            *self.decoder = before;
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let before = self.decoder.clone();
        match self.decoder.peek_tag()? {
            tag if tag.is_atom() => {
                let name = self.decoder.atom_name()?;
                if name == "ok" || self.is_absent(&name) {
                    return visitor.visit_unit();
                }
            }
            Tag::SMALL_TUPLE_EXT if self.decoder.tuple_header()? == 0 => return visitor.visit_unit(),
            _ => {}
        }
        *self.decoder = before;
        self.any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        let read = self.variant_name()?;
        if read == name {
            return visitor.visit_unit();
        }
        Err(<Error as de::Error>::invalid_value(Unexpected::Str(&read), &name).at(at))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Error> {
        if name == handover::NAME {
            let at = self.decoder.position();
            return handover::hand_over(self.decoder.term()?, visitor).map_err(|error| error.at(at));
        }
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        match self.decoder.peek_tag()? {
            Tag::LIST_EXT | Tag::NIL_EXT | Tag::STRING_EXT => self.list(at, visitor),
            Tag::BINARY_EXT => {
                let mut bytes = Bytes(self.decoder.binary()?);
                let value = visitor.visit_seq(&mut bytes).map_err(|error| error.at(at))?;
                match bytes.0 {
                    [] => Ok(value),
                    _ => Err(<Error as de::Error>::custom("binary of too many bytes").at(at)),
                }
            }
            _ => self.any(visitor),
        }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        match self.decoder.peek_tag()? {
            Tag::SMALL_TUPLE_EXT | Tag::LARGE_TUPLE_EXT => self.tuple(at, visitor),
            _ => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        match self.decoder.peek_tag()? {
            Tag::MAP_EXT => self.map(at, visitor),
            Tag::LIST_EXT | Tag::NIL_EXT => self.properties(at, visitor),
            _ => self.any(visitor),
        }
    }

    #[inline(always)]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        if self.decoder.peek_tag()? != Tag::MAP_EXT {
            return self.deserialize_map(visitor);
        }
        let left = self.decoder.map_header()?;
        self.nested(at, |de| {
            let mut pairs = StructPairs { pairs: Pairs { de, left }, fields, read: 0 };
            let result = visitor.visit_map(&mut pairs);
            pairs.pairs.finish(result)
        })
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let at = self.decoder.position();
        let values = match self.decoder.peek_tag()? {
            Tag::SMALL_TUPLE_EXT | Tag::LARGE_TUPLE_EXT => self.decoder.tuple_header()?.checked_sub(1),
            _ => Some(0),
        };
        let Some(values) = values else {
            return Err(<Error as de::Error>::invalid_type(Unexpected::Other("empty tuple"), &visitor).at(at));
        };
        let variant = match variants.iter().find(|name| self.decoder.atom_if(name)) {
            Some(name) => Cow::Borrowed(*name),
            None => match (name, self.variant_name()?) {
                ("Result", variant) if variant == "ok" => Cow::Borrowed("Ok"),
                ("Result", variant) if variant == "error" => Cow::Borrowed("Err"),
                (_, variant) => variant,
            },
        };
        self.nested(at, |de| visitor.visit_enum(Variant { de, name: variant, values }))
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.decoder.peek_tag()? {
            tag if tag.is_atom() => self.visit_name(visitor),
            Tag::BINARY_EXT => self.text(visitor),
            // Any other key of a map. No field has a name with this byte.
            _ => {
                self.decoder.skip_term()?;
                visitor.visit_bytes(b"\xff")
            }
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.decoder.skip_term()?;
        visitor.visit_unit()
    }
}

impl<'de> Deserializer<'_, 'de> {
    /// Reads the name of a variant or a unit struct: an atom or a binary.
    fn variant_name(&mut self) -> Result<Cow<'de, str>, Error> {
        let at = self.decoder.position();
        if self.decoder.peek_tag()? != Tag::BINARY_EXT {
            return Ok(self.decoder.atom_name()?);
        }
        match std::str::from_utf8(self.decoder.binary()?) {
            Ok(name) => Ok(Cow::Borrowed(name)),
            Err(_) => Err(self.decoder.unexpected(at).into()),
        }
    }
}
