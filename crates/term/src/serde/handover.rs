//! Hands a decoded [`Term`] to its visitor: the deserializer puts the term into a thread-local cell and calls the visitor,
//! which takes the term from there.

use std::cell::Cell;

use serde::de::{Deserializer, Error as _, Visitor};

use super::Error;
use crate::Term;

/// The name of the newtype struct that wraps terms.
pub(super) const NAME: &str = "$peerl::native";

thread_local! {
    static HANDOVER: Cell<Option<Term>> = const { Cell::new(None) };
}

/// Calls a visitor that takes the term with [`take_over`].
pub(super) fn hand_over<'de, V: Visitor<'de>>(term: Term, visitor: V) -> Result<V::Value, Error> {
    HANDOVER.set(Some(term));
    let value = visitor.visit_newtype_struct(Placeholder);
    HANDOVER.take();
    value
}

/// The term that was handed over, if this is such a call.
pub(super) fn take_over() -> Option<Term> {
    HANDOVER.take()
}

/// The deserializer that a visitor gets with a term that is handed over. It has no values.
struct Placeholder;

impl<'de> Deserializer<'de> for Placeholder {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(refused())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cold]
pub(super) fn refused() -> Error {
    Error::custom(format_args!("`{NAME}` is a reserved name"))
}
