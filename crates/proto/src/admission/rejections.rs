//! The log of rejected connections, bounded so that peers cannot flood it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::Origin;

/// Decides which rejections are logged one by one and which are counted.
///
/// The first rejection of each origin and kind is logged at once. Further ones are counted, and one line sums them
/// up: after ten seconds at first, then at intervals that double up to ten minutes while there are more.
#[derive(Debug)]
pub struct Rejections {
    known: BTreeMap<(Origin, &'static str), Repeated>,
    /// Rejections of origins and kinds beyond the size of the table.
    others: u64,
    interval: Duration,
    /// The end of the interval, if it has seen a rejection.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Repeated {
    address: IpAddr,
    /// The rejections that were not logged.
    count: u64,
    is_recent: bool,
}

impl Rejections {
    /// How many pairs of origin and kind are tracked: the most lines per interval, besides the summary.
    pub const KNOWN: usize = 16;

    /// The first pause between summaries.
    pub const FIRST_INTERVAL: Duration = Duration::from_secs(10);

    /// The longest pause between summaries: pauses double while rejections go on.
    pub const LAST_INTERVAL: Duration = Duration::from_secs(600);

    /// Has seen no rejection.
    pub fn new() -> Self {
        Self { known: BTreeMap::new(), others: 0, interval: Self::FIRST_INTERVAL, due: None }
    }

    /// Records a rejection; `true` if it is to be logged by itself. The kind must not contain text that the peer
    /// chose.
    #[must_use]
    pub fn is_first(&mut self, address: IpAddr, kind: &'static str, now: Instant) -> bool {
        self.due.get_or_insert(now + self.interval);
        let key = (Origin::from(address), kind);
        if let Some(repeated) = self.known.get_mut(&key) {
            repeated.count += 1;
            repeated.is_recent = true;
            return false;
        }
        if self.known.len() >= Self::KNOWN {
            self.others += 1;
            return false;
        }
        self.known.insert(key, Repeated { address, count: 0, is_recent: true });
        true
    }

    /// When [`summary`](Self::summary) is to be called.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// At the end of an interval, returns the summary of its counts, if there are any.
    pub fn summary(&mut self, now: Instant) -> Option<Summary> {
        self.due.filter(|due| *due <= now)?;
        let repeated = self.known.iter_mut().map(|((_, kind), it)| (it.address, *kind, std::mem::take(&mut it.count)));
        let mut counts: Vec<_> = repeated.filter(|(_, _, count)| *count > 0).collect();
        counts.sort_by_key(|(_, _, count)| std::cmp::Reverse(*count));
        let others = std::mem::take(&mut self.others);
        // The pairs of this interval stay in the table for the next one, where they are only counted.
        self.known.retain(|_, repeated| std::mem::take(&mut repeated.is_recent));
        let summary = Summary { counts, others, within: self.interval };
        if self.known.is_empty() {
            (self.interval, self.due) = (Self::FIRST_INTERVAL, None);
        } else {
            if summary.count() > 0 {
                self.interval = (self.interval * 2).min(Self::LAST_INTERVAL);
            }
            self.due = Some(now + self.interval);
        }
        (summary.count() > 0).then_some(summary)
    }
}

impl Default for Rejections {
    fn default() -> Self {
        Self::new()
    }
}

/// The rejections of an interval that were not logged individually.
#[derive(Debug, PartialEq, Eq)]
pub struct Summary {
    counts: Vec<(IpAddr, &'static str, u64)>,
    others: u64,
    within: Duration,
}

impl Summary {
    /// How many counts are shown at most.
    const SHOWN: usize = 4;

    /// The number of rejections.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, _, count)| count).sum::<u64>() + self.others
    }

    /// The length of the interval.
    pub fn within(&self) -> Duration {
        self.within
    }
}

/// The counts of the origins and kinds with the most, as in `10.0.0.7: wrong cookie (24999), others (3)`.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, more) = self.counts.split_at(self.counts.len().min(Self::SHOWN));
        for (index, (address, kind, count)) in shown.iter().enumerate() {
            write!(f, "{}{address}: {kind} ({count})", if index > 0 { ", " } else { "" })?;
        }
        match more.iter().map(|(_, _, count)| count).sum::<u64>() + self.others {
            0 => Ok(()),
            others => write!(f, "{}others ({others})", if shown.is_empty() { "" } else { ", " }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn a_flood_is_a_line_and_its_sum() {
        let start = Instant::now();
        let mut rejections = Rejections::new();
        assert_eq!(rejections.due(), None);
        let first = (0..25_000).filter(|_| rejections.is_first(address(7), "wrong cookie", start)).count();
        assert_eq!(first, 1);
        assert_eq!(rejections.summary(start), None);
        let due = rejections.due().unwrap();
        assert_eq!(due, start + Duration::from_secs(10));
        let summary = rejections.summary(due).unwrap();
        assert_eq!((summary.count(), summary.to_string().as_str()), (24_999, "10.0.0.7: wrong cookie (24999)"));
    }

    #[test]
    fn intervals_grow_while_it_goes_on_and_begin_anew_after_a_pause() {
        let mut now = Instant::now();
        let mut rejections = Rejections::new();
        assert!(rejections.is_first(address(7), "wrong cookie", now));
        let mut intervals = Vec::new();
        for _ in 0..9 {
            assert!(!rejections.is_first(address(7), "wrong cookie", now));
            let due = rejections.due().unwrap();
            intervals.push((due - now).as_secs());
            now = due;
            assert_eq!(rejections.summary(now).unwrap().count(), 1);
        }
        assert_eq!(intervals, [10, 20, 40, 80, 160, 320, 600, 600, 600]);
        now = rejections.due().unwrap();
        assert_eq!(rejections.summary(now), None);
        assert_eq!(rejections.due(), None);
        assert!(rejections.is_first(address(7), "wrong cookie", now));
        assert_eq!(rejections.due(), Some(now + Duration::from_secs(10)));
    }

    #[test]
    fn origins_and_kinds_are_bounded() {
        let now = Instant::now();
        let mut rejections = Rejections::new();
        let first = (0..=255).filter(|last| rejections.is_first(address(*last), "no name", now)).count();
        assert_eq!(first, Rejections::KNOWN);
        assert!(!rejections.is_first(address(0), "no name", now));
        let summary = rejections.summary(now + Duration::from_secs(10)).unwrap();
        assert_eq!(summary.to_string(), "10.0.0.0: no name (1), others (240)");
        assert_eq!(summary.count(), 241);
    }

    #[test]
    fn kinds_of_one_origin_are_told_apart() {
        let now = Instant::now();
        let mut rejections = Rejections::new();
        assert!(rejections.is_first(address(7), "wrong cookie", now));
        assert!(rejections.is_first(address(7), "no name", now));
        assert!(rejections.is_first(address(8), "no name", now));
        assert!(!rejections.is_first(address(8), "no name", now));
    }
}
