//! Atoms, and the identifiers that have the name of a node in them.

use std::borrow::Cow;
use std::str;

use super::{DecodeError, DecodeErrorKind, Decoder};
use crate::{Atom, Pid, Port, Reference, Tag};

impl<'a> Decoder<'a> {
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
        if let Some(start) = self.ascii_ahead(len) {
            self.take(len, at)?;
            return Ok(Atom::from_ascii(len, start));
        }
        self.utf8_name(len, at).map(Atom::from_checked)
    }

    /// Reads the name of an atom, and checks that it may be one.
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

    #[inline]
    pub(super) fn pid_after(&mut self, tag: Tag, at: usize) -> Result<Pid, DecodeError> {
        if tag != Tag::NEW_PID_EXT && tag != Tag::PID_EXT {
            return Err(self.unexpected(at));
        }
        let node = self.atom()?;
        let id = self.u32(at)?;
        let serial = self.u32(at)?;
        let creation = if tag == Tag::NEW_PID_EXT { self.u32(at)? } else { u32::from(self.u8(at)?) };
        Ok(Pid { node, id, serial, creation })
    }

    pub(super) fn port_after(&mut self, tag: Tag, at: usize) -> Result<Port, DecodeError> {
        let node = self.atom()?;
        let id = if tag == Tag::V4_PORT_EXT { self.u64(at)? } else { u64::from(self.u32(at)?) };
        let creation = if tag == Tag::PORT_EXT { u32::from(self.u8(at)?) } else { self.u32(at)? };
        Ok(Port { node, id, creation })
    }

    #[inline]
    pub(super) fn reference_after(&mut self, tag: Tag, at: usize) -> Result<Reference, DecodeError> {
        if tag == Tag::REFERENCE_EXT {
            let node = self.atom()?;
            let word = self.u32(at)?;
            let creation = u32::from(self.u8(at)?);
            return Reference::new(node, creation, &[word])
                .map_err(|_| self.error(at, DecodeErrorKind::ReferenceWords));
        }
        if tag != Tag::NEWER_REFERENCE_EXT && tag != Tag::NEW_REFERENCE_EXT {
            return Err(self.unexpected(at));
        }
        let len = usize::from(self.u16(at)?);
        if !(1..=Reference::MAX_WORDS).contains(&len) {
            return Err(self.error(at, DecodeErrorKind::ReferenceWords));
        }
        let node = self.atom()?;
        let creation = if tag == Tag::NEWER_REFERENCE_EXT { self.u32(at)? } else { u32::from(self.u8(at)?) };
        let mut words = [0; Reference::MAX_WORDS];
        for word in &mut words[..len] {
            *word = self.u32(at)?;
        }
        Reference::new(node, creation, &words[..len]).map_err(|_| self.error(at, DecodeErrorKind::ReferenceWords))
    }
}
