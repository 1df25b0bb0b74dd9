//! Terms that are small on the wire and large in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use peerl_node::Term;

use super::attacker::{Attacker, END, Written, erpc, head, one_argument};
use super::{Attack, Fate, Target};
use crate::intruder::fragment;

/// The most bytes of such a term: a tuple in a tuple takes two.
pub const LARGE: usize = 32_000_000;

/// For how long the attacker waits for what has to come, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most elements that a node decodes, and a few less.
const ELEMENTS: usize = (1 << 24) - 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Tuples of one, nested as deep as it goes.
    Tuples,
    /// Lists of one.
    Lists,
    /// Maps of one, in each the next as the value.
    Maps,
    /// A list of small tuples.
    SmallTuples,
    /// A list of empty lists.
    Nils,
    /// A list of strings, each character of which becomes an integer.
    Strings,
    /// A list of large integers.
    Integers,
}

impl Shape {
    pub const ALL: [Self; 7] =
        [Self::Tuples, Self::Lists, Self::Maps, Self::SmallTuples, Self::Nils, Self::Strings, Self::Integers];

    /// A term of this shape without its version byte, of no more than this many bytes.
    pub fn encode(self, most: usize) -> Vec<u8> {
        let nested = |open: &[u8], close: &[u8]| {
            let count = (most / (open.len() + close.len())).min(ELEMENTS / 2);
            [&open.repeat(count), &[106][..], &close.repeat(count)].concat()
        };
        let listed = |element: &[u8], elements: usize| {
            let count = (most / element.len()).min(ELEMENTS / elements);
            let length = u32::try_from(count).expect("fewer than 4 billion");
            [&[108][..], &length.to_be_bytes(), &element.repeat(count), &[106]].concat()
        };
        match self {
            Self::Tuples => {
                let count = (most / 2).min(ELEMENTS);
                [&[104, 1].repeat(count), &[106][..]].concat()
            }
            Self::Lists => nested(&[108, 0, 0, 0, 1], &[106]),
            Self::Maps => nested(&[116, 0, 0, 0, 1, 97, 1], &[]),
            Self::SmallTuples => listed(&[104, 1, 106], 2),
            Self::Nils => listed(&[106], 1),
            Self::Strings => listed(&[&[107, 3, 232][..], &[7; 1000]].concat(), 1001),
            Self::Integers => listed(&[110, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 1),
        }
    }
}

/// What the term is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The argument of a call.
    Argument,
    /// A message to a process with this name.
    Message(&'static str),
    /// The reason of an exit signal.
    ExitReason,
    /// The reason by which a monitor of the worker fires.
    DownReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// One after another, in a frame each.
    Frames,
    /// One after another, in fragments.
    Fragments,
    /// So many at a time, by turns of a fragment each.
    Turns(usize),
}

impl Delivery {
    fn at_once(self) -> usize {
        match self {
            Self::Frames | Self::Fragments => 1,
            Self::Turns(count) => count,
        }
    }
}

/// Sends such terms until the end.
pub fn attack(shape: Shape, part: Part, delivery: Delivery) -> Attack {
    let term = Arc::new(shape.encode(LARGE));
    Attack::new(format!("{shape:?}, {part:?}, {delivery:?}"), move |target, end| {
        send(target, &term, part, delivery, end)
    })
}

fn send(target: &Target, term: &[u8], part: Part, delivery: Delivery, end: Instant) -> Fate {
    let mut attacker = Attacker::connect(target);
    let rex = attacker.pid_of("rex", end + PATIENCE);
    while Instant::now() < end {
        // One comes through, however slow the machine is.
        let end = if attacker.sent == 0 { end + PATIENCE } else { end };
        let messages: Vec<_> =
            (0..delivery.at_once()).filter_map(|_| message(&mut attacker, part, &rex, end)).collect();
        if messages.is_empty() {
            break;
        }
        let written = match delivery {
            Delivery::Frames => {
                let (control, before, after) = &messages[0];
                let head = head(control, before.len() + term.len() + after.len());
                attacker.write(&[&head, before, term, after], end)
            }
            Delivery::Fragments | Delivery::Turns(_) => by_turns(&mut attacker, &messages, term, end),
        };
        match written {
            Written::All => attacker.sent += messages.len() as u64,
            Written::Late | Written::Closed => break,
        }
    }
    if part == Part::Argument {
        attacker.wait_for_answers(end + PATIENCE);
    }
    attacker.wait(end);
    attacker.fate()
}

/// A control message, and what comes before and after the term in its payload.
type Message = (Term, Vec<u8>, &'static [u8]);

fn message(attacker: &mut Attacker, part: Part, rex: &Option<Term>, end: Instant) -> Option<Message> {
    let reference = attacker.reference();
    // Messages of the same sender are sent one after another.
    let from = attacker.process(1 + reference.words()[0]);
    let rex = rex.clone()?;
    Some(match part {
        Part::Argument => (erpc(&from, &reference), one_argument(&reference, "peerl", "echo"), &END),
        Part::Message(name) => {
            (Term::tuple([6.into(), from.into(), Term::atom(""), Term::atom(name)]), Vec::new(), &[])
        }
        Part::ExitReason => (Term::tuple([26.into(), from.into(), rex]), Vec::new(), &[]),
        Part::DownReason => {
            // A scope of `pg` monitors those that it discovers.
            let discover = Term::tuple([Term::atom("discover"), from.clone().into()]);
            let to_scope = [6.into(), from.clone().into(), Term::atom(""), Term::atom("pg")];
            attacker.intruder.frame(Term::tuple(to_scope), Some(discover));
            let (scope, monitor) = attacker.monitor(end)?;
            (Term::tuple([28.into(), from.into(), scope.into(), monitor.into()]), Vec::new(), &[])
        }
    })
}

/// The messages in fragments, a fragment of each in turn.
fn by_turns(attacker: &mut Attacker, messages: &[Message], term: &[u8], end: Instant) -> Written {
    const PIECE: usize = 64 << 10;
    let pieces: Vec<_> = term.chunks(PIECE).collect();
    for (index, piece) in pieces.iter().enumerate() {
        for (control, before, after) in messages {
            let sequence = u64::from(id(control));
            let number = (pieces.len() - index) as u64;
            let mut frame = if index == 0 {
                let start = [&[0][..], &control.encode()[1..], before].concat();
                fragment(69, sequence, number, &start)
            } else {
                fragment(70, sequence, number, &[])
            };
            let after: &[u8] = if number == 1 { after } else { &[] };
            let length = u32::try_from(frame.len() + piece.len() + after.len()).expect("a frame");
            frame.splice(0..0, length.to_be_bytes());
            match attacker.write(&[&frame, piece, after], end) {
                Written::All => {}
                other => return other,
            }
        }
    }
    Written::All
}

/// The number of the sender, which is that of the fragments' sequence too.
fn id(control: &Term) -> u32 {
    let elements = control.as_tuple().expect("a control message");
    elements.iter().find_map(Term::as_pid).expect("it has a sender").id
}
