use std::hash::{Hash, Hasher};
use std::{mem, slice};

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use crate::elements::{Elements, Walk};
use crate::{
    Atom, BigInteger, Binary, BitString, ExternalFun, Float, ImproperList, List, LocalFun, Map, Pid, Port, Record,
    Reference, Tuple,
};

/// Any Erlang value.
///
/// `==` is Erlang's `=:=`: `1` and `1.0` differ. [`compare_numeric`](Term::compare_numeric) compares numbers by
/// value. `Ord` is Erlang's term order; of terms that only `=:=` distinguishes, integers come before floats.
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Term {
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A larger integer.
    BigInteger(BigInteger),
    /// A float; always finite.
    Float(Float),
    /// An atom.
    Atom(Atom),
    /// A sequence of bytes.
    Binary(Binary),
    /// A sequence of bits with a partial last byte.
    BitString(Box<BitString>),
    /// The identifier of a process.
    Pid(Box<Pid>),
    /// The identifier of a port.
    Port(Box<Port>),
    /// A reference.
    Reference(Box<Reference>),
    /// `fun Module:Function/Arity`.
    ExternalFun(Box<ExternalFun>),
    /// A closure of a BEAM module.
    LocalFun(Box<LocalFun>),
    /// A tuple.
    Tuple(Tuple),
    /// A map.
    Map(Map),
    /// A proper list, or the empty one.
    List(List),
    /// A list whose last tail is not `[]`.
    ImproperList(ImproperList),
    /// A native record of OTP 29.
    Record(Box<Record>),
}

const _: () = assert!(size_of::<Term>() <= 32);

impl Term {
    /// The first result of the function for this term or any nested one.
    pub fn find<T>(&self, look: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        Walk::new(slice::from_ref(self)).find_map(look)
    }

    /// The empty list, `[]`.
    pub fn nil() -> Self {
        Self::List(List::default())
    }

    /// Makes an atom of a name that is part of the program.
    ///
    /// # Panics
    /// If the name has more than 255 bytes. For a name from outside use [`Atom::new`].
    pub fn atom(name: &'static str) -> Self {
        Self::Atom(Atom::from_static(name))
    }

    /// Makes a tuple.
    pub fn tuple(elements: impl IntoIterator<Item = Term>) -> Self {
        Self::Tuple(elements.into_iter().collect())
    }

    /// Makes a proper list.
    pub fn list(elements: impl IntoIterator<Item = Term>) -> Self {
        Self::List(elements.into_iter().collect())
    }

    /// Makes a map; a later pair replaces an earlier one with the same key.
    pub fn map(pairs: impl IntoIterator<Item = (Term, Term)>) -> Self {
        Self::Map(pairs.into_iter().collect())
    }

    /// Makes a binary.
    pub fn binary(bytes: impl Into<Binary>) -> Self {
        Self::Binary(bytes.into())
    }

    /// Makes a list of the text's code points: Erlang's `"text"`, Elixir's `~c"text"`.
    pub fn charlist(text: &str) -> Self {
        Self::list(text.chars().map(|c| Self::Integer(i64::from(u32::from(c)))))
    }

    /// Makes a float, if it is finite.
    pub fn float(value: f64) -> Option<Self> {
        Float::new(value).map(Self::Float)
    }

    /// The integer, if it is one that fits 64 bits.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// The atom, if it is one.
    pub fn as_atom(&self) -> Option<&Atom> {
        match self {
            Self::Atom(atom) => Some(atom),
            _ => None,
        }
    }

    /// Whether it is the atom of that name.
    pub fn is_atom(&self, name: &str) -> bool {
        matches!(self, Self::Atom(atom) if *atom == name)
    }

    /// The bytes, if it is a binary.
    pub fn as_binary(&self) -> Option<&Binary> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements, if it is a tuple.
    pub fn as_tuple(&self) -> Option<&[Term]> {
        match self {
            Self::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// The elements, if it is a proper list.
    pub fn as_list(&self) -> Option<&[Term]> {
        match self {
            Self::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The pid, if it is one.
    pub fn as_pid(&self) -> Option<&Pid> {
        match self {
            Self::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// The reference, if it is one.
    pub fn as_reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            _ => None,
        }
    }

    /// Whether the term owns no memory.
    #[inline(always)]
    pub(crate) fn is_inline(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Float(_)) || matches!(self, Self::Atom(atom) if atom.is_inline())
    }

    /// The nested terms of a compound term of any kind: the keys and values of a map alternate, and the tail of an
    /// improper list is last.
    pub(crate) fn children(&self) -> Option<&[Term]> {
        match self {
            Self::Tuple(Tuple(elements))
            | Self::List(List(elements))
            | Self::ImproperList(ImproperList(elements))
            | Self::Map(Map(elements)) => Some(elements),
            Self::Record(record) => Some(&record.values),
            Self::LocalFun(fun) => Some(&fun.free_variables),
            _ => None,
        }
    }

    pub(crate) fn children_mut(&mut self) -> Option<&mut Elements> {
        match self {
            Self::Tuple(Tuple(elements))
            | Self::List(List(elements))
            | Self::ImproperList(ImproperList(elements))
            | Self::Map(Map(elements)) => Some(elements),
            Self::Record(record) => Some(&mut record.values),
            Self::LocalFun(fun) => Some(&mut fun.free_variables),
            _ => None,
        }
    }

    /// The same compound term with other elements.
    pub(crate) fn with_children(&self, elements: Elements) -> Self {
        match self {
            Self::Tuple(_) => Self::Tuple(Tuple(elements)),
            Self::List(_) => Self::List(List(elements)),
            Self::ImproperList(_) => Self::ImproperList(ImproperList(elements)),
            Self::Map(_) => Self::Map(Map(elements)),
            Self::Record(record) => Self::Record(Box::new(Record {
                exported: record.exported,
                module: record.module.clone(),
                name: record.name.clone(),
                keys: record.keys.clone(),
                values: elements,
            })),
            Self::LocalFun(fun) => Self::LocalFun(Box::new(LocalFun {
                arity: fun.arity,
                unique: fun.unique,
                index: fun.index,
                module: fun.module.clone(),
                old_index: fun.old_index,
                old_unique: fun.old_unique,
                pid: fun.pid.clone(),
                free_variables: elements,
            })),
            leaf => leaf.clone_leaf(),
        }
    }

    /// Clones a term without nested terms, or with an empty list of them.
    pub(crate) fn clone_leaf(&self) -> Self {
        match self {
            Self::Integer(value) => Self::Integer(*value),
            Self::Float(value) => Self::Float(*value),
            Self::Atom(atom) => Self::Atom(atom.clone()),
            Self::Binary(bytes) => Self::Binary(bytes.clone()),
            other => other.clone(),
        }
    }

    /// Whether two terms are equal except for their nested terms, of which both have the same number.
    pub(crate) fn eq_shallow(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Record(a), Self::Record(b)) => {
                a.exported == b.exported && a.module == b.module && a.name == b.name && a.keys == b.keys
            }
            (Self::LocalFun(a), Self::LocalFun(b)) => {
                let head = |fun: &LocalFun| (fun.arity, fun.unique, fun.index, fun.old_index, fun.old_unique);
                head(a) == head(b)
                    && a.module == b.module
                    && a.pid == b.pid
                    && a.free_variables.len() == b.free_variables.len()
            }
            _ => match (self.children(), other.children()) {
                (Some(a), Some(b)) => mem::discriminant(self) == mem::discriminant(other) && a.len() == b.len(),
                (None, None) => self == other,
                _ => false,
            },
        }
    }

    /// Hashes everything except nested terms.
    pub(crate) fn hash_shallow<H: Hasher>(&self, state: &mut H) {
        match self.children() {
            Some(children) => (mem::discriminant(self), children.len()).hash(state),
            None => self.hash(state),
        }
    }
}

impl From<BigInt> for Term {
    fn from(value: BigInt) -> Self {
        match BigInteger::new(value) {
            Ok(big) => Self::BigInteger(big),
            Err(small) => Self::Integer(small),
        }
    }
}

macro_rules! from_small_integers {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Term {
            fn from(value: $integer) -> Self {
                Self::Integer(i64::from(value))
            }
        }
    )*};
}

from_small_integers!(i8 i16 i32 i64 u8 u16 u32);

impl From<u64> for Term {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::from(BigInt::from(value)), Self::Integer)
    }
}

impl From<usize> for Term {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<bool> for Term {
    fn from(value: bool) -> Self {
        Self::Atom(value.into())
    }
}

impl From<Float> for Term {
    fn from(value: Float) -> Self {
        Self::Float(value)
    }
}

macro_rules! from_variants {
    ($($variant:ident),*) => {$(
        impl From<$variant> for Term {
            fn from(value: $variant) -> Self {
                Self::$variant(value)
            }
        }
    )*};
    (boxed $($variant:ident),*) => {$(
        impl From<$variant> for Term {
            fn from(value: $variant) -> Self {
                Self::$variant(Box::new(value))
            }
        }
    )*};
}

from_variants!(Atom, Binary, Tuple, Map, List, ImproperList, BigInteger);
from_variants!(boxed BitString, Pid, Port, Reference, ExternalFun, LocalFun, Record);

impl From<&str> for Term {
    /// Makes a binary of the text, like Elixir's strings.
    fn from(text: &str) -> Self {
        Self::Binary(text.into())
    }
}

impl From<String> for Term {
    /// Makes a binary of the text, like Elixir's strings.
    fn from(text: String) -> Self {
        Self::Binary(text.into())
    }
}

impl TryFrom<&Term> for BigInt {
    type Error = ();

    /// The value of an integer of any size.
    fn try_from(term: &Term) -> Result<Self, ()> {
        match term {
            Term::Integer(value) => Ok(Self::from(*value)),
            Term::BigInteger(value) => Ok(value.get().clone()),
            _ => Err(()),
        }
    }
}

impl Term {
    /// The number as a float, if the term is a number within the range of floats.
    pub fn to_f64(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::BigInteger(value) => value.get().to_f64().filter(|float| float.is_finite()),
            Self::Float(value) => Some(value.get()),
            _ => None,
        }
    }
}
