//! Functions that the tests of this crate share.

use peerl_term::{Atom, AtomTable, Decoder, Limits, Pid, Reference, Term};

use crate::{
    control::{Control, ControlError, Signal, TraceToken, Traceable},
    cookie::Cookie,
    flags::DistributionFlags,
    handshake::LocalNode,
    node_name::NodeName,
};

/// Parses hexadecimal digits; ignores white space.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap()).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// The bytes of a captured handshake message without its `u16` length.
pub(crate) fn unframed(text: &str) -> Vec<u8> {
    hex(text).split_off(2)
}

pub(crate) fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// A full member with the cookie `c`.
pub(crate) fn local(text: &str) -> LocalNode {
    LocalNode::new(name(text), 1, DistributionFlags::FULL_MEMBER, Cookie::new("c").unwrap())
}

/// A pid of the node `a@127.0.0.1` of the captures.
pub(crate) fn a(id: u32) -> Pid {
    Pid { node: atom("a@127.0.0.1"), id, serial: 0, creation: 0x3ea }
}

/// A pid of the node `b@127.0.0.1` of the captures.
pub(crate) fn b(id: u32) -> Pid {
    Pid { node: atom("b@127.0.0.1"), id, serial: 0, creation: 0x3e9 }
}

/// A reference of the node `a@127.0.0.1` of the captures.
pub(crate) fn a_ref(words: [u32; 3]) -> Reference {
    Reference::new(atom("a@127.0.0.1"), 0x3ea, &words).unwrap()
}

pub(crate) fn atom(name: &str) -> Atom {
    Atom::new(name).unwrap()
}

/// A sequential trace token as in the captures.
pub(crate) fn token(label: i64, serial: i64, from: Pid, previous: i64) -> Term {
    Term::tuple([0.into(), label.into(), serial.into(), from.into(), previous.into()])
}

/// Reads a control message without header atoms, and its term if that is inside; nothing may follow.
pub(crate) fn read_control(wire: &str) -> Result<(u8, Signal, Option<Term>), ControlError> {
    read_bytes(&hex(wire))
}

/// As [`read_control`], of bytes.
pub(crate) fn read_bytes(bytes: &[u8]) -> Result<(u8, Signal, Option<Term>), ControlError> {
    let (atoms, limits) = (AtomTable::empty(), Limits::default());
    let mut decoder = Decoder::from_slice(bytes, &atoms, &limits);
    let (mut signal, mut token) = (Signal::vacant(), None);
    let head = signal.read(&mut token, &mut decoder)?;
    if head.content.is_inside() {
        decoder.term()?;
    }
    assert!(decoder.is_empty());
    Ok((head.operation, signal, token))
}

/// Checks that `message` is written as the hexadecimal digits of `wire`, without the term that may be inside, and that its
/// signal is read from them.
#[track_caller]
pub(crate) fn assert_wire<C: Control>(wire: &str, message: C)
where
    for<'a> Signal: From<&'a C>,
{
    let mut written = Vec::new();
    message.encode(&mut written);
    let wire_bytes = hex(wire);
    assert_eq!(written, wire_bytes[..written.len()]);
    assert_eq!(written.len() < wire_bytes.len(), message.content().is_inside());
    assert_eq!(read_bytes(&wire_bytes).unwrap().0, message.operation());
    assert_read(wire, Signal::from(&message), None);
}

/// Checks that `wire` is the twin of `message` that has a sequential trace token: it is written and read so.
#[track_caller]
pub(crate) fn assert_traced<C: Traceable>(wire: &str, message: C, token: Term)
where
    for<'a> Signal: From<&'a C>,
{
    let mut written = Vec::new();
    message.encode_traced(&TraceToken::from_term(&token).unwrap(), &mut written);
    let wire_bytes = hex(wire);
    assert_eq!(written, wire_bytes[..written.len()]);
    assert_eq!(written.len() < wire_bytes.len(), message.content().is_inside());
    assert_eq!(read_bytes(&wire_bytes).unwrap().0, message.traced_operation());
    assert_read(wire, Signal::from(&message), Some(token));
}

/// Checks that this signal is read from the hexadecimal digits of `wire`, and only from the whole of them.
#[track_caller]
pub(crate) fn assert_read(wire: &str, signal: Signal, token: Option<Term>) {
    let bytes = hex(wire);
    let (_, read, read_token) = read_bytes(&bytes).unwrap();
    assert_eq!((read, read_token), (signal, token));
    for end in 0..bytes.len() {
        assert!(read_bytes(&bytes[..end]).is_err(), "cut at {end}");
    }
    for arity in [0, 1, bytes[1] - 1, bytes[1] + 1, 200] {
        let mut wrong = bytes.clone();
        wrong[1] = arity;
        assert!(read_bytes(&wrong).is_err(), "arity {arity}");
    }
}
