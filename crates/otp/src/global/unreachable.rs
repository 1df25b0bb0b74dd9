use std::fmt;
use std::time::{Duration, Instant};

use peerl_term::Atom;

/// How long nodes that cannot be connected are gathered for a line in the log: a peer may name thousands.
const GATHERED: Duration = Duration::from_secs(1);

/// Nodes that could not be connected, until the log tells of them.
#[derive(Debug, Default)]
pub(super) struct Unreachable {
    nodes: FirstNames,
    until: Option<Instant>,
}

impl Unreachable {
    pub(super) fn add(&mut self, node: &Atom, now: Instant) {
        self.nodes.add(node.clone());
        self.until.get_or_insert(now + GATHERED);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Tells of them, if it is time.
    pub(super) fn tell(&mut self, now: Instant) {
        if self.until.take_if(|until| *until <= now).is_some() {
            let nodes = std::mem::take(&mut self.nodes);
            tracing::warn!(%nodes, "nodes of the cluster cannot be connected");
        }
    }
}

/// The first few of many names, and how many there are.
#[derive(Debug, Default)]
pub(super) struct FirstNames {
    first: Vec<Atom>,
    count: usize,
}

impl FirstNames {
    const SHOWN: usize = 5;

    pub(super) fn add(&mut self, name: Atom) {
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push(name);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for FirstNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.first.iter().enumerate() {
            write!(f, "{}{name}", if index == 0 { "" } else { ", " })?;
        }
        match self.count - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_told_in_one_line() {
        let (mut unreachable, now) = (Unreachable::default(), Instant::now());
        for number in 0..1000 {
            unreachable.add(&Atom::new(&format!("x{number}@h")).unwrap(), now);
        }
        assert_eq!(unreachable.nodes.to_string(), "x0@h, x1@h, x2@h, x3@h, x4@h and 995 more");
        unreachable.tell(now);
        assert_eq!(unreachable.deadline(), Some(now + GATHERED));
        unreachable.tell(now + GATHERED);
        assert!(unreachable.deadline().is_none() && unreachable.nodes.is_empty());
    }
}
