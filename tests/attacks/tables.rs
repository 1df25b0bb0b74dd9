//! Entries of the tables of monitors and links.

use std::time::Instant;

use peerl_node::Term;
use peerl_term::Reference;

use super::attacker::{Attacker, Written, head};
use super::{Attack, calls};

/// What fills the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A monitor of a process, from many processes.
    Monitor,
    /// A monitor of a name.
    MonitorOfName,
    /// Monitors of one process of the attacker, by references of five words.
    MonitorOfOne,
    Link,
}

impl Entry {
    pub const ALL: [Self; 4] = [Self::Monitor, Self::MonitorOfName, Self::MonitorOfOne, Self::Link];
}

/// As many entries as come through, up to a million.
pub fn entries(entry: Entry, most: u32) -> Attack {
    Attack::together(format!("{most} times {entry:?}"), 1, move |attacker, end| {
        let Some(rex) = attacker.pid_of("rex", end) else { return };
        fill(attacker, most, end, |attacker, number| frame(attacker, entry, &rex, number));
        attacker.wait(end);
    })
}

/// Calls that sleep, which the attacker's processes have spawned with links and monitors.
pub fn linked_calls(most: u32) -> Attack {
    Attack::together(format!("{most} spawned processes with links and monitors"), 1, move |attacker, end| {
        fill(attacker, most, end, |attacker, number| calls::spawned(attacker, number, &["link", "monitor"]));
        attacker.wait(end);
    })
}

/// Writes so many frames, as fast as they are read.
pub(super) fn fill(attacker: &mut Attacker, most: u32, end: Instant, frame: impl Fn(&Attacker, u32) -> Vec<u8>) {
    const AT_ONCE: u32 = 1000;
    let mut number = 1;
    while number <= most && Instant::now() < end {
        let count = AT_ONCE.min(most + 1 - number);
        let frames: Vec<u8> = (number..number + count).flat_map(|number| frame(attacker, number)).collect();
        if attacker.write(&[&frames], end) != Written::All {
            return;
        }
        attacker.sent += u64::from(count);
        number += count;
    }
}

fn frame(attacker: &Attacker, entry: Entry, rex: &Term, number: u32) -> Vec<u8> {
    let reference = |words: &[u32]| Term::from(Reference::new(attacker.intruder.pid().node, 9, words).expect("words"));
    let from = |id: u32| Term::from(attacker.process(id));
    let control = match entry {
        Entry::Monitor => Term::tuple([19.into(), from(number), rex.clone(), reference(&[number, 3, 0])]),
        Entry::MonitorOfName => Term::tuple([19.into(), from(number), Term::atom("rex"), reference(&[number, 3, 0])]),
        Entry::MonitorOfOne => Term::tuple([19.into(), from(1), rex.clone(), reference(&[number, 3, 0, 0, number])]),
        Entry::Link => Term::tuple([1.into(), from(number), rex.clone()]),
    };
    head(&control, 0)
}
