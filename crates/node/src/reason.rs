//! Exit reasons as they travel.

use peerl_term::{Atom, RawTerm, Tag, Term};

/// A reason that is an atom.
pub(crate) fn atom(name: &'static str) -> RawTerm {
    RawTerm::encoded_from(&Term::Atom(Atom::from_static(name)))
}

/// Says whether a reason is this atom. Long reasons are not decoded for it.
pub(crate) fn is_atom(reason: &RawTerm, name: &str) -> bool {
    let is_atom = reason.bytes().first().is_some_and(|tag| {
        matches!(
            Tag(*tag),
            Tag::SMALL_ATOM_UTF8_EXT | Tag::ATOM_UTF8_EXT | Tag::ATOM_CACHE_REF | Tag::SMALL_ATOM_EXT | Tag::ATOM_EXT
        )
    });
    is_atom && reason.decode().is_ok_and(|term| term.is_atom(name))
}
