//! The results of a strategy's polls: whether they are new, and when the next poll is due.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use peerl_node::ErrorChain;

use crate::Backoff;
use crate::backoff::jitter;
use crate::strategy::{Answer, StrategyError};

/// The result of a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Answering,
    Empty,
    /// The error's kind, and its text if that does not differ at each attempt.
    Failing(Discriminant<StrategyError>, String),
}

impl Outcome {
    fn of(answer: &Result<Answer, StrategyError>) -> Self {
        match answer {
            Ok(answer) if answer.is_empty() => Self::Empty,
            Ok(_) => Self::Answering,
            Err(error) => {
                // Services put request ids into their messages.
                let is_local = matches!(error, StrategyError::File { .. } | StrategyError::NotFound { .. });
                Self::Failing(discriminant(error), if is_local { ErrorChain(error).to_string() } else { String::new() })
            }
        }
    }
}

/// A poll's result compared with the previous one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// The first poll.
    First,
    /// The result has changed.
    Change,
    /// The result is the same.
    Repetition,
}

/// The poll history of one strategy.
#[derive(Debug, Default)]
pub(crate) struct PollState {
    last: Option<Outcome>,
    /// The number of consecutive throttled polls.
    throttled: u32,
}

impl PollState {
    /// The longest pause after throttled polls, unless the interval is longer.
    const LONGEST_PAUSE: Duration = Duration::from_secs(300);

    /// Records the result of a poll.
    pub(crate) fn note(&mut self, answer: &Result<Answer, StrategyError>) -> Novelty {
        self.throttled = match answer {
            Err(StrategyError::Throttled { .. }) => self.throttled.saturating_add(1),
            _ => 0,
        };
        let before = self.last.replace(Outcome::of(answer));
        match before {
            None => Novelty::First,
            before if before == self.last => Novelty::Repetition,
            _ => Novelty::Change,
        }
    }

    /// The pause before the next poll. It doubles with each throttled poll.
    pub(crate) fn pause(&self, interval: Duration) -> Duration {
        match self.throttled {
            0 => jitter(interval),
            throttled => Backoff::new(interval.saturating_mul(2), Self::LONGEST_PAUSE).delay(throttled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(message: &str) -> Result<Answer, StrategyError> {
        Err(StrategyError::Throttled { action: "ec2:DescribeInstances", message: message.to_owned() })
    }

    #[test]
    fn only_a_change_is_news() {
        let mut state = PollState::default();
        let found = || Ok(Answer::whole(["a@h".parse().unwrap()].into()));
        let not_found = |what: &str| Err(StrategyError::NotFound { what: what.to_owned() });
        for (answer, novelty) in [
            (found(), Novelty::First),
            (found(), Novelty::Repetition),
            (throttled("request 1"), Novelty::Change),
            (throttled("request 2"), Novelty::Repetition),
            (Err(StrategyError::TimedOut(Duration::from_secs(1))), Novelty::Change),
            (Ok(Answer::default()), Novelty::Change),
            (Ok(Answer::default()), Novelty::Repetition),
            (not_found("group a"), Novelty::Change),
            (not_found("group a"), Novelty::Repetition),
            (not_found("group b"), Novelty::Change),
            (found(), Novelty::Change),
        ] {
            assert_eq!(state.note(&answer), novelty, "{answer:?}");
        }
    }

    #[test]
    fn a_service_that_throttles_is_asked_less_and_less() {
        for interval in [1, 5, 30, 600].map(Duration::from_secs) {
            let mut state = PollState::default();
            for doubling in 1..20 {
                let _ = state.note(&throttled("slow down"));
                let longest = PollState::LONGEST_PAUSE.max(interval * 2);
                let whole = interval.saturating_mul(2_u32.pow(doubling)).min(longest);
                assert!((whole / 2..=whole).contains(&state.pause(interval)), "{interval:?} {doubling}");
            }
            let _ = state.note(&Ok(Answer::default()));
            assert!(state.pause(interval) <= interval);
        }
    }
}
