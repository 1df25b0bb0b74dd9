//! Exit reasons: kept, sent and received.

use std::sync::{Arc, OnceLock};

use peerl_proto::budget::Lease;
use peerl_proto::channel::Fragments;
use peerl_proto::control::{Priority, TraceToken};
use peerl_term::{Atom, Encoded, RawTerm, Reference, Sink, Term, encode};

use crate::kernel::serving::PeerCalls;

/// A well-formed exit reason: made by this node, or decoded on arrival. Only such a reason is kept and sent on: malformed
/// bytes would end the connection of the next node that gets them.
#[derive(Debug, Clone)]
pub(crate) enum Reason {
    Term(Arc<Term>),
    /// A large term, while it goes to several processes.
    Large(Arc<LargeTerm>),
    /// `{Id, return, Value}`: a call for `erpc` has a value.
    Returned {
        id: CallId,
        value: RawTerm,
    },
}

/// A term that is encoded once, for all receivers.
#[derive(Debug)]
pub(crate) struct LargeTerm {
    pub(crate) term: Arc<Term>,
    encoded: OnceLock<RawTerm>,
}

/// A reason that is an atom.
pub(crate) fn atom(name: &'static str) -> Reason {
    Term::Atom(Atom::from_static(name)).into()
}

impl From<Term> for Reason {
    fn from(term: Term) -> Self {
        Self::Term(Arc::new(term))
    }
}

impl From<Returned> for Reason {
    fn from(returned: Returned) -> Self {
        let Returned { id, value, lease } = returned;
        Self::Returned { id, value: leased(value, lease) }
    }
}

impl Reason {
    /// The replacement for a reason that is too large: `{reason_too_large, Bytes}`.
    pub(crate) fn too_large(bytes: usize) -> Self {
        Term::tuple([Term::atom("reason_too_large"), Term::from(bytes)]).into()
    }

    /// The reason, to be sent to several processes: if it is large, they share its encoding.
    pub(crate) fn to_share(&self) -> Self {
        match self {
            Self::Term(term) if is_large(term) => {
                Self::Large(Arc::new(LargeTerm { term: term.clone(), encoded: OnceLock::new() }))
            }
            reason => reason.clone(),
        }
    }

    /// The reason, to be kept: without its encoding.
    pub(crate) fn to_keep(&self) -> Self {
        match self {
            Self::Large(large) => Self::Term(large.term.clone()),
            reason => reason.clone(),
        }
    }

    pub(crate) fn is_atom(&self, name: &str) -> bool {
        matches!(self, Self::Term(term) if term.is_atom(name))
    }

    pub(crate) fn to_raw(&self) -> RawTerm {
        match self {
            Self::Term(term) => RawTerm::encoded_from(term),
            Self::Large(large) => large.encoded.get_or_init(|| RawTerm::encoded_from(&large.term)).clone(),
            Self::Returned { id, value } => {
                let mut out = Encoded::with_capacity(64 + value.bytes().len());
                id.encode_return(&mut out);
                out.put(value.bytes());
                out.into()
            }
        }
    }
}

/// Whether an encoded term is too large to be copied for each receiver. Only as much of it is looked at.
pub(crate) fn is_large(term: &Term) -> bool {
    if let Term::Atom(_) = term {
        return false;
    }
    let mut size = 0;
    let grows_large = |part: &Term| {
        size += 8;
        size += match part {
            Term::Binary(bytes) => bytes.len(),
            Term::BitString(bits) => bits.bytes().len(),
            _ => 0,
        };
        (size > Fragments::LARGE).then_some(())
    };
    term.find(grows_large).is_some()
}

/// The reason of a signal on its way to a process of this node, with the signal's trace token if it has one.
#[derive(Debug)]
pub(crate) struct Cause {
    made: Made,
    token: Option<Box<TraceToken>>,
    priority: Priority,
    /// The peer that has sent it.
    sender: Option<Arc<PeerCalls>>,
}

#[derive(Debug)]
enum Made {
    Here(Reason),
    /// By a peer: as it has arrived, not decoded yet.
    There(RawTerm),
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self { made: Made::Here(reason), token: None, priority: Priority::Ordinary, sender: None }
    }
}

impl From<RawTerm> for Cause {
    fn from(raw: RawTerm) -> Self {
        Self { made: Made::There(raw), token: None, priority: Priority::Ordinary, sender: None }
    }
}

impl Cause {
    pub(crate) fn with_token(self, token: Option<Box<TraceToken>>) -> Self {
        Self { token, ..self }
    }

    /// The signal comes with this priority.
    pub(crate) fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// The signal has been sent by this peer.
    pub(crate) fn with_sender(self, peer: &Arc<PeerCalls>) -> Self {
        Self { sender: Some(peer.clone()), ..self }
    }

    pub(crate) fn sender(&self) -> Option<&Arc<PeerCalls>> {
        self.sender.as_ref()
    }

    pub(crate) fn priority(&self) -> Priority {
        self.priority
    }

    pub(crate) fn is_atom(&self, name: &str) -> bool {
        match &self.made {
            Made::Here(reason) => reason.is_atom(name),
            Made::There(raw) => raw.is_atom(name),
        }
    }

    /// The reason for a message, to be decoded by the process that receives it; and the token of that message.
    pub(crate) fn into_raw(self) -> (RawTerm, Option<Box<TraceToken>>) {
        let raw = match self.made {
            Made::Here(reason) => reason.to_raw(),
            Made::There(raw) => raw,
        };
        (raw, self.token)
    }

    /// The reason to be kept and sent on; none if it is malformed. Then the signal is dropped, and the connection that brought
    /// it ends.
    pub(crate) fn into_reason(self) -> Option<Reason> {
        match self.made {
            Made::Here(reason) => Some(reason),
            Made::There(raw) => match raw.decode() {
                Ok(term) => Some(term.into()),
                Err(error) if error.kind.is_limit() => Some(Reason::too_large(raw.bytes().len())),
                Err(_) => None,
            },
        }
    }
}

/// Marks the exit reason that carries the value of an `erpc` call.
pub(crate) const RETURN: Atom = Atom::from_static("return");

/// Identifies a call for its `erpc` caller: a reference of the caller.
#[derive(Debug, Clone)]
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

impl CallId {
    /// Writes the part of `{Id, return, Value}` before the value.
    pub(crate) fn encode_return(&self, sink: &mut impl Sink) {
        encode::tuple_header(3, sink);
        match self {
            Self::Reference(reference) => encode::reference(reference, sink),
            Self::Other(term) => encode::term(term, sink),
        }
        encode::atom(&RETURN, sink);
    }
}

/// The value of a call for `erpc`, not sent yet.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) id: CallId,
    pub(crate) value: Encoded,
    /// What is taken for a large value of the caller's memory.
    pub(crate) lease: Option<Lease>,
}

/// An encoded term, with which the lease is held.
pub(crate) fn leased(value: Encoded, lease: Option<Lease>) -> RawTerm {
    let value = RawTerm::from(value);
    match lease {
        Some(lease) => {
            let bytes = lease.hold_for(value.bytes().clone());
            value.with_bytes(bytes)
        }
        None => value,
    }
}

/// How a process that a peer has spawned has ended.
pub(crate) enum JobEnd {
    Returned(Returned),
    /// With any other reason.
    Other(Reason),
}

impl JobEnd {
    pub(crate) fn into_reason(self) -> Reason {
        match self {
            Self::Returned(returned) => returned.into(),
            Self::Other(reason) => reason,
        }
    }
}
