//! Passes a [`Term`] and similar types through this module's serializer and deserializer unchanged.
//!
//! serde cannot pass a format's own value through. Writing: a term is a newtype struct with a reserved name; its
//! content asks the serializer twice whether it is human-readable, and only [`NativeSerializer`] changes its answer
//! and takes the encoded bytes in pieces. Reading: the term is [handed over](super::handover).

use std::cell::Cell;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Impossible, Serialize, SerializeSeq, Serializer};

use super::Error;
use super::foreign::{self, TermVisitor};
use super::handover::{NAME, refused};
use crate::{Atom, Binary, BitString, ExternalFun, Pid, Port, Reference, Sink, Term, encode};

/// A type that writes itself into a sink.
trait Encode {
    fn encode<S: Sink>(&self, sink: &mut S);
    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

struct Native<'a, T>(&'a T);

impl<T: Encode> Serialize for Native<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() == serializer.is_human_readable() {
            return self.0.serialize_foreign(serializer);
        }
        let mut pieces = Pieces { to: serializer.serialize_seq(None)?, position: 0, result: Ok(()) };
        self.0.encode(&mut pieces);
        pieces.result?;
        pieces.to.end()
    }
}

/// A sink that writes into a sequence; [`RawElement`] takes the elements.
struct Pieces<Q: SerializeSeq> {
    to: Q,
    position: usize,
    result: Result<(), Q::Error>,
}

impl<Q: SerializeSeq> Sink for Pieces<Q> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.position += bytes.len();
        if self.result.is_ok() {
            self.result = self.to.serialize_element(&Piece(bytes));
        }
    }

    fn position(&self) -> usize {
        self.position
    }

    fn patch_u32(&mut self, position: usize, value: u32) {
        if self.result.is_ok() {
            self.result = self.to.serialize_element(&Patch { position, value });
        }
    }

    fn put_record_tag(&mut self) {
        self.position += 1;
        if self.result.is_ok() {
            self.result = self.to.serialize_element(&RecordTag);
        }
    }
}

struct Piece<'a>(&'a [u8]);

impl Serialize for Piece<'_> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct Patch {
    position: usize,
    value: u32,
}

impl Serialize for Patch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u128(((self.position as u128) << 32) | u128::from(self.value))
    }
}

struct RecordTag;

impl Serialize for RecordTag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// Rejects all calls that [`Native`] and its serializer do not use.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*);)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<(), Error> {
            Err(refused())
        }
    )*};
    (compound $($method:ident($($argument:ty),*) -> $compound:ident;)*) => {$(
        fn $method(self, $(_: $argument),*) -> Result<Self::$compound, Error> {
            Err(refused())
        }
    )*};
}

macro_rules! refuse_all_but_bytes {
    () => {
        refuse! {
            serialize_bool(bool); serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
            serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
            serialize_f32(f32); serialize_f64(f64); serialize_char(char); serialize_str(&str);
            serialize_none(); serialize_unit_struct(&'static str);
            serialize_unit_variant(&'static str, u32, &'static str);
        }
        refuse! { compound
            serialize_tuple(usize) -> SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
            serialize_map(Option<usize>) -> SerializeMap;
            serialize_struct(&'static str, usize) -> SerializeStruct;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
        }

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Error> {
            Err(refused())
        }

        fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<(), Error> {
            Err(refused())
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<(), Error> {
            Err(refused())
        }
    };
}

/// Takes the pieces of an encoded term.
pub(super) struct NativeSerializer<'a, S> {
    sink: &'a mut S,
    start: usize,
    for_people: Cell<bool>,
}

impl<'a, S: Sink> NativeSerializer<'a, S> {
    pub(super) fn new(sink: &'a mut S) -> Self {
        let start = sink.position();
        Self { sink, start, for_people: Cell::new(true) }
    }
}

impl<S: Sink> Serializer for NativeSerializer<'_, S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Self;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    fn is_human_readable(&self) -> bool {
        self.for_people.replace(!self.for_people.get())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Error> {
        Ok(self)
    }

    refuse! { serialize_bytes(&[u8]); serialize_u128(u128); serialize_unit(); }
    refuse_all_but_bytes!();
}

impl<S: Sink> SerializeSeq for NativeSerializer<'_, S> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, piece: &T) -> Result<(), Error> {
        piece.serialize(RawElement { sink: &mut *self.sink, start: self.start })
    }

    fn end(self) -> Result<(), Error> {
        Ok(())
    }
}

struct RawElement<'a, S> {
    sink: &'a mut S,
    start: usize,
}

impl<S: Sink> Serializer for RawElement<'_, S> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Impossible<(), Error>;
    type SerializeTuple = Impossible<(), Error>;
    type SerializeTupleStruct = Impossible<(), Error>;
    type SerializeTupleVariant = Impossible<(), Error>;
    type SerializeMap = Impossible<(), Error>;
    type SerializeStruct = Impossible<(), Error>;
    type SerializeStructVariant = Impossible<(), Error>;

    #[inline]
    fn serialize_bytes(self, bytes: &[u8]) -> Result<(), Error> {
        self.sink.put(bytes);
        Ok(())
    }

    fn serialize_u128(self, patch: u128) -> Result<(), Error> {
        self.sink.patch_u32(self.start + (patch >> 32) as usize, patch as u32);
        Ok(())
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.sink.put_record_tag();
        Ok(())
    }

    refuse! { compound serialize_seq(Option<usize>) -> SerializeSeq; }
    refuse_all_but_bytes!();
}

impl<'de> Deserialize<'de> for Term {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NAME, TermVisitor)
    }
}

impl Encode for Term {
    #[inline]
    fn encode<S: Sink>(&self, sink: &mut S) {
        encode::term(self, sink);
    }

    fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        foreign::serialize(self, serializer)
    }
}

macro_rules! serialize_natively {
    ($($type:ident)*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(NAME, &Native(self))
            }
        }
    )*};
}

serialize_natively!(Term Atom BitString Pid Port Reference ExternalFun);

macro_rules! pass_through {
    ($($type:ident: $encode:path, $expected:literal, $from:expr;)*) => {$(
        impl Encode for $type {
            #[inline]
            fn encode<S: Sink>(&self, sink: &mut S) {
                $encode(self, sink);
            }

            fn serialize_foreign<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                foreign::serialize(&Term::from(self.clone()), serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let from: fn(Term) -> Result<Self, Term> = $from;
                from(Term::deserialize(deserializer)?).map_err(|other| mismatch(&other, $expected))
            }
        }
    )*};
}

pass_through! {
    Atom: encode::atom, "an atom", |term| match term {
        Term::Atom(atom) => Ok(atom),
        // The form of an atom in other formats.
        Term::Binary(name) => {
            name.as_str().and_then(|name| Self::new(name).ok()).ok_or_else(|| Term::Binary(name.clone()))
        }
        other => Err(other),
    };
    BitString: encode::bit_string, "a bit string", |term| match term {
        Term::BitString(bits) => Ok(*bits),
        other => Err(other),
    };
    Pid: encode::pid, "a pid", |term| match term {
        Term::Pid(pid) => Ok(*pid),
        other => Err(other),
    };
    Port: encode::port, "a port", |term| match term {
        Term::Port(port) => Ok(*port),
        other => Err(other),
    };
    Reference: encode::reference, "a reference", |term| match term {
        Term::Reference(reference) => Ok(*reference),
        other => Err(other),
    };
    ExternalFun: encode::external_fun, "a fun of a module", |term| match term {
        Term::ExternalFun(fun) => Ok(*fun),
        other => Err(other),
    };
}

impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self)
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Term::deserialize(deserializer)? {
            Term::Binary(bytes) => Ok(bytes),
            // The form of a binary in formats without bytes.
            Term::List(list) => list.to_bytes().map(Self::from).ok_or_else(|| mismatch(&Term::List(list), "a binary")),
            other => Err(mismatch(&other, "a binary")),
        }
    }
}

#[cold]
fn mismatch<E: de::Error>(term: &Term, expected: &str) -> E {
    let kind = match term {
        Term::Integer(_) | Term::BigInteger(_) => "integer",
        Term::Float(_) => "float",
        Term::Atom(_) => "atom",
        Term::Binary(_) => "binary",
        Term::BitString(_) => "bit string",
        Term::Pid(_) => "pid",
        Term::Port(_) => "port",
        Term::Reference(_) => "reference",
        Term::ExternalFun(_) | Term::LocalFun(_) => "fun",
        Term::Tuple(_) => "tuple",
        Term::Map(_) => "map",
        Term::List(_) => "list",
        Term::ImproperList(_) => "improper list",
        Term::Record(_) => "record",
    };
    E::invalid_type(de::Unexpected::Other(kind), &expected)
}
