//! What a worker keeps for each connection, and what each frame costs it.

use std::time::Instant;

use peerl_node::Term;
use peerl_term::{Atom, Pid, Reference};

use super::attacker::{Attacker, Written, head};
use super::fragments::to_name;
use super::{Attack, Fate, Reading, Target};
use crate::intruder::fragment;

/// So many connections of other names, opened over the whole time, that each fill the atom cache with the longest atoms there are.
pub fn full_atom_caches(connections: u32) -> Attack {
    Attack::new(format!("up to {connections} connections with full atom caches"), move |target, end| {
        let fill =
            |attacker: &mut Attacker, number| send_all(attacker, atom_cache(attacker, number), ATOMS.into(), end);
        remain(open_until(end, connections, target, fill), end)
    })
}

/// So many connections of other names, opened in half of the time. Then each sends the beginnings of messages in fragments, with the
/// longest atoms and labels that are kept.
pub fn begun_messages(connections: u32) -> Attack {
    Attack::new(format!("up to {connections} connections with messages that are only begun"), move |target, end| {
        let half = Instant::now() + end.saturating_duration_since(Instant::now()) / 2;
        let mut open = open_until(half, connections, target, |_, _| {});
        for (attacker, number) in open.iter_mut().zip(0..) {
            send_all(attacker, beginnings(attacker, number), 1, end);
        }
        remain(open, end)
    })
}

/// Opens so many connections, evenly until the end, and does this with each.
fn open_until(end: Instant, connections: u32, target: &Target, with: impl Fn(&mut Attacker, u32)) -> Vec<Attacker> {
    let (start, mut open) = (Instant::now(), Vec::new());
    let pause = end.saturating_duration_since(start) / connections;
    for number in 0..connections {
        std::thread::sleep((start + pause * number).saturating_duration_since(Instant::now()));
        if Instant::now() >= end {
            break;
        }
        let mut attacker = Attacker::deaf(target);
        with(&mut attacker, number);
        open.push(attacker);
    }
    open
}

/// Sends frames that count for so much each.
fn send_all(attacker: &mut Attacker, frames: impl Iterator<Item = Vec<u8>>, count: u64, end: Instant) {
    for frame in frames {
        if attacker.write(&[&frame], end) != Written::All {
            break;
        }
        attacker.sent += count;
    }
}

/// Keeps connections open until the end.
fn remain(mut open: Vec<Attacker>, end: Instant) -> Fate {
    std::thread::sleep(end.saturating_duration_since(Instant::now()));
    // One that the worker has ended takes no more ticks than one.
    for _ in 0..2 {
        for attacker in &mut open {
            let _ = attacker.write(&[&[0; 4]], end);
        }
    }
    open.into_iter().map(Attacker::fate).sum()
}

/// The first of two fragments of many messages. No two have an atom in common.
fn beginnings(attacker: &Attacker, connection: u32) -> impl Iterator<Item = Vec<u8>> + use<> {
    const MESSAGES: u32 = 64;
    let own = attacker.process(1);
    (0..MESSAGES).map(move |sequence| {
        let number = connection << 7 | sequence << 1;
        let atom = |number| Atom::new(&longest_atom(number)).expect("255 characters");
        let process = |number| Term::from(Pid { node: atom(number), ..own.clone() });
        let label = Term::binary(vec![7; 1000]);
        let token = Term::tuple([1.into(), label, 1.into(), process(number), 0.into()]);
        let to = Term::from(atom(number | 1));
        let control = Term::tuple([16.into(), process(number), Term::atom(""), to, token]);
        let frame = fragment(69, sequence.into(), 2, &[&[0][..], &control.encode()[1..], &[109]].concat());
        [&(frame.len() as u32).to_be_bytes()[..], &frame].concat()
    })
}

/// The atoms that a frame brings.
const ATOMS: u16 = 128;

/// Frames that fill the 2,048 slots with atoms of 255 characters, each of which takes four bytes and is in no other slot.
fn atom_cache(attacker: &Attacker, connection: u32) -> impl Iterator<Item = Vec<u8>> + use<> {
    const SLOTS: u16 = 2048;
    const NEW_ENTRY: u8 = 8;
    const LONG_ATOMS: u8 = 1;
    let message = [&to_name(attacker, 1, "nobody").encode()[1..], &[106]].concat();
    (0..SLOTS).step_by(usize::from(ATOMS)).map(move |first| {
        // The flags of the atoms take half a byte each, those of the header another half.
        let segment = (first >> 8) as u8 | NEW_ENTRY;
        let mut frame = vec![131, 68, ATOMS as u8];
        frame.resize(3 + usize::from(ATOMS) / 2, segment << 4 | segment);
        frame.push(LONG_ATOMS);
        for slot in first..first + ATOMS {
            let name = longest_atom(connection << 11 | u32::from(slot));
            frame.push(slot as u8);
            frame.extend_from_slice(&(name.len() as u16).to_be_bytes());
            frame.extend_from_slice(name.as_bytes());
        }
        frame.extend_from_slice(&message);
        [&(frame.len() as u32).to_be_bytes()[..], &frame].concat()
    })
}

/// An atom of 255 characters, another one for each number up to 24 bits.
fn longest_atom(number: u32) -> String {
    let character = |bits: u32| char::from_u32(0x1f300 + (bits & 0x3f)).expect("a character");
    let digits = [0, 6, 12, 18].map(|shift| character(number >> shift));
    digits.into_iter().chain(std::iter::repeat_n(character(0), 251)).collect()
}

/// Frames of one size that together fill exactly what a worker reads at a time, 64 KiB.
pub fn frames_that_fill_a_read(size: usize) -> Attack {
    const READ: usize = 64 << 10;
    Attack::together(format!("frames of {size} bytes that fill 64 KiB"), 1, move |attacker, end| {
        let control = to_name(attacker, 1, "rex");
        // The version byte of the term is that of the header.
        let overhead = head(&control, 0).len() + Term::binary(Vec::new()).encode().len() - 1;
        let payload = Term::binary(vec![7; size - overhead]).encode();
        let frame = [&head(&control, payload.len() - 1), &payload[1..]].concat();
        assert_eq!(READ % frame.len(), 0);
        repeat(attacker, &frame.repeat(READ / frame.len()), READ / frame.len(), end);
        attacker.wait(end);
    })
}

/// What is sent over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The shortest: four bytes.
    Tick,
    /// A link to `rex`, and its end, which the worker acknowledges.
    LinkAndUnlink,
    /// A monitor of `rex`, and its end.
    MonitorAndDemonitor,
    /// A monitor of a name that nobody has, which fires at once.
    MonitorOfNobody,
    /// The acknowledgement of an unlink for which nobody waits.
    UnlinkAck,
    /// An exit signal to `rex`, which ignores it.
    ExitOfNobody,
    /// A small message to a name, with a trace token that has a label of this size.
    TracedToName(usize),
    /// The same by the pid of the receiver.
    TracedToPid(usize),
}

impl Frame {
    pub const ALL: [Self; 9] = [
        Self::Tick,
        Self::LinkAndUnlink,
        Self::MonitorAndDemonitor,
        Self::MonitorOfNobody,
        Self::UnlinkAck,
        Self::ExitOfNobody,
        Self::TracedToName(60 << 10),
        Self::TracedToPid(60 << 10),
        Self::TracedToPid(1000),
    ];

    /// The bytes of one, from a process with this number.
    fn encode(self, attacker: &Attacker, rex: &Term, number: u32) -> Vec<u8> {
        let (own, rex, number_of) = (Term::from(attacker.process(number)), rex.clone(), Term::from(number));
        let reference = Reference::new(attacker.intruder.pid().node, 9, &[number, 5, 0]).expect("three words");
        let reference = Term::from(reference);
        let token = |label| {
            let label = Term::binary(vec![7; label]);
            Term::tuple([1.into(), label, 1.into(), own.clone(), 0.into()])
        };
        match self {
            Self::Tick => vec![0; 4],
            Self::LinkAndUnlink => {
                let link = control([1.into(), own.clone(), rex.clone()]);
                [link, control([35.into(), number_of, own, rex])].concat()
            }
            Self::MonitorAndDemonitor => {
                let monitor = control([19.into(), own.clone(), rex.clone(), reference.clone()]);
                [monitor, control([20.into(), own, rex, reference])].concat()
            }
            Self::MonitorOfNobody => control([19.into(), own, Term::atom("nobody"), reference]),
            Self::UnlinkAck => control([36.into(), number_of, own, rex]),
            Self::ExitOfNobody => control([3.into(), own, rex, Term::atom("bye")]),
            Self::TracedToName(label) => {
                message([16.into(), own.clone(), Term::atom(""), Term::atom("rex"), token(label)])
            }
            Self::TracedToPid(label) => message([12.into(), Term::atom(""), rex, token(label)]),
        }
    }
}

/// Such frames by one connection, as fast as they are read.
pub fn frames(frame: Frame, reading: Reading) -> Attack {
    const ROUND: usize = 256 << 10;
    Attack::new(format!("{frame:?}, what comes back {reading:?}"), move |target, end| {
        let mut scout = Attacker::connect(target);
        let Some(rex) = scout.pid_of("rex", end) else { return scout.fate() };
        let attack = Attack::side_by_side("", 1, reading, move |attacker, end| {
            let (mut round, mut count) = (Vec::new(), 0);
            while round.len() < ROUND {
                count += 1;
                round.extend_from_slice(&frame.encode(attacker, &rex, count as u32));
            }
            repeat(attacker, &round, count, end);
            attacker.wait(end);
        });
        attack.run(target, end.saturating_duration_since(Instant::now()))
    })
}

fn repeat(attacker: &mut Attacker, round: &[u8], count: usize, end: Instant) {
    while Instant::now() < end && attacker.write(&[round], end) == Written::All {
        attacker.sent += count as u64;
    }
}

/// The frame of a control message alone.
fn control<const N: usize>(parts: [Term; N]) -> Vec<u8> {
    head(&Term::tuple(parts), 0)
}

/// The frame of a message that is the empty list.
fn message<const N: usize>(control: [Term; N]) -> Vec<u8> {
    let mut frame = head(&Term::tuple(control), 1);
    frame.push(106);
    frame
}
