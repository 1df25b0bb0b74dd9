//! Rust types to and from the external term format with serde, without a [`Term`] in between.
//!
//! ```
//! use peerl_term::serde::{from_slice, to_vec};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Page<'a> {
//!     url: &'a str,
//!     status: u16,
//!     etag: Option<&'a str>,
//! }
//!
//! let page = Page { url: "http://a/", status: 200, etag: None };
//! let wire = to_vec(&page)?; // #{url => <<"http://a/">>, status => 200, etag => undefined}
//! assert_eq!(from_slice::<Page>(&wire)?, page);
//! # Ok::<(), peerl_term::serde::Error>(())
//! ```
//!
//! # The mapping
//!
//! | Rust | is written as | is read from |
//! |---|---|---|
//! | `bool` | `true`, `false` | the same |
//! | integers, 128-bit ones too | an integer | an integer that fits |
//! | `f32`, `f64` | a float; an error unless finite | a float, an integer |
//! | `char` | its code point, Erlang's `$c` | a code point, a binary or an atom of one character |
//! | `&str`, `String` | a binary | a binary, an atom; a charlist if [asked for](Options::charlists) |
//! | `&[u8]` and byte buffers that say so (`serde_bytes`, [`Binary`]) | a binary | a binary, a list of bytes |
//! | `Vec<T>`, other sequences | a list | a proper list, a string (`STRING_EXT`), a tuple; bytes from a binary too |
//! | tuples, arrays, tuple structs | a tuple | a tuple or a proper list of that length; bytes from a binary too |
//! | `struct` | a map with atoms as keys | a map with atoms or binaries as keys, a property list, a native record |
//! | maps | a map; `String` keys are binaries | a map, a property list, a native record |
//! | `Option<T>` | `undefined` ([or `nil`](Options::absent)), or the value | `undefined` and `nil`, or the value |
//! | `()` | `ok` | `ok`, `undefined`, `nil`, `{}` |
//! | `struct Unit` | the atom `'Unit'` | that atom, or a binary of it |
//! | newtype | what is inside | what is inside |
//! | `enum`: `Variant` | `'Variant'` | that atom, or a binary of it |
//! | `enum`: `Variant(a)` | `{'Variant', A}` | the same |
//! | `enum`: `Variant(a, b)` | `{'Variant', A, B}` | the same |
//! | `enum`: `Variant { a }` | `{'Variant', #{a => A}}` | the same |
//! | `Result<T, E>` | `{ok, T}`, `{error, E}` | the same |
//! | [`Term`], [`Atom`], [`Pid`], [`Port`], [`Reference`], … | themselves | themselves |
//!
//! `#[serde(rename)]` and the other attributes work. With `#[serde(flatten)]` serde does not tell a format which keys
//! are fields, so the keys are written as binaries; both forms are read. Types with a human-readable form, such as
//! `IpAddr`, use it.
//!
//! Unknown fields are skipped without recursion. Nesting beyond [`Options::depth`] is an error, except inside a
//! [`Term`].
//!
//! In other formats a [`Term`] becomes its closest equivalent: atoms become strings, tuples sequences. A term without
//! an equivalent (pid, reference, fun, ...) becomes a map with one key, `$peerl::native`, and the encoded term.
//!
//! [`Term`]: crate::Term
//! [`Atom`]: crate::Atom
//! [`Binary`]: crate::Binary
//! [`Pid`]: crate::Pid
//! [`Port`]: crate::Port
//! [`Reference`]: crate::Reference

pub mod charlist;
mod deserializer;
mod error;
mod foreign;
mod handover;
mod native;
mod options;
mod sequence;
mod serializer;

use bytes::Bytes;
use serde::de::{Deserialize, DeserializeOwned};
use serde::ser::Serialize;

use crate::{RawTerm, Sink, Term};

pub use deserializer::Deserializer;
pub use error::{Error, ErrorKind};
pub use options::{Absent, AcceptedAbsent, Charlists, Options};
pub use serializer::Serializer;

/// Writes a value as a term with the version byte 131.
///
/// # Errors
/// If the value has no term: an infinite float, an atom with too many characters.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    Options::default().to_vec(value)
}

/// Writes a value as a term without the version byte, as in a distribution frame. After an error the sink holds a
/// part of it.
///
/// # Errors
/// If the value has no term: an infinite float, an atom with too many characters.
pub fn to_sink<T: Serialize + ?Sized, S: Sink>(value: &T, sink: &mut S) -> Result<(), Error> {
    Options::default().to_sink(value, sink)
}

/// Writes a tuple, an array or a sequence as a list, like the arguments of a call, without a version byte; `()`
/// becomes the empty list.
///
/// # Errors
/// If the value has no term, or is not a sequence.
pub fn list_to_sink<T: Serialize + ?Sized, S: Sink>(value: &T, sink: &mut S) -> Result<(), Error> {
    Options::default().list_to_sink(value, sink)
}

/// Reads a value from a term with its version byte 131. Strings and byte slices may borrow from the buffer, and large
/// binaries in a [`Term`] share it. A compressed term is an error: decode it as a [`Term`].
///
/// # Errors
/// If the bytes are not one well-formed term, or not one of the type.
pub fn from_bytes<'de, T: Deserialize<'de>>(bytes: &'de Bytes) -> Result<T, Error> {
    Options::default().from_bytes(bytes)
}

/// Reads a value from a term with its version byte 131. Strings and byte slices may borrow from it.
///
/// # Errors
/// If the bytes are not one well-formed term, or not one of the type.
pub fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Error> {
    Options::default().from_slice(bytes)
}

/// Reads a value from a received term.
///
/// # Errors
/// If the bytes are not one well-formed term, or not one of the type.
pub fn from_raw<'de, T: Deserialize<'de>>(raw: &'de RawTerm) -> Result<T, Error> {
    Options::default().from_raw(raw)
}

/// Turns a value into a [`Term`].
///
/// # Errors
/// If the value has no term: an infinite float, an atom with too many characters.
pub fn to_term<T: Serialize + ?Sized>(value: &T) -> Result<Term, Error> {
    Options::default().to_term(value)
}

/// Turns a [`Term`] into a value.
///
/// # Errors
/// If the term is not one of the type.
pub fn from_term<T: DeserializeOwned>(term: &Term) -> Result<T, Error> {
    Options::default().from_term(term)
}
