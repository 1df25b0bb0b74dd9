//! Writing terms in the external term format, byte for byte as OTP does with `minor_version` 2.
//!
//! These functions write without the version byte 131, straight into a [`Sink`]: a message is encoded into the queue
//! of its connection.

use std::slice;

use num_bigint::{BigInt, Sign};

use crate::stack::Stack;
use crate::tag::VERSION;
use crate::{Atom, BitString, ExternalFun, LocalFun, Pid, Port, Record, Reference, Tag, Term};

/// The destination of encoded bytes.
pub trait Sink {
    /// Appends bytes.
    fn put(&mut self, bytes: &[u8]);

    /// How many bytes have been appended.
    fn position(&self) -> usize;

    /// Replaces four bytes that were written at this position.
    fn patch_u32(&mut self, position: usize, value: u32);

    /// Appends an atom, by name by default. A sink whose reader knows some atoms may write less.
    #[inline]
    fn put_atom(&mut self, atom: &Atom) {
        name(atom.as_bytes(), self);
    }

    /// Appends the node of a pid, a port or a reference. A sink whose reader knows this node by another name writes
    /// that name.
    #[inline]
    fn put_node(&mut self, node: &Atom) {
        self.put_atom(node);
    }

    /// Appends one byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends the tag of a native record, which not every reader accepts.
    fn put_record_tag(&mut self) {
        self.put_u8(Tag::RECORD_EXT.0);
    }

    /// Appends two bytes, the most significant first.
    #[inline]
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    /// Appends four bytes, the most significant first.
    #[inline]
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Appends eight bytes, the most significant first.
    #[inline]
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_be_bytes());
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn position(&self) -> usize {
        self.len()
    }

    fn patch_u32(&mut self, position: usize, value: u32) {
        self[position..position + 4].copy_from_slice(&value.to_be_bytes());
    }

    #[inline]
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }
}

impl Term {
    /// Encodes the term with the version byte 131, as `term_to_binary/1` does.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(match self {
            Self::Binary(bytes) => bytes.len() + 6,
            // Reserves space for small elements; large ones make the buffer grow in few steps.
            other => 64 + 8 * other.children().map_or(0, <[_]>::len),
        });
        bytes.push(VERSION);
        term(self, &mut bytes);
        bytes
    }
}

/// Writes any term.
pub fn term<S: Sink>(term: &Term, sink: &mut S) {
    let Some(mut current) = head(term, sink) else { return };
    let mut outer = Stack::new();
    loop {
        match current.rest.next() {
            // The most frequent terms are written without a function call.
            Some(Term::Integer(value)) => integer(*value, sink),
            Some(Term::Float(value)) => float(value.get(), sink),
            Some(Term::Atom(name)) => atom(name, sink),
            Some(term) => {
                if let Some(mut inner) = head(term, sink) {
                    match (&current.end, &mut inner.end) {
                        // A last element that ends together with the terms around it replaces them.
                        (End::Nils(outer), End::Nils(nils)) if current.rest.len() == 0 => *nils += outer,
                        _ => outer.push(current),
                    }
                    current = inner;
                }
            }
            None => {
                match current.end {
                    End::Nils(nils) => (0..nils).for_each(|_| nil(sink)),
                    End::FunSize(at) => sink.patch_u32(at, (sink.position() - at) as u32),
                }
                match outer.pop() {
                    Some(open) => current = open,
                    None => return,
                }
            }
        }
    }
}

/// A compound term whose elements are being written.
struct Open<'a> {
    rest: slice::Iter<'a, Term>,
    end: End,
}

/// What follows the elements.
enum End {
    /// The tails of so many proper lists, of which each is the last element of the one before.
    Nils(usize),
    /// The size of a fun, to be written at this position.
    FunSize(usize),
}

/// Writes a term, or only its header; then it returns the elements.
#[inline]
fn head<'a, S: Sink>(term: &'a Term, sink: &mut S) -> Option<Open<'a>> {
    let elements = match term {
        Term::Integer(value) => {
            integer(*value, sink);
            return None;
        }
        Term::Atom(name) => {
            atom(name, sink);
            return None;
        }
        Term::Binary(bytes) => {
            binary(bytes, sink);
            return None;
        }
        Term::Float(value) => {
            float(value.get(), sink);
            return None;
        }
        Term::Tuple(elements) => {
            tuple_header(elements.len(), sink);
            &elements[..]
        }
        Term::List(elements) => {
            if elements.is_empty() {
                nil(sink);
                return None;
            }
            if string(elements, sink) {
                return None;
            }
            list_header(elements.len(), sink);
            return Some(Open { rest: elements.iter(), end: End::Nils(1) });
        }
        Term::Map(map) => {
            map_header(map.len(), sink);
            &map.0
        }
        Term::ImproperList(list) => {
            list_header(list.elements().len(), sink);
            &list.0
        }
        Term::BigInteger(value) => {
            big_integer(value.get(), sink);
            return None;
        }
        Term::BitString(bits) => {
            bit_string(bits, sink);
            return None;
        }
        Term::Pid(value) => {
            pid(value, sink);
            return None;
        }
        Term::Port(value) => {
            port(value, sink);
            return None;
        }
        Term::Reference(value) => {
            reference(value, sink);
            return None;
        }
        Term::ExternalFun(value) => {
            external_fun(value, sink);
            return None;
        }
        Term::LocalFun(fun) => {
            let size_at = fun_header(fun, sink);
            return Some(Open { rest: fun.free_variables.iter(), end: End::FunSize(size_at) });
        }
        Term::Record(record) => {
            record_header(record, sink);
            &record.values
        }
    };
    Some(Open { rest: elements.iter(), end: End::Nils(0) })
}

/// Writes a list in the form of a string, if it has only bytes and is short enough.
fn string<S: Sink>(elements: &[Term], sink: &mut S) -> bool {
    let byte = |element: &Term| match element {
        Term::Integer(value) => u8::try_from(*value).ok(),
        _ => None,
    };
    let Ok(len) = u16::try_from(elements.len()) else { return false };
    let mut piece = [0; 256];
    let (first, rest) = elements.split_at(elements.len().min(piece.len()));
    for (to, element) in piece.iter_mut().zip(first) {
        match byte(element) {
            Some(byte) => *to = byte,
            None => return false,
        }
    }
    if !rest.iter().all(|element| byte(element).is_some()) {
        return false;
    }
    sink.put_u8(Tag::STRING_EXT.0);
    sink.put_u16(len);
    sink.put(&piece[..first.len()]);
    for element in rest {
        sink.put_u8(byte(element).unwrap_or_default());
    }
    true
}

/// Writes an integer.
#[inline]
pub fn integer<S: Sink>(value: i64, sink: &mut S) {
    if let Ok(byte) = u8::try_from(value) {
        sink.put(&[Tag::SMALL_INTEGER_EXT.0, byte]);
    } else if let Ok(int) = i32::try_from(value) {
        sink.put_u8(Tag::INTEGER_EXT.0);
        sink.put_u32(int.cast_unsigned());
    } else {
        let magnitude = value.unsigned_abs();
        let len = 8 - magnitude.leading_zeros() as usize / 8;
        sink.put(&[Tag::SMALL_BIG_EXT.0, len as u8, u8::from(value < 0)]);
        match len {
            8 => sink.put(&magnitude.to_le_bytes()),
            len => sink.put(&magnitude.to_le_bytes()[..len]),
        }
    }
}

/// Writes an unsigned integer.
#[inline]
pub fn unsigned<S: Sink>(value: u64, sink: &mut S) {
    match i64::try_from(value) {
        Ok(value) => integer(value, sink),
        Err(_) => {
            sink.put(&[Tag::SMALL_BIG_EXT.0, 8, 0]);
            sink.put(&value.to_le_bytes());
        }
    }
}

/// Writes an integer of any size.
pub fn big_integer<S: Sink>(value: &BigInt, sink: &mut S) {
    if let Ok(small) = i64::try_from(value) {
        return integer(small, sink);
    }
    let (sign, bytes) = value.to_bytes_le();
    let sign = u8::from(sign == Sign::Minus);
    match u8::try_from(bytes.len()) {
        Ok(len) => sink.put(&[Tag::SMALL_BIG_EXT.0, len, sign]),
        Err(_) => {
            sink.put_u8(Tag::LARGE_BIG_EXT.0);
            sink.put_u32(bytes.len() as u32);
            sink.put_u8(sign);
        }
    }
    sink.put(&bytes);
}

/// Writes a finite float.
#[inline]
pub fn float<S: Sink>(value: f64, sink: &mut S) {
    sink.put_u8(Tag::NEW_FLOAT_EXT.0);
    sink.put_u64(value.to_bits());
}

/// Writes an atom.
#[inline]
pub fn atom<S: Sink>(atom: &Atom, sink: &mut S) {
    sink.put_atom(atom);
}

/// Writes an atom whose name is known to fit.
#[inline]
pub(crate) fn atom_name<S: Sink>(text: &str, sink: &mut S) {
    name(text.as_bytes(), sink);
}

#[inline]
fn name<S: Sink + ?Sized>(bytes: &[u8], sink: &mut S) {
    match u8::try_from(bytes.len()) {
        Ok(len) => sink.put(&[Tag::SMALL_ATOM_UTF8_EXT.0, len]),
        Err(_) => {
            sink.put_u8(Tag::ATOM_UTF8_EXT.0);
            sink.put_u16(bytes.len() as u16);
        }
    }
    sink.put(bytes);
}

/// Writes a binary.
#[inline]
pub fn binary<S: Sink>(bytes: &[u8], sink: &mut S) {
    binary_header(bytes.len(), sink);
    sink.put(bytes);
}

/// Writes the header of a binary.
#[inline]
pub fn binary_header<S: Sink>(len: usize, sink: &mut S) {
    sink.put_u8(Tag::BINARY_EXT.0);
    sink.put_u32(len as u32);
}

/// Writes a bit string.
pub fn bit_string<S: Sink>(bits: &BitString, sink: &mut S) {
    sink.put_u8(Tag::BIT_BINARY_EXT.0);
    sink.put_u32(bits.bytes().len() as u32);
    sink.put_u8(bits.last_bits());
    sink.put(bits.bytes());
}

/// Writes a pid.
#[inline]
pub fn pid<S: Sink>(pid: &Pid, sink: &mut S) {
    sink.put_u8(Tag::NEW_PID_EXT.0);
    sink.put_node(&pid.node);
    let mut parts = [0; 12];
    for (part, value) in parts.as_chunks_mut().0.iter_mut().zip([pid.id, pid.serial, pid.creation]) {
        *part = value.to_be_bytes();
    }
    sink.put(&parts);
}

/// Writes a port; one with a small id in the older form, as OTP 25 does.
pub fn port<S: Sink>(port: &Port, sink: &mut S) {
    const OLD_IDS: u64 = 1 << 28;
    if port.id < OLD_IDS {
        sink.put_u8(Tag::NEW_PORT_EXT.0);
        sink.put_node(&port.node);
        sink.put_u32(port.id as u32);
    } else {
        sink.put_u8(Tag::V4_PORT_EXT.0);
        sink.put_node(&port.node);
        sink.put_u64(port.id);
    }
    sink.put_u32(port.creation);
}

/// Writes a reference.
#[inline]
pub fn reference<S: Sink>(reference: &Reference, sink: &mut S) {
    let words = reference.words();
    sink.put(&[Tag::NEWER_REFERENCE_EXT.0, 0, words.len() as u8]);
    sink.put_node(reference.node());
    let mut parts = [0; 4 * (1 + Reference::MAX_WORDS)];
    let values = std::iter::once(reference.creation()).chain(*reference.padded());
    for (part, value) in parts.as_chunks_mut().0.iter_mut().zip(values) {
        *part = value.to_be_bytes();
    }
    match words.len() {
        // The usual number of words.
        3 => sink.put(&parts[..16]),
        len => sink.put(&parts[..4 * (1 + len)]),
    }
}

/// Writes `fun M:F/A`.
pub fn external_fun<S: Sink>(fun: &ExternalFun, sink: &mut S) {
    sink.put_u8(Tag::EXPORT_EXT.0);
    atom(&fun.module, sink);
    atom(&fun.function, sink);
    integer(i64::from(fun.arity), sink);
}

/// Writes the header of a tuple.
#[inline]
pub fn tuple_header<S: Sink>(arity: usize, sink: &mut S) {
    match u8::try_from(arity) {
        Ok(arity) => sink.put(&[Tag::SMALL_TUPLE_EXT.0, arity]),
        Err(_) => {
            sink.put_u8(Tag::LARGE_TUPLE_EXT.0);
            sink.put_u32(arity as u32);
        }
    }
}

/// Writes the header of a list; the tail must follow the elements.
#[inline]
pub fn list_header<S: Sink>(len: usize, sink: &mut S) {
    sink.put_u8(Tag::LIST_EXT.0);
    sink.put_u32(len as u32);
}

/// Writes the header of a map.
#[inline]
pub fn map_header<S: Sink>(len: usize, sink: &mut S) {
    sink.put_u8(Tag::MAP_EXT.0);
    sink.put_u32(len as u32);
}

/// Writes the empty list, which also ends a proper one.
#[inline]
pub fn nil<S: Sink>(sink: &mut S) {
    sink.put_u8(Tag::NIL_EXT.0);
}

/// Writes a fun up to its free variables; returns the position of its size.
fn fun_header<S: Sink>(fun: &LocalFun, sink: &mut S) -> usize {
    sink.put_u8(Tag::NEW_FUN_EXT.0);
    let size_at = sink.position();
    sink.put_u32(0);
    sink.put_u8(fun.arity);
    sink.put(&fun.unique);
    sink.put_u32(fun.index);
    sink.put_u32(fun.free_variables.len() as u32);
    atom(&fun.module, sink);
    integer(fun.old_index, sink);
    integer(fun.old_unique, sink);
    pid(&fun.pid, sink);
    size_at
}

fn record_header<S: Sink>(record: &Record, sink: &mut S) {
    sink.put_record_tag();
    sink.put_u32(record.keys.len() as u32);
    sink.put_u8(u8::from(record.exported));
    atom(&record.module, sink);
    atom(&record.name, sink);
    for key in &record.keys {
        atom(key, sink);
    }
}
