use peerl_term::{Atom, Sink, Tag, encode};

use super::{Rename, sent_atoms::SentAtoms};

/// The buffer into which a control message and its payload are encoded. Atoms in the peer's cache are written as
/// positions in the message's header.
#[derive(Debug)]
pub struct MessageBuffer<'a> {
    bytes: &'a mut Vec<u8>,
    atoms: Option<&'a mut SentAtoms>,
    rename: Option<&'a Rename>,
    records: bool,
}

impl<'a> MessageBuffer<'a> {
    /// Writes every atom by its name.
    pub(super) fn inline(bytes: &'a mut Vec<u8>, rename: Option<&'a Rename>) -> Self {
        MessageBuffer { bytes, atoms: None, rename, records: false }
    }

    pub(super) fn caching(bytes: &'a mut Vec<u8>, atoms: &'a mut SentAtoms, rename: Option<&'a Rename>) -> Self {
        MessageBuffer { bytes, atoms: Some(atoms), rename, records: false }
    }
}

impl MessageBuffer<'_> {
    /// Whether a native record has been written.
    pub(super) fn has_records(&self) -> bool {
        self.records
    }
}

impl Sink for MessageBuffer<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    #[inline]
    fn position(&self) -> usize {
        self.bytes.len()
    }

    fn patch_u32(&mut self, position: usize, value: u32) {
        self.bytes.patch_u32(position, value);
    }

    fn put_record_tag(&mut self) {
        self.records = true;
        self.put_u8(Tag::RECORD_EXT.0);
    }

    #[inline]
    fn put_atom(&mut self, atom: &Atom) {
        match self.atoms.as_mut().and_then(|atoms| atoms.position(atom)) {
            Some(position) => self.put(&[Tag::ATOM_CACHE_REF.0, position]),
            None => self.put_name(atom),
        }
    }

    #[inline]
    fn put_node(&mut self, node: &Atom) {
        match self.rename {
            Some(rename) if *node == rename.own => self.put_atom(&rename.on_connection),
            _ => self.put_atom(node),
        }
    }
}

impl MessageBuffer<'_> {
    #[inline(never)]
    fn put_name(&mut self, atom: &Atom) {
        encode::atom(atom, self.bytes);
    }
}
