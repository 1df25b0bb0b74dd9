use num_bigint::BigInt;
use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::handover;
use super::native::NativeSerializer;
use super::{Error, ErrorKind, Options};
use crate::{Atom, Sink, encode};

/// Writes values into a [`Sink`], one term each, without the version byte.
#[derive(Debug)]
pub struct Serializer<'a, S> {
    pub(super) sink: &'a mut S,
    pub(super) absent: &'static str,
    pub(super) depth_left: usize,
    pub(super) shape: Shape,
}

/// The form of a tuple or a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shape {
    /// As documented in the module.
    #[default]
    Natural,
    /// The outermost one is a list, like the arguments of a call.
    List,
}

impl<'a, S: Sink> Serializer<'a, S> {
    /// Writes to the end of a sink.
    pub fn new(sink: &'a mut S, options: &Options) -> Self {
        Self { sink, absent: options.absent.name(), depth_left: options.depth, shape: Shape::Natural }
    }

    #[inline]
    fn enter(&mut self) -> Result<Shape, Error> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(ErrorKind::TooDeep { offset: None })?;
        Ok(std::mem::take(&mut self.shape))
    }

    #[inline]
    fn enter_natural(&mut self) -> Result<(), Error> {
        match self.enter()? {
            Shape::Natural => Ok(()),
            Shape::List => Err(Error::not_arguments()),
        }
    }

    #[inline]
    fn name(&mut self, name: &str) -> Result<(), Error> {
        if name.len() > Atom::MAX_CHARACTERS && name.chars().count() > Atom::MAX_CHARACTERS {
            return Err(ErrorKind::AtomTooLong.into());
        }
        encode::atom_name(name, self.sink);
        Ok(())
    }

    /// Starts the tuple `{tag, ...}` of an enum's variant with this number of values.
    fn variant(&mut self, name: &str, variant: &str, values: usize) -> Result<(), Error> {
        encode::tuple_header(values + 1, self.sink);
        self.name(tag_of(name, variant))
    }

    fn list(&mut self, len: Option<usize>) -> Compound<'_, 'a, S> {
        Compound { to: self, kind: Kind::List, stated: len.unwrap_or(0), written: 0, header: None }
    }

    fn tuple(&mut self) -> Compound<'_, 'a, S> {
        Compound { to: self, kind: Kind::Fixed, stated: 0, written: 0, header: None }
    }

    fn map(&mut self, len: Option<usize>) -> Compound<'_, 'a, S> {
        let stated = len.unwrap_or(0);
        let header = Some(self.sink.position());
        encode::map_header(stated, self.sink);
        Compound { to: self, kind: Kind::Map, stated, written: 0, header }
    }
}

/// The atom for an enum's variant: its name, except for Rust's `Result`, which becomes `ok` or `error`.
fn tag_of<'n>(name: &str, variant: &'n str) -> &'n str {
    match (name, variant) {
        ("Result", "Ok") => "ok",
        ("Result", "Err") => "error",
        (_, variant) => variant,
    }
}

fn length(len: usize) -> Result<usize, Error> {
    u32::try_from(len).map(|_| len).map_err(|_| ErrorKind::TooLong.into())
}

/// A compound term that is being written.
#[derive(Debug)]
pub struct Compound<'s, 'a, S> {
    to: &'s mut Serializer<'a, S>,
    kind: Kind,
    /// The number of elements in the header.
    stated: usize,
    written: usize,
    /// The position of the header, once written. A list writes it with the first element, because an empty one has
    /// none.
    header: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// A tuple, whose size serde announces.
    Fixed,
    List,
    Map,
}

impl<S: Sink> Compound<'_, '_, S> {
    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if self.kind == Kind::List {
            if self.header.is_none() {
                self.header = Some(self.to.sink.position());
                encode::list_header(length(self.stated)?, self.to.sink);
            }
            self.written += 1;
        }
        value.serialize(&mut *self.to)
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.to.name(name)?;
        self.written += 1;
        value.serialize(&mut *self.to)
    }

    #[inline]
    fn finish(self) -> Result<(), Error> {
        if let Some(header) = self.header
            && self.written != self.stated
        {
            let written = u32::try_from(self.written).map_err(|_| ErrorKind::TooLong)?;
            self.to.sink.patch_u32(header + 1, written);
        }
        if self.kind == Kind::List {
            encode::nil(self.to.sink);
        }
        self.to.depth_left += 1;
        Ok(())
    }
}

impl<'s, 'a, S: Sink> ser::Serializer for &'s mut Serializer<'a, S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Compound<'s, 'a, S>;
    type SerializeTuple = Compound<'s, 'a, S>;
    type SerializeTupleStruct = Compound<'s, 'a, S>;
    type SerializeTupleVariant = Compound<'s, 'a, S>;
    type SerializeMap = Compound<'s, 'a, S>;
    type SerializeStruct = Compound<'s, 'a, S>;
    type SerializeStructVariant = Compound<'s, 'a, S>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        encode::atom_name(if value { "true" } else { "false" }, self.sink);
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        encode::integer(value, self.sink);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Error> {
        encode::big_integer(&BigInt::from(value), self.sink);
        Ok(())
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        encode::unsigned(value, self.sink);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Error> {
        encode::big_integer(&BigInt::from(value), self.sink);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        if !value.is_finite() {
            return Err(ErrorKind::Float.into());
        }
        encode::float(value, self.sink);
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_i64(u32::from(value).into())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.serialize_bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        length(value.len())?;
        encode::binary(value, self.sink);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Error> {
        encode::atom_name(self.absent, self.sink);
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        match std::mem::take(&mut self.shape) {
            Shape::Natural => encode::atom_name("ok", self.sink),
            Shape::List => encode::nil(self.sink),
        }
        Ok(())
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Error> {
        self.name(name)
    }

    fn serialize_unit_variant(self, name: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.name(tag_of(name, variant))
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), Error> {
        if name == handover::NAME {
            return value.serialize(NativeSerializer::new(self.sink));
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.enter_natural()?;
        self.variant(name, variant, 1)?;
        value.serialize(&mut *self)?;
        self.depth_left += 1;
        Ok(())
    }

    #[inline]
    fn serialize_seq(self, len: Option<usize>) -> Result<Compound<'s, 'a, S>, Error> {
        self.enter()?;
        Ok(self.list(len))
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<Compound<'s, 'a, S>, Error> {
        match self.enter()? {
            Shape::List => Ok(self.list(Some(len))),
            Shape::Natural => {
                encode::tuple_header(length(len)?, self.sink);
                Ok(self.tuple())
            }
        }
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Compound<'s, 'a, S>, Error> {
        self.serialize_tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'s, 'a, S>, Error> {
        self.enter_natural()?;
        self.variant(name, variant, len)?;
        Ok(self.tuple())
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Compound<'s, 'a, S>, Error> {
        self.enter_natural()?;
        len.map(length).transpose()?;
        Ok(self.map(len))
    }

    #[inline]
    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Compound<'s, 'a, S>, Error> {
        self.enter_natural()?;
        Ok(self.map(Some(len)))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Compound<'s, 'a, S>, Error> {
        self.enter_natural()?;
        self.variant(name, variant, 1)?;
        Ok(self.map(Some(len)))
    }
}

impl<S: Sink> SerializeSeq for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeTuple for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeTupleStruct for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeTupleVariant for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.element(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeMap for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        self.written += 1;
        key.serialize(&mut *self.to)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(&mut *self.to)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeStruct for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl<S: Sink> SerializeStructVariant for Compound<'_, '_, S> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}
