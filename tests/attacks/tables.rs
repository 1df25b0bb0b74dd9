//! Entries of the tables of monitors and links.

use std::time::{Duration, Instant};

use peerl_node::Term;
use peerl_term::Reference;

use super::attacker::{Attacker, Reading, Written, head};
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

/// For how long the attacker waits for what has to come, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Ends a process of the worker, by a reason of 60 KiB, that so many processes of the attacker monitor or are linked to; and again.
pub fn exits(entry: Entry, watchers: u32, reading: Reading) -> Attack {
    let name = format!("exits by a reason of 60 KiB, {watchers} times {entry:?}, signals {reading:?}");
    Attack::new(name, move |target, end| {
        let mut owner = Attacker::connect(target);
        let mut watcher = reading.connect(target);
        let reason = Term::binary(vec![7; 60 << 10]).encode();
        let mut round = 1;
        while Instant::now() < end && !watcher.is_closed() {
            // One comes through, however slow the machine is.
            let end = if round == 1 { end + PATIENCE } else { end };
            let spawn = calls::spawned(&owner, round, &[]);
            if owner.write(&[&spawn], end) != Written::All {
                break;
            }
            let Some(process) = owner.spawned(end) else { break };
            fill(&mut watcher, watchers, end, |watcher, number| frame(watcher, entry, &process, number));
            let exit = Term::tuple([26.into(), watcher.process(1).into(), process]);
            if watcher.write(&[&head(&exit, reason.len() - 1), &reason[1..]], end) != Written::All {
                break;
            }
            round += 1;
        }
        watcher.wait(end);
        [owner.fate(), watcher.fate()].into_iter().sum()
    })
}

/// Ends a process of the worker, by a reason of 100 MB, that so many connections monitor which read nothing.
pub fn large_exit(watchers: usize) -> Attack {
    const SIZE: usize = 100_000_000;
    Attack::new(
        format!("an exit by a reason of 100 MB, which {watchers} connections do not read"),
        move |target, end| {
            let mut owner = Attacker::connect(target);
            let mut deaf: Vec<_> = (0..watchers).map(|_| Reading::Unread.connect(target)).collect();
            let spawn = calls::spawned(&owner, 1, &[]);
            owner.write(&[&spawn], end);
            if let Some(process) = owner.spawned(end) {
                for watcher in &mut deaf {
                    let monitor = frame(watcher, Entry::Monitor, &process, 1);
                    watcher.write(&[&monitor], end);
                }
                // They come by connections of their own.
                std::thread::sleep(Duration::from_millis(200));
                let reason = Term::binary(vec![7; SIZE]).encode();
                let exit = Term::tuple([26.into(), owner.process(1).into(), process]);
                owner.write(&[&head(&exit, reason.len() - 1), &reason[1..]], end + PATIENCE);
            }
            owner.wait(end);
            deaf.into_iter().chain([owner]).map(Attacker::fate).sum()
        },
    )
}

/// Writes so many frames, as fast as they are read.
pub(super) fn fill(attacker: &mut Attacker, most: u32, end: Instant, frame: impl Fn(&Attacker, u32) -> Vec<u8>) {
    const AT_ONCE: usize = 256 << 10;
    let (mut number, mut frames) = (1, Vec::new());
    while number <= most && Instant::now() < end {
        frames.clear();
        let first = number;
        while number <= most && frames.len() < AT_ONCE {
            frames.extend_from_slice(&frame(attacker, number));
            number += 1;
        }
        if attacker.write(&[&frames], end) != Written::All {
            return;
        }
        attacker.sent += u64::from(number - first);
    }
}

fn frame(attacker: &Attacker, entry: Entry, to: &Term, number: u32) -> Vec<u8> {
    let reference = |words: &[u32]| Term::from(Reference::new(attacker.intruder.pid().node, 9, words).expect("words"));
    let from = |id: u32| Term::from(attacker.process(id));
    let control = match entry {
        Entry::Monitor => Term::tuple([19.into(), from(number), to.clone(), reference(&[number, 3, 0])]),
        Entry::MonitorOfName => Term::tuple([19.into(), from(number), Term::atom("rex"), reference(&[number, 3, 0])]),
        Entry::MonitorOfOne => Term::tuple([19.into(), from(1), to.clone(), reference(&[number, 3, 0, 0, number])]),
        Entry::Link => Term::tuple([1.into(), from(number), to.clone()]),
    };
    head(&control, 0)
}
