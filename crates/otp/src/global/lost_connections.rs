use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use peerl_term::Atom;

use super::message::LostConnection;

/// How long a report is remembered.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The most reports that are remembered: beyond it, the oldest is forgotten.
const MAX_REPORTS: usize = 10_000;

/// The node that has lost a connection, and the one at the other end.
type Ends = (Atom, Atom);

/// The lost connections that nodes have reported, each of which is passed on once.
#[derive(Debug, Default)]
pub(super) struct LostConnections {
    reports: BTreeMap<Ends, Report>,
    /// Until when each is remembered, the oldest first: the next deadline is asked for after every message.
    oldest: BTreeSet<(Instant, Ends)>,
}

#[derive(Debug)]
struct Report {
    incarnation: i64,
    operation: i64,
    until: Instant,
}

impl LostConnections {
    /// Remembers a report. Says whether it is new.
    pub(super) fn is_new(&mut self, report: &LostConnection, now: Instant) -> bool {
        let LostConnection { incarnation, operation, .. } = *report;
        let ends = (report.node.clone(), report.lost.clone());
        match self.reports.get(&ends) {
            Some(known) if known.incarnation == incarnation && operation <= known.operation => return false,
            Some(known) => drop(self.oldest.remove(&(known.until, ends.clone()))),
            None if self.reports.len() >= MAX_REPORTS => self.forget_oldest(),
            None => {}
        }
        let until = now + REMEMBERED;
        self.oldest.insert((until, ends.clone()));
        self.reports.insert(ends, Report { incarnation, operation, until });
        true
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while self.deadline().is_some_and(|until| until <= now) {
            self.forget_oldest();
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.oldest.first().map(|(until, _)| *until)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, ends)) = self.oldest.pop_first() {
            self.reports.remove(&ends);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_passed_on_once() {
        let report = |incarnation: i64, operation: i64| LostConnection {
            node: Atom::from_static("a@h"),
            incarnation,
            operation,
            lost: Atom::from_static("b@h"),
        };
        let now = Instant::now();
        let mut lost = LostConnections::default();
        assert!(lost.is_new(&report(1, 5), now));
        assert!(!lost.is_new(&report(1, 5), now) && !lost.is_new(&report(1, 4), now));
        assert!(lost.is_new(&report(1, 6), now));
        assert!(lost.is_new(&report(2, 1), now));
        lost.forget_old(now + REMEMBERED);
        assert!(lost.is_new(&report(2, 1), now));
    }

    #[test]
    fn the_oldest_is_forgotten_for_a_new_one() {
        let report = |number: usize, operation: i64| LostConnection {
            node: Atom::new(&format!("n{number}@h")).unwrap(),
            incarnation: 1,
            operation,
            lost: Atom::from_static("b@h"),
        };
        let now = Instant::now();
        let at = |number: usize| now + Duration::from_millis(number as u64);
        let mut lost = LostConnections::default();
        assert!((0..MAX_REPORTS).all(|number| lost.is_new(&report(number, 1), at(number))));
        // The first one is told anew, so that the second is the oldest.
        assert!(lost.is_new(&report(0, 2), at(MAX_REPORTS)));
        assert_eq!(lost.deadline(), Some(at(1) + REMEMBERED));
        assert!(lost.is_new(&report(MAX_REPORTS, 1), at(MAX_REPORTS)));
        assert!(!lost.is_new(&report(0, 2), now) && lost.is_new(&report(1, 1), at(MAX_REPORTS)));
        assert_eq!((lost.reports.len(), lost.oldest.len()), (MAX_REPORTS, MAX_REPORTS));
    }
}
