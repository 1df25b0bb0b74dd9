use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::encode::{self, Sink};
use crate::{Atom, DecodeError, Decoder, Limits, Measure, Origin, Tag, Term};

/// The atoms of a distribution header, to which `ATOM_CACHE_REF` tags in its message refer by index.
#[derive(Debug, Clone, Default)]
pub struct AtomTable(Option<Arc<[Atom]>>);

impl AtomTable {
    /// The table of a message without a header.
    #[inline]
    pub const fn empty() -> Self {
        Self(None)
    }

    /// The table of a message without a header, as a reference.
    pub(crate) fn none() -> &'static Self {
        static NONE: AtomTable = AtomTable::empty();
        &NONE
    }

    /// Whether the table is empty.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The atom with this index.
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

/// An encoded term that is not decoded yet: a received one, or one that this program has encoded.
///
/// Its consumer decodes it once, into the type that it needs. For a malformed received term, the first failing decode
/// notifies the [`Origin`].
#[derive(Debug, Clone)]
pub struct RawTerm {
    bytes: Bytes,
    atoms: AtomTable,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Own { records: bool },
    Peer(Origin),
}

impl RawTerm {
    /// Wraps a term that this program has encoded, without the version byte 131, and the atoms to which it refers by
    /// index.
    #[inline]
    pub fn new(bytes: Bytes, atoms: AtomTable) -> Self {
        Self { bytes, atoms, source: Source::Own { records: false } }
    }

    /// Wraps a received term, without the version byte 131, and the atoms of its distribution header.
    #[inline]
    pub fn arrived(bytes: Bytes, atoms: AtomTable, origin: Origin) -> Self {
        Self { bytes, atoms, source: Source::Peer(origin) }
    }

    /// Encodes a term.
    pub fn encoded_from(term: &Term) -> Self {
        let mut encoded = Encoded::default();
        encode::term(term, &mut encoded);
        encoded.into()
    }

    /// The encoded term, without the version byte.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The atoms to which the encoded term refers by index.
    #[inline]
    pub fn atoms(&self) -> &AtomTable {
        &self.atoms
    }

    /// Whether it is known to contain a native record, which only OTP 29 and later can decode.
    #[inline]
    pub fn has_records(&self) -> bool {
        matches!(self.source, Source::Own { records: true })
    }

    /// Whether it was made by this program, and not received from a peer.
    #[inline]
    pub fn is_own(&self) -> bool {
        matches!(self.source, Source::Own { .. })
    }

    /// Whether to decode the term, or to go through its bytes, may take more than a few milliseconds. This is then not
    /// done on a thread for which others wait.
    ///
    /// Short terms are not looked at; of others, the first elements are counted.
    pub fn is_long(&self) -> bool {
        const SHORT: usize = 64 << 10;
        const LONG: usize = 1 << 20;
        const MANY: usize = 4096;
        match self.bytes.len() {
            ..=SHORT => false,
            LONG.. => true,
            _ => {
                let mut measure = Measure::new();
                !measure.advance(&self.bytes, MANY) || measure.memory() > LONG
            }
        }
    }

    /// A copy in its own memory, which does not keep the received frame alive.
    pub fn unshared(self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self }
    }

    /// The same term in other memory: `bytes` are equal to its own.
    pub fn with_bytes(self, bytes: Bytes) -> Self {
        Self { bytes, ..self }
    }

    /// The term in this range of its bytes.
    pub fn part(&self, range: Range<usize>) -> Self {
        Self { bytes: self.bytes.slice(range), ..self.clone() }
    }

    /// Whether it is this atom. Decodes atoms only.
    pub fn is_atom(&self, name: &str) -> bool {
        let is_atom = self.bytes.first().is_some_and(|tag| Tag(*tag).is_atom());
        is_atom && self.decode().is_ok_and(|term| term.is_atom(name))
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
        let decoded = self.work(|| decoder.term().and_then(|term| self.finish(&decoder).map(|()| term)));
        if let Err(error) = decoded
            && !error.kind.is_limit()
        {
            self.report(error);
        }
        decoded
    }

    /// Checks that a decoder has read all of this term. Bytes after a received term are ignored, as the BEAM does.
    ///
    /// # Errors
    /// If bytes follow a term that this program has encoded.
    #[inline]
    pub fn finish(&self, decoder: &Decoder<'_>) -> Result<(), DecodeError> {
        match self.source {
            Source::Own { .. } => decoder.finish(),
            Source::Peer(_) => Ok(()),
        }
    }

    /// Reads a part of the term, within the default limits.
    ///
    /// # Errors
    /// If `read` fails.
    pub fn read<T>(&self, read: impl FnOnce(&mut Decoder<'_>) -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        let result = self.work(|| read(&mut Decoder::new(&self.bytes, &self.atoms, &Limits::default())));
        if let Err(error) = result {
            self.mismatched(Some(error));
        }
        result
    }

    /// Does something that goes through the term: as its [`Origin`] wants it, if the term [is long](Self::is_long).
    pub fn work<T>(&self, work: impl FnOnce() -> T) -> T {
        if let Source::Peer(origin) = &self.source
            && self.is_long()
        {
            return origin.work_long(work);
        }
        work()
    }

    /// Reports that the term could not be read as the requested type, because it is of another type or malformed. If
    /// it is malformed, the [`Origin`] is notified. `error` is the decoder's error, if it failed.
    #[cold]
    pub fn mismatched(&self, error: Option<DecodeError>) {
        match error {
            Some(error) if error.kind.is_limit() => {}
            Some(error) if !error.kind.may_be_mismatch() => self.report(error),
            _ => {
                // The decoder stopped at an element of another type; what follows is unchecked.
                let mut decoder = Decoder::new(&self.bytes, &self.atoms, &Limits::NONE);
                if let Err(error) = decoder.skip_term().map(drop) {
                    self.report(error);
                }
            }
        }
    }

    #[cold]
    fn report(&self, error: DecodeError) {
        if let Source::Peer(origin) = &self.source {
            origin.report(error);
        }
    }
}

/// A buffer for encoding a term.
#[derive(Debug, Clone, Default)]
pub struct Encoded {
    bytes: Vec<u8>,
    records: bool,
}

impl Encoded {
    /// A buffer with room for a term of this many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), records: false }
    }

    /// Appends a term that this program has encoded, without references to atoms by index.
    pub fn put_term(&mut self, term: &RawTerm) {
        debug_assert!(term.atoms.is_empty());
        self.bytes.extend_from_slice(&term.bytes);
        self.records |= term.has_records();
    }

    /// The encoded bytes, without a version byte.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Whether the bytes contain a native record, which only OTP 29 and later can decode.
    pub fn has_records(&self) -> bool {
        self.records
    }
}

impl Sink for Encoded {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.put(bytes);
    }

    #[inline]
    fn position(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    fn patch_u32(&mut self, position: usize, value: u32) {
        self.bytes.patch_u32(position, value);
    }

    #[inline]
    fn put_u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    fn put_record_tag(&mut self) {
        self.records = true;
        self.bytes.push(Tag::RECORD_EXT.0);
    }
}

impl From<Encoded> for RawTerm {
    fn from(encoded: Encoded) -> Self {
        let source = Source::Own { records: encoded.records };
        Self { bytes: encoded.bytes.into(), atoms: AtomTable::empty(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_terms_have_many_bytes_or_elements() {
        let raw = |term| RawTerm::encoded_from(&term);
        let integers = |count: u32| Term::list((0..count).map(Term::from));
        assert!(!raw(Term::binary(vec![1; 900_000])).is_long());
        assert!(raw(Term::binary(vec![1; 2_000_000])).is_long());
        assert!(!raw(integers(10_000)).is_long());
        assert!(raw(integers(100_000)).is_long());
        assert!(!raw(Term::list((0..300).map(|_| Term::binary(vec![1; 3_000])))).is_long());
        let strings = Term::list((0..10).map(|_| Term::list((0..50_000).map(|_| Term::from(7)))));
        assert!(raw(strings).is_long(), "few strings have many elements");
    }

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
