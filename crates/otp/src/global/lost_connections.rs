use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use peerl_term::Atom;

use super::message::LostConnection;

/// How long a report is remembered.
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// The most reports that are remembered: beyond it, the oldest is forgotten.
const MAX_REPORTS: usize = 10_000;

/// The lost connections that nodes have reported, each of which is passed on once.
#[derive(Debug, Default)]
pub(super) struct LostConnections(BTreeMap<(Atom, Atom), Report>);

#[derive(Debug)]
struct Report {
    incarnation: i64,
    operation: i64,
    until: Instant,
}

impl LostConnections {
    /// Remembers a report. Says whether it is new.
    pub(super) fn is_new(&mut self, report: &LostConnection, now: Instant) -> bool {
        let ends = (report.node.clone(), report.lost.clone());
        let known = self.0.get(&ends);
        if known.is_some_and(|known| known.incarnation == report.incarnation && report.operation <= known.operation) {
            return false;
        }
        if self.0.len() >= MAX_REPORTS
            && let Some(oldest) = self.0.iter().min_by_key(|(_, report)| report.until).map(|(ends, _)| ends.clone())
        {
            self.0.remove(&oldest);
        }
        let LostConnection { incarnation, operation, .. } = *report;
        self.0.insert(ends, Report { incarnation, operation, until: now + REMEMBERED });
        true
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, report| report.until > now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.values().map(|report| report.until).min()
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
}
