//! Sequential trace tokens, and the twins of control messages that carry one.

use bytes::Bytes;
use peerl_term::{Sink, Tag, Term, encode};

use super::{Content, Control, sealed::Sealed};
use crate::flags::DistributionFlags;

/// A sequential trace token: `{Flags, Label, Serial, From, Previous}`. A process that has received a message with one sends its
/// own messages with it.
///
/// Erlang docs: module `seq_trace` of kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceToken {
    /// What is traced, as a set of bits.
    pub flags: i64,
    /// What the traced messages have in common.
    pub label: Label,
    /// The number of the message in the sequence.
    pub serial: i64,
    /// The process that has sent the message, or its node.
    pub from: Term,
    /// The number of the message that the sender had received before.
    pub previous: i64,
}

impl TraceToken {
    /// A BEAM takes no greater number: it is a small integer there, which is not checked on arrival.
    pub const GREATEST: i64 = (1 << 59) - 1;

    /// Reads a token; nothing, if it is malformed or its label is too large.
    pub fn from_term(token: &Term) -> Option<Self> {
        let [flags, label, serial, from, previous] = token.as_tuple()? else { return None };
        let number = |term: &Term| term.as_integer().filter(|number: &i64| (0..=Self::GREATEST).contains(number));
        if !matches!(from, Term::Pid(_) | Term::Atom(_)) {
            return None;
        }
        Some(Self {
            flags: number(flags)?,
            label: Label::new(label)?,
            serial: number(serial)?,
            from: from.clone(),
            previous: number(previous)?,
        })
    }

    /// About how many bytes of memory it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.label.0.len()
    }

    /// Whether a peer takes the token: an older one takes only small integers for labels.
    pub(super) fn is_offered(&self, flags: DistributionFlags) -> bool {
        flags.contains(DistributionFlags::BIG_SEQTRACE_LABELS)
            || self.label.term().as_integer().is_some_and(|label: i64| (-(1 << 27)..1 << 27).contains(&label))
    }

    pub(super) fn encode<S: Sink>(&self, sink: &mut S) {
        encode::tuple_header(5, sink);
        encode::integer(self.flags, sink);
        encode::term(&self.label.term(), sink);
        encode::integer(self.serial, sink);
        encode::term(&self.from, sink);
        encode::integer(self.previous, sink);
    }
}

/// What the messages of a trace have in common: any term. It is kept encoded: decoded it may take 24 times as much memory, and it is
/// stored with each message that waits and each process.
#[derive(Clone, Debug, PartialEq)]
pub struct Label(Bytes);

impl Label {
    /// An encoded label may have so many bytes.
    pub const LARGEST: usize = 1 << 10;

    /// The label that is this term; none, if that is too large.
    pub fn new(term: &Term) -> Option<Self> {
        let bytes = term.encode();
        (bytes.len() <= Self::LARGEST).then(|| Self(Bytes::from(bytes.into_boxed_slice())))
    }

    /// The label.
    pub fn term(&self) -> Term {
        // What a term was encoded into can be decoded.
        Term::decode(&self.0).unwrap_or_else(|_| Term::nil())
    }
}

/// A control message that has a twin (`_TT`) with a sequential trace token.
pub trait Traceable: Control {
    /// The number of the twin's operation.
    fn traced_operation(&self) -> u8;

    /// Writes the twin without a version byte. A term [inside](Content::Inside) follows.
    fn encode_traced<S: Sink>(&self, token: &TraceToken, sink: &mut S);
}

/// The twin of a control message that has a sequential trace token.
#[derive(Clone, Debug, PartialEq)]
pub struct WithToken<'a, C> {
    pub(super) control: C,
    pub(super) token: &'a TraceToken,
}

impl<C: Traceable> Sealed for WithToken<'_, C> {}

impl<C: Traceable> Control for WithToken<'_, C> {
    fn operation(&self) -> u8 {
        self.control.traced_operation()
    }

    fn content(&self) -> Content {
        self.control.content()
    }

    fn is_offered(&self, flags: DistributionFlags) -> bool {
        self.control.is_offered(flags) && self.token.is_offered(flags)
    }

    fn encode<S: Sink>(&self, sink: &mut S) {
        self.control.encode_traced(self.token, sink);
    }
}

/// The beginning of a tuple with an operation.
pub(super) fn put_head<S: Sink>(arity: usize, operation: u8, sink: &mut S) {
    // No control message has more than eight elements.
    sink.put(&[Tag::SMALL_TUPLE_EXT.0, arity as u8, Tag::SMALL_INTEGER_EXT.0, operation]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Forms;
    use crate::test_support::{a, b, token};

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let term = token(17, 2, a(9), 1);
        let read = TraceToken::from_term(&term).unwrap();
        assert_eq!((read.flags, read.serial, read.previous), (0, 2, 1));
        let mut written = vec![131];
        read.encode(&mut written);
        assert_eq!(written, term.encode());
    }

    #[test]
    fn what_a_beam_would_not_survive_is_no_token() {
        let with = |flags: Term, label: Term, serial: Term, from: Term| {
            TraceToken::from_term(&Term::tuple([flags, label, serial, from, 0.into()]))
        };
        let label = || Term::from("any term");
        assert!(with(1.into(), label(), 1.into(), a(1).into()).is_some());
        assert!(with(1.into(), label(), 1.into(), Term::atom("b@127.0.0.1")).is_some());
        assert!(with(Term::atom("x"), label(), 1.into(), a(1).into()).is_none());
        assert!(with(1.into(), label(), (-1).into(), a(1).into()).is_none());
        assert!(with(1.into(), label(), (TraceToken::GREATEST + 1).into(), a(1).into()).is_none());
        assert!(with(1.into(), label(), 1.into(), Term::from(5)).is_none());
        assert!(with(1.into(), Term::from("x".repeat(2000)), 1.into(), a(1).into()).is_none());
        assert!(TraceToken::from_term(&Term::tuple([Term::from(1)])).is_none());
    }

    #[test]
    fn a_label_takes_no_more_memory_than_its_bytes() {
        let label = Term::list((0..1000).map(|_| Term::nil()));
        let token = Term::tuple([1.into(), label.clone(), 1.into(), a(1).into(), 0.into()]);
        let read = TraceToken::from_term(&token).unwrap();
        assert!(read.memory() < 1024 + 200, "{}", read.memory());
        assert_eq!(read.label.term(), label);
    }

    #[test]
    fn an_old_peer_takes_small_labels_only() {
        let sent = |label: Term, flags| {
            let label = Label::new(&label).unwrap();
            let token = TraceToken { flags: 0, label, serial: 1, from: a(1).into(), previous: 0 };
            let forms = Forms::new(flags);
            forms.with_token(forms.send(a(1), b(2)), Some(&token)).operation()
        };
        let old = DistributionFlags::FULL_MEMBER.difference(DistributionFlags::BIG_SEQTRACE_LABELS);
        assert_eq!(sent(Term::from("text"), DistributionFlags::FULL_MEMBER), 23);
        assert_eq!(sent(Term::from("text"), old), 22);
        assert_eq!(sent(17.into(), old), 23);
        assert_eq!(sent((1_i64 << 30).into(), old), 22);
    }
}
