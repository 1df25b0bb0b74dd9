//! What the tests of this crate share.

use peerl_term::{Atom, AtomTable, Decoder, Limits, Pid, Reference, Term};

use crate::{
    control::{Control, ControlError, ControlMessage},
    cookie::Cookie,
    flags::DistributionFlags,
    handshake::LocalNode,
    node_name::NodeName,
};

/// The bytes of a text of hexadecimal digits; blanks are ignored.
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

/// Decodes a control message that has no atoms in a header; nothing may follow it.
pub(crate) fn decode_control(wire: &str) -> Result<ControlMessage, ControlError> {
    let bytes = hex(wire);
    let atoms = AtomTable::empty();
    let mut decoder = Decoder::from_slice(&bytes, &atoms, &Limits::default());
    let message = ControlMessage::decode(&mut decoder)?;
    assert!(decoder.is_empty());
    Ok(message)
}

/// Checks that `message` is written as the hexadecimal digits of `wire`, and read from them; and that nothing but
/// the whole of them is read.
#[track_caller]
pub(crate) fn assert_wire(wire: &str, message: impl Into<ControlMessage>) {
    let message = message.into();
    assert_eq!(decode_control(wire).unwrap(), message);
    let mut written = Vec::new();
    message.encode(&mut written);
    assert_eq!(written, hex(wire));

    let atoms = AtomTable::empty();
    for end in 0..written.len() {
        let mut decoder = Decoder::from_slice(&written[..end], &atoms, &Limits::default());
        assert!(ControlMessage::decode(&mut decoder).is_err(), "cut at {end}");
    }
    for arity in [0, 1, written[1] - 1, written[1] + 1, 200] {
        let mut wrong = written.clone();
        wrong[1] = arity;
        let mut decoder = Decoder::from_slice(&wrong, &atoms, &Limits::default());
        assert!(ControlMessage::decode(&mut decoder).is_err(), "arity {arity}");
    }
}
