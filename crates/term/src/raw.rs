use std::sync::Arc;

use bytes::Bytes;

use crate::encode::{self, Sink};
use crate::{Atom, DecodeError, Decoder, Limits, Term};

/// The atoms of one distribution header, which `ATOM_CACHE_REF` tags in its message name by position.
#[derive(Debug, Clone, Default)]
pub struct AtomTable(Option<Arc<[Atom]>>);

impl AtomTable {
    /// The table of a message without a header: no atom can be named by position.
    #[inline]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// The table of a message without a header, to borrow.
    pub(crate) fn none() -> &'static Self {
        static NONE: AtomTable = AtomTable::empty();
        &NONE
    }

    /// Whether no atom can be named by position.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The atom at a position.
    #[inline]
    pub fn get(&self, position: u8) -> Option<&Atom> {
        self.0.as_ref()?.get(usize::from(position))
    }
}

impl FromIterator<Atom> for AtomTable {
    fn from_iter<I: IntoIterator<Item = Atom>>(atoms: I) -> Self {
        let atoms: Arc<[Atom]> = atoms.into_iter().collect();
        Self((!atoms.is_empty()).then_some(atoms))
    }
}

/// A term that has arrived but is not decoded yet. Whoever wants it decodes it, once, into what they want.
#[derive(Debug, Clone)]
pub struct RawTerm {
    bytes: Bytes,
    atoms: AtomTable,
}

impl RawTerm {
    /// Wraps an encoded term without the version byte 131, and the atoms of its distribution header.
    #[inline]
    pub fn new(bytes: Bytes, atoms: AtomTable) -> Self {
        Self { bytes, atoms }
    }

    /// Encodes a term.
    pub fn encoded_from(term: &Term) -> Self {
        let mut bytes = Vec::new();
        encode::term(term, &mut bytes);
        Self::new(bytes.into(), AtomTable::empty())
    }

    /// The encoded term, without the version byte.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The atoms that the encoded term names by position.
    #[inline]
    pub fn atoms(&self) -> &AtomTable {
        &self.atoms
    }

    /// The same term in memory of its own, so that it does not keep the frame that it came in.
    pub fn unshared(self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), atoms: self.atoms }
    }

    /// Writes the term. Atoms that it names by position are written out.
    pub fn encode<S: Sink>(&self, sink: &mut S) {
        match &self.atoms {
            AtomTable(None) => sink.put_shared(&self.bytes),
            // What has come in a frame is decoded by somebody before it is passed on; if it is malformed, nobody wants it.
            AtomTable(Some(_)) => encode::term(&self.decode().unwrap_or_else(|_| Term::nil()), sink),
        }
    }

    /// Decodes the term within the default limits.
    ///
    /// # Errors
    /// If the bytes are not one well-formed term.
    pub fn decode(&self) -> Result<Term, DecodeError> {
        self.decode_with(&Limits::default())
    }

    /// Decodes the term.
    ///
    /// # Errors
    /// If the bytes are not one well-formed term within the limits.
    pub fn decode_with(&self, limits: &Limits) -> Result<Term, DecodeError> {
        let mut decoder = Decoder::new(&self.bytes, &self.atoms, limits);
        let term = decoder.term()?;
        decoder.finish()?;
        Ok(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unshared_term_leaves_its_frame() {
        let frame = Bytes::from(vec![97; 1000]);
        let shared = RawTerm::new(frame.slice(..2), AtomTable::empty());
        assert!(frame.as_ptr_range().contains(&shared.bytes().as_ptr()));
        let unshared = shared.unshared();
        assert!(!frame.as_ptr_range().contains(&unshared.bytes().as_ptr()));
        assert_eq!(unshared.decode().unwrap(), Term::from(97));
    }
}
