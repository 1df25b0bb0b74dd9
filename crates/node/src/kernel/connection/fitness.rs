//! Which terms a peer can decode. A term that it cannot decode would end the connection there.

use peerl_proto::flags::DistributionFlags;
use peerl_term::{Atom, Pid, Term};

use super::Connection;
use crate::kernel::reason::Reason;

impl Connection {
    /// The reason in a form that this peer can decode.
    pub(super) fn fit_reason(&self, reason: &Reason) -> Reason {
        match reason {
            Reason::Term(term) => self.fit_term(reason, term),
            Reason::Large(large) => self.fit_term(reason, &large.term),
            Reason::Returned { id, value } if value.has_records() && !takes_records(self) => {
                let error = Term::tuple([Term::atom("unsendable_result"), Term::atom(Unfit::NativeRecord.name())]);
                Term::tuple([id.clone().into(), Term::atom("error"), error, Term::nil()]).into()
            }
            Reason::Returned { .. } => reason.clone(),
        }
    }

    fn fit_term(&self, reason: &Reason, term: &Term) -> Reason {
        match term.find(|term| Unfit::of(term, self)) {
            None => reason.clone(),
            Some(unfit) => Term::tuple([Term::atom("unsendable_reason"), Term::atom(unfit.name())]).into(),
        }
    }

    /// Whether a pid claims to be the peer's own but has a number that the peer never gives.
    pub(crate) fn never_made(&self, pid: &Pid) -> bool {
        is_own(&pid.node, pid.creation, self) && pid.id >= 1 << 28
    }

    /// Whether the peer can decode a term.
    pub(crate) fn can_take(&self, term: &Term) -> bool {
        term.find(|term| Unfit::of(term, self)).is_none()
    }
}

/// A term, possibly from a third node, that would end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unfit {
    /// The peer is older than OTP 29.
    NativeRecord,
    /// It names the peer's own node and has a number that the node never gives.
    Identifier,
    /// An integer of more bytes than OTP 27 and later accept.
    Integer,
    /// A map with the keys 0.0 and -0.0, which are equal for OTP 25.
    Keys,
}

impl Unfit {
    /// OTP 25 accepts eight times as many.
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
            Term::Pid(pid) => peer.never_made(pid),
            Term::LocalFun(fun) => peer.never_made(fun.pid()),
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
