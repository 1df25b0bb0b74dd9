//! The tables are empty after many cycles of links, monitors and aliases, whichever side is the first to let go.

use peerl_proto::control::Priority;

use super::pair::{Pair, Way, mailbox};
use crate::kernel::process::{Core, Monitored};
use crate::kernel::state::Kernel;

/// How many turns make 100,000 links, monitors and aliases, or as many as `PEERL_CYCLES` says. Each turn has four.
fn turns() -> usize {
    std::env::var("PEERL_CYCLES").map_or(100_000, |cycles| cycles.parse().expect("a number of cycles")) / 4
}

/// What the tables of a kernel hold: links, monitors on processes, monitors of processes, aliases of processes, and aliases.
fn entries(kernel: &Kernel) -> [usize; 5] {
    let mut entries = [0, 0, 0, 0, kernel.processes.aliases()];
    for process in kernel.processes.all() {
        let Some(state) = process.alive() else { continue };
        let counts = [state.links.len(), state.watchers.len(), state.watched.len(), state.aliases.len()];
        entries.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    entries
}

/// A process of A and one of B, which link, monitor and lend aliases.
struct Cycle<'a> {
    pair: &'a mut Pair,
    a: std::sync::Arc<Core>,
    b: std::sync::Arc<Core>,
}

impl Cycle<'_> {
    /// Begins and ends everything once. What is under way at each step depends on the turn.
    fn turn(&mut self, turn: usize) {
        let (a, b) = (self.a.clone(), self.b.clone());
        let to_b = self.pair.a.monitor(&a, Monitored::Process(b.pid.clone()));
        let to_a = self.pair.b.monitor(&b, Monitored::Process(a.pid.clone()));
        self.pair.a.kernel.link(&a, &b.pid);
        let alias = self.pair.b.kernel.make_alias(&b, Priority::Ordinary);
        if turn.is_multiple_of(2) {
            self.pair.deliver_one_way(Way::AToB);
        }
        if turn.is_multiple_of(5) {
            self.pair.b.kernel.link(&b, &a.pid);
            self.pair.deliver_one_way(Way::BToA);
        }
        self.pair.a.kernel.demonitor(&a, &to_b);
        match turn % 3 {
            0 => self.pair.a.kernel.unlink(&a, &b.pid),
            1 => self.pair.b.kernel.unlink(&b, &a.pid),
            _ => {
                self.pair.a.kernel.unlink(&a, &b.pid);
                self.pair.b.kernel.unlink(&b, &a.pid);
            }
        }
        self.pair.deliver();
        self.pair.b.kernel.demonitor(&b, &to_a);
        assert!(self.pair.b.kernel.remove_alias(&b, &alias));
        // One that was unlinked by the other side before the link came is a link now.
        self.pair.a.kernel.unlink(&a, &b.pid);
        self.pair.deliver();
    }

    fn assert_empty(&self) {
        assert_eq!(entries(&self.pair.a.kernel), [0; 5]);
        assert_eq!(entries(&self.pair.b.kernel), [0; 5]);
        assert_eq!((self.pair.monitors_of_a(), self.pair.monitors_of_b()), (0, 0));
        assert_eq!((self.pair.a.kernel.kept_bytes(), self.pair.b.kernel.kept_bytes()), (0, 0));
    }
}

#[test]
fn cycles_leave_nothing() {
    let mut pair = Pair::connected();
    let (a, b) = (pair.a.trapping(), pair.b.trapping());
    let mut cycle = Cycle { pair: &mut pair, a, b };
    for turn in 0..turns() {
        cycle.turn(turn);
    }
    cycle.assert_empty();
    assert_eq!((mailbox(&cycle.a), mailbox(&cycle.b)), (vec![], vec![]));
}

/// The end of a process leaves nothing at the other node, whatever it had.
#[test]
fn ends_of_processes_leave_nothing() {
    let mut pair = Pair::connected();
    let stays = pair.b.trapping();
    for turn in 0..turns() / 4 {
        let ends = pair.a.trapping();
        pair.a.monitor(&ends, Monitored::Process(stays.pid.clone()));
        pair.b.monitor(&stays, Monitored::Process(ends.pid.clone()));
        pair.a.kernel.link(&ends, &stays.pid);
        pair.a.kernel.make_alias(&ends, Priority::Ordinary);
        if turn.is_multiple_of(2) {
            pair.deliver();
        }
        if turn.is_multiple_of(3) {
            pair.b.kernel.unlink(&stays, &ends.pid);
        }
        pair.a.end(&ends, "normal");
        pair.deliver();
        mailbox(&stays);
    }
    Cycle { a: stays.clone(), b: stays, pair: &mut pair }.assert_empty();
}

/// The end of the connection leaves nothing at either node, whatever was under way.
#[test]
fn the_end_of_a_connection_leaves_nothing() {
    const EACH: usize = 20;
    let mut pair = Pair::connected();
    for round in 0..turns() / 4 / EACH {
        let (a, b) = (pair.a.trapping(), pair.b.trapping());
        let mut cycle = Cycle { pair: &mut pair, a: a.clone(), b: b.clone() };
        for turn in 0..EACH {
            cycle.turn(round + turn);
        }
        pair.a.monitor(&a, Monitored::Process(b.pid.clone()));
        pair.b.monitor(&b, Monitored::Process(a.pid.clone()));
        pair.a.kernel.link(&a, &b.pid);
        if round.is_multiple_of(2) {
            pair.deliver();
        }
        if round.is_multiple_of(3) {
            pair.b.kernel.unlink(&b, &a.pid);
            pair.deliver_one_way(Way::BToA);
        }
        pair.disconnect();
        pair.connect();
        pair.deliver();
        mailbox(&a);
        mailbox(&b);
        // What the processes still have is nothing of the other node.
        assert_eq!((entries(&pair.a.kernel), entries(&pair.b.kernel)), ([0; 5], [0; 5]), "in round {round}");
        assert_eq!((pair.monitors_of_a(), pair.monitors_of_b()), (0, 0));
        assert_eq!((pair.a.kernel.kept_bytes(), pair.b.kernel.kept_bytes()), (0, 0), "in round {round}");
        pair.a.end(&a, "normal");
        pair.b.end(&b, "normal");
    }
    assert_eq!((pair.a.kernel.processes.len(), pair.b.kernel.processes.len()), (0, 0));
}
