//! Exit reasons as they are kept and as they travel.

use std::sync::Arc;

use peerl_proto::flags::DistributionFlags;
use peerl_term::{Atom, Encoded, Pid, RawTerm, Reference, Sink, Term, encode};

use crate::connection::Connection;

/// An exit reason that this node vouches for: of its own making, or decoded when it arrived. Only such a reason is kept and
/// sent on: malformed bytes would end the link of the next node that gets them.
#[derive(Debug, Clone)]
pub(crate) enum Reason {
    Term(Arc<Term>),
    /// `{Id, return, Value}`: a call for `erpc` has a value.
    Returned {
        id: CallId,
        value: RawTerm,
    },
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
        Self::Returned { id: returned.id, value: returned.value.into() }
    }
}

impl Reason {
    /// What takes the place of a reason that is too large: `{reason_too_large, Bytes}`.
    pub(crate) fn too_large(bytes: usize) -> Self {
        Term::tuple([Term::atom("reason_too_large"), Term::from(bytes)]).into()
    }

    pub(crate) fn is_atom(&self, name: &str) -> bool {
        matches!(self, Self::Term(term) if term.is_atom(name))
    }

    pub(crate) fn to_raw(&self) -> RawTerm {
        match self {
            Self::Term(term) => RawTerm::encoded_from(term),
            Self::Returned { id, value } => {
                let mut out = Encoded::with_capacity(64 + value.bytes().len());
                id.encode_return(&mut out);
                out.put(value.bytes());
                out.into()
            }
        }
    }

    /// The reason in the form in which this peer can take it.
    pub(crate) fn fit_for(&self, peer: &Connection) -> Self {
        match self {
            Self::Term(term) => match term.find(|term| Unfit::of(term, peer)) {
                None => self.clone(),
                Some(unfit) => Term::tuple([Term::atom("unsendable_reason"), Term::atom(unfit.name())]).into(),
            },
            Self::Returned { id, value } if value.has_records() && !takes_records(peer) => {
                let reason = Term::tuple([Term::atom("unsendable_result"), Term::atom(Unfit::NativeRecord.name())]);
                Term::tuple([id.clone().into(), Term::atom("error"), reason, Term::nil()]).into()
            }
            Self::Returned { .. } => self.clone(),
        }
    }
}

/// What ends the link if it is sent to a peer, and may have come from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// The peer is older than OTP 29.
    NativeRecord,
    /// It names the peer's own node, and has a number that the node gives nobody.
    Identifier,
    /// An integer of more bytes than OTP 27 and later take.
    Integer,
    /// A map with 0.0 and -0.0 as its keys, which are the same to OTP 25.
    Keys,
}

impl Unfit {
    /// OTP 25 takes eight times as many.
    const INTEGER_BYTES: u64 = 524_280;

    fn of(term: &Term, peer: &Connection) -> Option<Self> {
        let is_zero = |key: &Term| matches!(key, Term::Float(float) if float.get() == 0.0);
        let is_impossible = match term {
            Term::Record(_) => return (!takes_records(peer)).then_some(Self::NativeRecord),
            Term::BigInteger(integer) => {
                return (integer.get().bits() > 8 * Self::INTEGER_BYTES).then_some(Self::Integer);
            }
            Term::Map(map) => {
                return (map.iter().filter(|(key, _)| is_zero(key)).count() > 1).then_some(Self::Keys);
            }
            Term::Pid(pid) => is_impossible(pid, peer),
            Term::LocalFun(fun) => is_impossible(fun.pid(), peer),
            Term::Port(port) => is_own(&port.node, port.creation, peer) && port.id >= 1 << 60,
            Term::Reference(reference) => {
                is_own(reference.node(), reference.creation(), peer) && reference.words()[0] >= 1 << 18
            }
            _ => false,
        };
        is_impossible.then_some(Self::Identifier)
    }

    fn name(self) -> &'static str {
        match self {
            Self::NativeRecord => "native_record",
            Self::Identifier => "impossible_identifier",
            Self::Integer => "large_integer",
            Self::Keys => "equal_keys",
        }
    }
}

fn takes_records(peer: &Connection) -> bool {
    peer.flags.contains(DistributionFlags::NATIVE_RECORDS)
}

fn is_own(node: &Atom, creation: u32, peer: &Connection) -> bool {
    creation == peer.creation && *node == peer.atom
}

/// Whether a pid claims to be of the peer's own making, and cannot be: the peer would end the link.
pub(crate) fn is_impossible(pid: &Pid, peer: &Connection) -> bool {
    is_own(&pid.node, pid.creation, peer) && pid.id >= 1 << 28
}

/// Whether a term, of this node or of another one, is safe to be sent to a peer.
pub(crate) fn is_fit(term: &Term, peer: &Connection) -> bool {
    term.find(|term| Unfit::of(term, peer)).is_none()
}

/// The reason of a signal on its way to a process of this node.
#[derive(Debug)]
pub(crate) enum Cause {
    Ours(Reason),
    /// As it has arrived, not decoded yet.
    Peers(RawTerm),
}

impl From<Reason> for Cause {
    fn from(reason: Reason) -> Self {
        Self::Ours(reason)
    }
}

impl From<RawTerm> for Cause {
    fn from(raw: RawTerm) -> Self {
        Self::Peers(raw)
    }
}

impl Cause {
    pub(crate) fn is_atom(&self, name: &str) -> bool {
        match self {
            Self::Ours(reason) => reason.is_atom(name),
            Self::Peers(raw) => raw.is_atom(name),
        }
    }

    /// The reason for a message, to be decoded by the process that receives it.
    pub(crate) fn into_raw(self) -> RawTerm {
        match self {
            Self::Ours(reason) => reason.to_raw(),
            Self::Peers(raw) => raw,
        }
    }

    /// The reason to be kept and sent on. There is none if it is malformed; then its signal is dropped, and the connection
    /// that it came by ends.
    pub(crate) fn into_reason(self) -> Option<Reason> {
        match self {
            Self::Ours(reason) => Some(reason),
            Self::Peers(raw) => match raw.decode() {
                Ok(term) => Some(term.into()),
                Err(error) if error.kind.is_limit() => Some(Reason::too_large(raw.bytes().len())),
                Err(_) => None,
            },
        }
    }
}

/// What says that a call for `erpc` has a value.
pub(crate) const RETURN: Atom = Atom::from_static("return");

/// What a caller by `erpc` knows its call by: a reference of its own.
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
    /// Writes what comes before the value in `{Id, return, Value}`.
    pub(crate) fn encode_return(&self, sink: &mut impl Sink) {
        encode::tuple_header(3, sink);
        match self {
            Self::Reference(reference) => encode::reference(reference, sink),
            Self::Other(term) => encode::term(term, sink),
        }
        encode::atom(&RETURN, sink);
    }
}

/// A call for `erpc` that has a value, before anybody is told.
#[derive(Debug)]
pub(crate) struct Returned {
    pub(crate) id: CallId,
    pub(crate) value: Encoded,
}

/// How a process has ended that a peer has spawned.
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
