#![forbid(unsafe_code)]
//! Erlang terms and the external term format.
//!
//! A [`Term`] is any value that a BEAM node (OTP 25, 27, 29) can send: integers of any size, floats, atoms, binaries,
//! bit strings, pids, ports, references, funs, tuples, maps, lists and records. This crate reads and writes them in
//! the [external term format][ext], compares them in Erlang's term order, and maps them to Rust types with serde. It
//! does no I/O.
//!
//! No function of this crate recurses on its input for more than a few levels: a list nested a million levels deep is
//! decoded, compared, cloned, printed and dropped in constant stack space.
//!
//! ```
//! use bytes::Bytes;
//! use peerl_term::Term;
//!
//! let pair = Term::tuple([Term::atom("ok"), Term::from(42)]);
//! let wire = pair.encode();
//! assert_eq!(wire, [131, 104, 2, 119, 2, b'o', b'k', 97, 42]);
//! assert_eq!(Term::decode(&Bytes::from(wire))?, pair);
//! # Ok::<(), peerl_term::DecodeError>(())
//! ```
//!
//! [ext]: https://www.erlang.org/doc/apps/erts/erl_ext_dist

/// Gives a wrapper of [`elements::Elements`] the methods of a sequence of terms.
macro_rules! sequence {
    ($name:ident) => {
        impl $name {
            /// Returns the elements.
            pub fn into_vec(self) -> Vec<Term> {
                self.0.into_vec()
            }
        }

        impl std::ops::Deref for $name {
            type Target = [Term];

            fn deref(&self) -> &[Term] {
                &self.0
            }
        }

        impl std::ops::DerefMut for $name {
            fn deref_mut(&mut self) -> &mut [Term] {
                &mut self.0
            }
        }

        impl From<Vec<Term>> for $name {
            fn from(elements: Vec<Term>) -> Self {
                Self(elements.into())
            }
        }

        impl<const N: usize> From<[Term; N]> for $name {
            fn from(elements: [Term; N]) -> Self {
                Vec::from(elements).into()
            }
        }

        impl FromIterator<Term> for $name {
            fn from_iter<I: IntoIterator<Item = Term>>(elements: I) -> Self {
                elements.into_iter().collect::<Vec<_>>().into()
            }
        }

        impl IntoIterator for $name {
            type Item = Term;
            type IntoIter = std::vec::IntoIter<Term>;

            fn into_iter(self) -> Self::IntoIter {
                self.into_vec().into_iter()
            }
        }

        impl<'a> IntoIterator for &'a $name {
            type Item = &'a Term;
            type IntoIter = std::slice::Iter<'a, Term>;

            fn into_iter(self) -> Self::IntoIter {
                self.iter()
            }
        }
    };
}

#[cfg(feature = "arbitrary")]
pub mod arbitrary;
mod atom;
mod binary;
mod bit_string;
mod decode;
#[cfg(feature = "eetf")]
mod eetf;
mod elements;
pub mod encode;
mod fun;
mod list;
mod map;
mod number;
mod order;
mod origin;
mod pid;
mod port;
mod raw;
mod record;
mod reference;
pub mod serde;
mod stack;
mod tag;
mod term;
pub mod text;
mod tuple;

#[cfg(feature = "eetf")]
pub use crate::eetf::ConversionError;
pub use atom::{Atom, AtomError};
pub use binary::Binary;
pub use bit_string::{BitString, BitStringError};
pub use decode::{DecodeError, DecodeErrorKind, Decoder, Limits, Measure};
pub use encode::Sink;
pub use fun::{ExternalFun, LocalFun};
pub use list::{ImproperList, List};
pub use map::{DuplicateKey, Map};
pub use num_bigint::BigInt;
pub use number::{BigInteger, Float};
pub use origin::Origin;
pub use pid::Pid;
pub use port::Port;
pub use raw::{AtomTable, Encoded, RawTerm};
pub use record::Record;
pub use reference::{Reference, ReferenceError};
pub use tag::Tag;
pub use term::Term;
pub use tuple::Tuple;
