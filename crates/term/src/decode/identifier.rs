//! Atoms, and identifiers, which contain the name of a node.

use std::borrow::Cow;
use std::str;

use super::vacant::put;
use super::{DecodeError, DecodeErrorKind, Decoder, small};
use crate::{Atom, Pid, Port, Reference, Tag};

impl<'a> Decoder<'a> {
    /// Reads an atom.
    ///
    /// # Errors
    /// If the next term is not a well-formed atom.
    #[inline]
    pub fn atom(&mut self) -> Result<Atom, DecodeError> {
        match self.usual_atom() {
            Some(atom) => Ok(atom),
            None => self.unusual_atom(),
        }
    }

    #[inline(never)]
    pub(super) fn unusual_atom(&mut self) -> Result<Atom, DecodeError> {
        let at = self.position();
        let tag = self.tag()?;
        self.atom_after(tag, at)
    }

    /// Reads an atom's name. It is borrowed, unless it has Latin-1 characters beyond ASCII.
    ///
    /// # Errors
    /// If the next term is not a well-formed atom.
    #[inline]
    pub fn atom_name(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let at = self.position();
        let len = match self.tag()? {
            Tag::SMALL_ATOM_UTF8_EXT => usize::from(self.u8(at)?),
            Tag::ATOM_UTF8_EXT => usize::from(self.u16(at)?),
            Tag::ATOM_CACHE_REF => return self.cached_atom(at).map(|atom| Cow::Borrowed(atom.as_str())),
            Tag::SMALL_ATOM_EXT => {
                let len = usize::from(self.u8(at)?);
                return self.latin1_name(len, at);
            }
            Tag::ATOM_EXT => {
                let len = usize::from(self.u16(at)?);
                return self.latin1_name(len, at);
            }
            _ => return Err(self.unexpected(at)),
        };
        self.utf8_name(len, at).map(Cow::Borrowed)
    }

    /// Reads a pid.
    ///
    /// # Errors
    /// If the next term is not a well-formed pid.
    #[inline]
    pub fn pid(&mut self) -> Result<Pid, DecodeError> {
        let mut pid = Pid::VACANT;
        self.read_pid(&mut pid)?;
        Ok(pid)
    }

    /// Reads a pid in place, which saves a move.
    ///
    /// # Errors
    /// If the next term is not a well-formed pid. `to` is then unspecified.
    #[inline]
    pub fn read_pid(&mut self, to: &mut Pid) -> Result<(), DecodeError> {
        let at = self.position();
        let tag = self.tag()?;
        let (Tag::NEW_PID_EXT | Tag::PID_EXT) = tag else { return Err(self.unexpected(at)) };
        *to = Pid::VACANT;
        self.pid_into(tag, at, to)
    }

    /// Reads a reference.
    ///
    /// # Errors
    /// If the next term is not a well-formed reference.
    #[inline]
    pub fn reference(&mut self) -> Result<Reference, DecodeError> {
        let mut reference = Reference::VACANT;
        self.read_reference(&mut reference)?;
        Ok(reference)
    }

    /// Reads a reference in place, which saves a move.
    ///
    /// # Errors
    /// If the next term is not a well-formed reference. `to` is then unspecified.
    #[inline]
    pub fn read_reference(&mut self, to: &mut Reference) -> Result<(), DecodeError> {
        let at = self.position();
        let tag = self.tag()?;
        let (Tag::NEWER_REFERENCE_EXT | Tag::NEW_REFERENCE_EXT | Tag::REFERENCE_EXT) = tag else {
            return Err(self.unexpected(at));
        };
        *to = Reference::VACANT;
        self.reference_into(tag, at, to)
    }

    #[inline]
    pub(super) fn atom_after(&mut self, tag: Tag, at: usize) -> Result<Atom, DecodeError> {
        match tag {
            Tag::SMALL_ATOM_UTF8_EXT => {
                let len = usize::from(self.u8(at)?);
                self.atom_utf8(len, at)
            }
            Tag::ATOM_CACHE_REF => self.cached_atom(at).cloned(),
            Tag::ATOM_UTF8_EXT => {
                let len = usize::from(self.u16(at)?);
                self.atom_utf8(len, at)
            }
            Tag::SMALL_ATOM_EXT => {
                let len = usize::from(self.u8(at)?);
                self.latin1_name(len, at).map(|name| Atom::from_checked(&name))
            }
            Tag::ATOM_EXT => {
                let len = usize::from(self.u16(at)?);
                self.latin1_name(len, at).map(|name| Atom::from_checked(&name))
            }
            _ => Err(self.unexpected(at)),
        }
    }

    #[inline]
    pub(super) fn atom_utf8(&mut self, len: usize, at: usize) -> Result<Atom, DecodeError> {
        if let Some(start) = self.rest.first_chunk()
            && let Some(atom) = Atom::from_ascii(len, start)
        {
            self.take(len, at)?;
            return Ok(atom);
        }
        self.utf8_name(len, at).map(Atom::from_checked)
    }

    /// Reads and checks the name of an atom.
    #[inline]
    pub(super) fn utf8_name(&mut self, len: usize, at: usize) -> Result<&'a str, DecodeError> {
        let name = str::from_utf8(self.take(len, at)?).map_err(|_| self.error(at, DecodeErrorKind::AtomText))?;
        if len > Atom::MAX_CHARACTERS && name.chars().count() > Atom::MAX_CHARACTERS {
            return Err(self.error(at, DecodeErrorKind::AtomTooLong));
        }
        Ok(name)
    }

    /// Reads the name of an atom in Latin-1; nearly all are ASCII.
    pub(super) fn latin1_name(&mut self, len: usize, at: usize) -> Result<Cow<'a, str>, DecodeError> {
        let bytes = self.take(len, at)?;
        if len > Atom::MAX_CHARACTERS {
            return Err(self.error(at, DecodeErrorKind::AtomTooLong));
        }
        match str::from_utf8(bytes) {
            Ok(name) if name.is_ascii() => Ok(Cow::Borrowed(name)),
            _ => Ok(Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect())),
        }
    }

    /// Reads the index of an atom in the distribution header; returns the atom.
    pub(super) fn cached_atom(&mut self, at: usize) -> Result<&'a Atom, DecodeError> {
        let (position, atoms) = (self.u8(at)?, self.atoms);
        atoms.get(position).ok_or_else(|| self.error(at, DecodeErrorKind::AtomReference))
    }

    /// Reads an atom in one of its usual forms.
    #[inline(always)]
    pub(super) fn usual_atom(&mut self) -> Option<Atom> {
        if let [tag, position, after @ ..] = self.rest
            && Tag(*tag) == Tag::ATOM_CACHE_REF
        {
            let atom = self.atoms.get(*position)?.clone();
            self.rest = after;
            return Some(atom);
        }
        let (atom, after) = small::atom(self.rest)?;
        self.rest = after;
        Some(atom)
    }

    /// Reads the name of a node in place of a placeholder.
    #[inline(always)]
    fn node(&mut self, to: &mut Atom) -> Result<(), DecodeError> {
        match self.usual_atom() {
            Some(atom) => put(to, atom),
            None => *to = self.unusual_atom()?,
        }
        Ok(())
    }

    /// Reads a pid after its tag in place of a placeholder.
    #[inline(always)]
    pub(super) fn pid_into(&mut self, tag: Tag, at: usize, to: &mut Pid) -> Result<(), DecodeError> {
        self.node(&mut to.node)?;
        if tag == Tag::NEW_PID_EXT {
            let parts = self.array::<12>(at)?;
            let [id, serial, creation] = *parts.as_chunks().0 else { return Err(self.unexpected(at)) };
            (to.id, to.serial, to.creation) =
                (u32::from_be_bytes(id), u32::from_be_bytes(serial), u32::from_be_bytes(creation));
        } else {
            (to.id, to.serial, to.creation) = (self.u32(at)?, self.u32(at)?, u32::from(self.u8(at)?));
        }
        Ok(())
    }

    pub(super) fn port_after(&mut self, tag: Tag, at: usize) -> Result<Port, DecodeError> {
        let node = self.atom()?;
        let id = if tag == Tag::V4_PORT_EXT { self.u64(at)? } else { u64::from(self.u32(at)?) };
        let creation = if tag == Tag::PORT_EXT { u32::from(self.u8(at)?) } else { self.u32(at)? };
        Ok(Port { node, id, creation })
    }

    /// Reads a reference after its tag in place of a placeholder.
    #[inline(always)]
    pub(super) fn reference_into(&mut self, tag: Tag, at: usize, to: &mut Reference) -> Result<(), DecodeError> {
        let len = if tag == Tag::REFERENCE_EXT { 1 } else { usize::from(self.u16(at)?) };
        let (node, creation, words) =
            to.parts_mut(len).ok_or_else(|| self.error(at, DecodeErrorKind::ReferenceWords))?;
        self.node(node)?;
        match tag {
            Tag::NEWER_REFERENCE_EXT => *creation = self.u32(at)?,
            Tag::NEW_REFERENCE_EXT => *creation = u32::from(self.u8(at)?),
            _ => {}
        }
        let bytes = self.take(4 * len, at)?;
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        if tag == Tag::REFERENCE_EXT {
            *creation = u32::from(self.u8(at)?);
        }
        Ok(())
    }
}
