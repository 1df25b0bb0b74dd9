use std::collections::BTreeSet;
use std::time::Duration;

use peerl_term::{Atom, Term};

use super::random::Random;

/// One attempt to set a lock at several nodes at the same time.
#[derive(Debug)]
pub struct Attempt {
    waiting: BTreeSet<Atom>,
    held: Vec<Atom>,
    is_refused: bool,
}

/// What has come of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The lock is set at these nodes. The others cannot be reached, and do not count.
    Held(Vec<Atom>),
    /// A node has refused. The lock is to be removed again at these, which have not.
    Refused(Vec<Atom>),
}

impl Attempt {
    /// Begins: these nodes are to be asked.
    pub fn new(nodes: impl IntoIterator<Item = Atom>) -> Self {
        Self { waiting: nodes.into_iter().collect(), held: Vec::new(), is_refused: false }
    }

    /// A node has answered; nothing if it cannot.
    pub fn answered(&mut self, node: &Atom, reply: Option<&Term>) {
        if !self.waiting.remove(node) {
            return;
        }
        match reply {
            Some(reply) if reply.is_atom("true") => self.held.push(node.clone()),
            Some(_) => self.is_refused = true,
            None => {}
        }
    }

    /// What has come of it, when all have answered.
    pub fn outcome(&mut self) -> Option<AttemptOutcome> {
        if !self.waiting.is_empty() {
            return None;
        }
        let held = std::mem::take(&mut self.held);
        Some(if self.is_refused { AttemptOutcome::Refused(held) } else { AttemptOutcome::Held(held) })
    }
}

/// How long to wait before the next attempt: up to a quarter of a second at first, then twice as long each time, up to 8
/// seconds.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// The time until the next attempt.
    pub fn next(&mut self, random: &mut Random) -> Duration {
        self.attempts = (self.attempts + 1).min(6);
        random.up_to(Duration::from_millis(125 << self.attempts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_is_enough_and_who_cannot_answer_does_not_count() {
        let node = |name: &str| Atom::new(name).unwrap();
        let mut attempt = Attempt::new([node("a"), node("b"), node("c")]);
        attempt.answered(&node("a"), Some(&Term::atom("true")));
        attempt.answered(&node("b"), None);
        assert_eq!(attempt.outcome(), None);
        attempt.answered(&node("c"), Some(&Term::atom("true")));
        assert_eq!(attempt.outcome(), Some(AttemptOutcome::Held(vec![node("a"), node("c")])));
        let mut attempt = Attempt::new([node("a"), node("b")]);
        attempt.answered(&node("a"), Some(&Term::atom("false")));
        attempt.answered(&node("b"), Some(&Term::atom("true")));
        attempt.answered(&node("b"), Some(&Term::atom("true")));
        assert_eq!(attempt.outcome(), Some(AttemptOutcome::Refused(vec![node("b")])));
    }

    #[test]
    fn the_wait_grows_to_eight_seconds() {
        let mut random = Random::new(1);
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..100).map(|_| backoff.next(&mut random)).collect();
        assert!(waits[0] <= Duration::from_millis(250));
        assert!(waits.iter().all(|wait| *wait <= Duration::from_secs(8) && !wait.is_zero()));
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(4)));
    }
}
