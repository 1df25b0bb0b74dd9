//! Exit reasons as they travel.

use peerl_term::{Atom, AtomTable, RawTerm, Reference, Sink, Tag, Term, encode};

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

/// What says that a call for `erpc` has a value.
pub(crate) const RETURN: Atom = Atom::from_static("return");

/// What a caller by `erpc` knows its call by: a reference of its own.
#[derive(Debug)]
pub(crate) enum CallId {
    Reference(Reference),
    /// No BEAM's `erpc` sends any other.
    Other(Box<Term>),
}

impl Default for CallId {
    fn default() -> Self {
        Self::Reference(Reference::VACANT)
    }
}

impl From<CallId> for Term {
    fn from(id: CallId) -> Self {
        match id {
            CallId::Reference(reference) => reference.into(),
            CallId::Other(term) => *term,
        }
    }
}

/// `{Id, return, Value}`: the exit reason of a process that has made a call for `erpc`, in its parts.
pub(crate) struct Returned {
    pub(crate) id: CallId,
    /// The encoded value.
    pub(crate) value: Vec<u8>,
}

impl Returned {
    /// Writes what comes before the value.
    pub(crate) fn encode_start(&self, sink: &mut impl Sink) {
        encode::tuple_header(3, sink);
        match &self.id {
            CallId::Reference(reference) => encode::reference(reference, sink),
            CallId::Other(term) => encode::term(term, sink),
        }
        encode::atom(&RETURN, sink);
    }

    pub(crate) fn to_raw(&self) -> RawTerm {
        let mut out = Vec::new();
        self.encode_start(&mut out);
        out.extend_from_slice(&self.value);
        RawTerm::new(out.into(), AtomTable::empty())
    }
}

/// How a process has ended that a peer has spawned.
pub(crate) enum Ended {
    Returned(Returned),
    /// With any other reason.
    Other(RawTerm),
}

impl Ended {
    pub(crate) fn into_reason(self) -> RawTerm {
        match self {
            Self::Returned(returned) => returned.to_raw(),
            Self::Other(reason) => reason,
        }
    }
}
