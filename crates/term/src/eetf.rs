//! Conversions from and to the terms of the `eetf` crate.

use std::collections::HashMap;

use ::eetf::{self, Term as Other};
use num_bigint::BigInt;

use crate::elements::Elements;
use crate::{Atom, BitString, ExternalFun, Float, LocalFun, Map, Pid, Port, Reference, Term};

/// The deepest nesting that is converted: `eetf` drops terms by recursion.
const MAX_DEPTH: usize = 256;

/// A term of one crate has no equivalent in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// `eetf` has no records of OTP 29.
    #[error("eetf has no native records")]
    Record,
    /// The index or hash of a fun exceeds `eetf`'s 32 bits.
    #[error("a number of the fun does not fit eetf's")]
    FunNumber,
    /// The fun has the representation before OTP 23.
    #[error("funs in the representation before OTP 23 are not supported")]
    OldFun,
    /// Dropping the term of `eetf` could overflow the stack.
    #[error("the term is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// An atom with more than 255 characters.
    #[error(transparent)]
    Atom(#[from] crate::AtomError),
    /// An infinity, or not a number.
    #[error("Erlang has only finite floats")]
    Float,
    /// A reference with other than 1 to 5 words.
    #[error(transparent)]
    Reference(#[from] crate::ReferenceError),
    /// A bit string whose last byte has other than 1 to 8 bits, or without a byte.
    #[error(transparent)]
    BitString(#[from] crate::BitStringError),
}

/// Converts a term as `eetf` would decode its encoding.
impl TryFrom<&Term> for Other {
    type Error = ConversionError;

    fn try_from(term: &Term) -> Result<Self, ConversionError> {
        to_other(term, MAX_DEPTH)
    }
}

impl TryFrom<&Other> for Term {
    type Error = ConversionError;

    fn try_from(other: &Other) -> Result<Self, ConversionError> {
        from_other(other, MAX_DEPTH)
    }
}

fn to_other(term: &Term, depth: usize) -> Result<Other, ConversionError> {
    let depth = depth.checked_sub(1).ok_or(ConversionError::TooDeep)?;
    let all = |terms: &[Term]| terms.iter().map(|term| to_other(term, depth)).collect::<Result<Vec<_>, _>>();
    let atom = |atom: &Atom| eetf::Atom::from(atom.as_str());
    let pid = |pid: &Pid| eetf::Pid::new(pid.node.as_str(), pid.id, pid.serial, pid.creation);
    Ok(match term {
        Term::Integer(value) => match i32::try_from(*value) {
            Ok(value) => eetf::FixInteger { value }.into(),
            Err(_) => eetf::BigInteger::from(*value).into(),
        },
        // The two crates use different versions of big integers; their decimal digits are the same.
        Term::BigInteger(value) => match value.get().to_string().parse() {
            Ok(value) => eetf::BigInteger { value }.into(),
            Err(_) => eetf::FixInteger { value: 0 }.into(),
        },
        Term::Float(value) => eetf::Float { value: value.get() }.into(),
        Term::Atom(name) => atom(name).into(),
        Term::Binary(bytes) => eetf::Binary { bytes: bytes.to_vec() }.into(),
        Term::BitString(bits) => eetf::BitBinary {
            bytes: shift_last(bits.bytes(), |last| last >> (8 - bits.last_bits())),
            tail_bits_size: bits.last_bits(),
        }
        .into(),
        Term::Pid(of) => pid(of).into(),
        Term::Port(port) => eetf::Port { node: atom(&port.node), id: port.id, creation: port.creation }.into(),
        Term::Reference(reference) => eetf::Reference {
            node: atom(reference.node()),
            id: reference.words().to_vec(),
            creation: reference.creation(),
        }
        .into(),
        Term::ExternalFun(fun) => {
            eetf::ExternalFun { module: atom(&fun.module), function: atom(&fun.function), arity: fun.arity }.into()
        }
        Term::LocalFun(fun) => eetf::InternalFun::New {
            module: atom(&fun.module),
            arity: fun.arity,
            pid: pid(&fun.pid),
            free_vars: all(&fun.free_variables)?,
            index: fun.index,
            uniq: fun.unique,
            old_index: i32::try_from(fun.old_index).map_err(|_| ConversionError::FunNumber)?,
            old_uniq: i32::try_from(fun.old_unique).map_err(|_| ConversionError::FunNumber)?,
        }
        .into(),
        Term::Tuple(elements) => eetf::Tuple { elements: all(elements)? }.into(),
        Term::List(list) => match list.to_bytes() {
            Some(bytes) if (1..=usize::from(u16::MAX)).contains(&bytes.len()) => eetf::ByteList { bytes }.into(),
            _ => eetf::List { elements: all(list)? }.into(),
        },
        Term::ImproperList(list) => {
            let last = Box::new(to_other(list.tail(), depth)?);
            eetf::ImproperList { elements: all(list.elements())?, last }.into()
        }
        Term::Map(map) => {
            let pair = |(key, value)| Ok((to_other(key, depth)?, to_other(value, depth)?));
            eetf::Map { map: map.iter().map(pair).collect::<Result<HashMap<_, _>, ConversionError>>()? }.into()
        }
        Term::Record(_) => return Err(ConversionError::Record),
    })
}

fn from_other(other: &Other, depth: usize) -> Result<Term, ConversionError> {
    let depth = depth.checked_sub(1).ok_or(ConversionError::TooDeep)?;
    let all = |others: &[Other]| others.iter().map(|other| from_other(other, depth)).collect::<Result<Vec<_>, _>>();
    let atom = |atom: &eetf::Atom| Atom::new(&atom.name);
    let pid = |pid: &eetf::Pid| -> Result<Pid, ConversionError> {
        Ok(Pid { node: atom(&pid.node)?, id: pid.id, serial: pid.serial, creation: pid.creation })
    };
    Ok(match other {
        Other::Atom(name) => atom(name)?.into(),
        Other::FixInteger(integer) => integer.value.into(),
        Other::BigInteger(integer) => BigInt::from_signed_bytes_le(&integer.value.to_signed_bytes_le()).into(),
        Other::Float(float) => Float::new(float.value).ok_or(ConversionError::Float)?.into(),
        Other::Pid(of) => pid(of)?.into(),
        Other::Port(port) => Port { node: atom(&port.node)?, id: port.id, creation: port.creation }.into(),
        Other::Reference(reference) => {
            Reference::new(atom(&reference.node)?, reference.creation, &reference.id)?.into()
        }
        Other::ExternalFun(fun) => {
            ExternalFun { module: atom(&fun.module)?, function: atom(&fun.function)?, arity: fun.arity }.into()
        }
        Other::InternalFun(fun) => match &**fun {
            eetf::InternalFun::Old { .. } => return Err(ConversionError::OldFun),
            eetf::InternalFun::New { module, arity, pid: of, free_vars, index, uniq, old_index, old_uniq } => {
                LocalFun {
                    arity: *arity,
                    unique: *uniq,
                    index: *index,
                    module: atom(module)?,
                    old_index: (*old_index).into(),
                    old_unique: (*old_uniq).into(),
                    pid: pid(of)?,
                    free_variables: Elements::from(all(free_vars)?),
                }
                .into()
            }
        },
        Other::Binary(binary) => Term::binary(&*binary.bytes),
        Other::BitBinary(bits) if bits.tail_bits_size == 8 || bits.bytes.is_empty() => Term::binary(&*bits.bytes),
        Other::BitBinary(bits) => {
            let unused = 8u8.checked_sub(bits.tail_bits_size).ok_or(crate::BitStringError)?;
            let bytes = shift_last(&bits.bytes, |last| last.checked_shl(unused.into()).unwrap_or(0));
            BitString::new(bytes, bits.tail_bits_size)?.into()
        }
        Other::ByteList(list) => Term::list(list.bytes.iter().map(|byte| Term::from(*byte))),
        Other::List(list) => Term::list(all(&list.elements)?),
        Other::ImproperList(list) => Term::list_with_tail(all(&list.elements)?, from_other(&list.last, depth)?),
        Other::Tuple(tuple) => Term::tuple(all(&tuple.elements)?),
        Other::Map(map) => {
            let pair = |(key, value)| Ok((from_other(key, depth)?, from_other(value, depth)?));
            map.map.iter().map(pair).collect::<Result<Map, ConversionError>>()?.into()
        }
    })
}

/// The bytes with a shifted last one: `eetf` keeps the bits of a partial byte at its lower end.
fn shift_last(bytes: &[u8], shift: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last = shift(*last);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;

    #[test]
    fn what_has_no_equal_is_an_error() {
        let record = Record::new(Atom::from_static("m"), Atom::from_static("r"), []);
        assert_eq!(Other::try_from(&Term::from(record)), Err(ConversionError::Record));
        let deep = (0..100_000).fold(Term::nil(), |inner, _| Term::list([inner]));
        assert_eq!(Other::try_from(&deep), Err(ConversionError::TooDeep));
        assert_eq!(Term::try_from(&Other::from(eetf::Float { value: f64::NAN })), Err(ConversionError::Float));
        let long = eetf::Atom::from("a".repeat(256));
        assert!(matches!(Term::try_from(&Other::from(long)), Err(ConversionError::Atom(_))));
        let bits = eetf::BitBinary { bytes: vec![1], tail_bits_size: 9 };
        assert!(matches!(Term::try_from(&Other::from(bits)), Err(ConversionError::BitString(_))));
    }

    #[test]
    fn byte_lists_are_lists() {
        let bytes = Other::from(eetf::ByteList { bytes: b"ab".to_vec() });
        assert_eq!(Term::try_from(&bytes), Ok(Term::charlist("ab")));
        assert_eq!(Other::try_from(&Term::charlist("ab")), Ok(bytes));
    }
}
