//! When queued messages are written: for which messages the writer is not woken at once, and how long it waits for more.
//!
//! A system call costs as much as the work for several calls, and waking the peer's thread costs more. Messages that are written
//! together share both. Most of them need no rule: while the writer is in a system call, the queue fills, and the next
//! system call takes all of it. Three rules remain. They take instants and times and return decisions; the
//! [outbox](crate::kernel::connection::Outbox) and the task that serves calls ask them.
//!
//! **Wait for callers.** Callers whose answers came with one read call again at the same time. The first of them wakes the writer,
//! which would write one call and then the others in small groups. The writer waits until as many messages are queued as callers
//! got their answers, for 60 µs at most. A caller that is alone never waits. With 64 callers, peerl to peerl
//! (`cargo bench -p peerl --bench calls -- --only "from peerl to peerl"`), in runs that took turns:
//!
//! | | loopback | through a proxy that delays each direction by 200 µs |
//! |---|---|---|
//! | with the rule | 197,000 calls/s, 5.1 µs of processor time a call | 56,000 calls/s, 6.9 µs |
//! | without it | 116,000 calls/s, 9.9 µs | 30,000 calls/s, 18.5 µs |
//!
//! **Hold the first of two messages.** A served call is answered by two messages: its process was spawned, and it ended. The
//! writer is not woken for the first, because the second follows or [`Gathering::release`] is called.
//!
//! **Take turns.** One task evaluates the functions of one read that are known to be quick ([`Pace`]), and lets others run after
//! [`TURN`] of them. Functions that are not quick have tasks of their own. This is for fairness, not for speed.
//!
//! The reader has no rule for speed: when everything that came has been routed, it waits until more has come. When more has come
//! than one read takes, it lets the receivers run in between, for fairness. Other rules were measured and gained less than 10 %,
//! or only on a shared host. `docs/benchmarks.md` has their figures.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long the writer waits for calls that are likely to be made in a moment: as long as some system calls take.
const LONGEST_WAIT: Duration = Duration::from_micros(60);

/// After how many quick functions the task that evaluates them lets others run: after 2.6 ms at most.
pub(crate) const TURN: usize = 128;

/// What is about to be queued on a connection, and whether the writer has been woken for what is queued.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    expected: Option<Expected>,
    /// The writer has not been woken for the first message.
    held: bool,
}

/// The calls expected of callers that have just got their answers.
#[derive(Debug, Clone, Copy)]
struct Expected {
    messages: usize,
    until: Instant,
}

impl Gathering {
    /// The fewest callers to wait for. A single caller does not wait.
    pub(crate) const SEVERAL: usize = 2;

    /// One read has brought the answers of [several](Self::SEVERAL) callers, who are likely to call again.
    pub(crate) fn answered(&mut self, callers: usize, now: Instant) {
        self.expected = Some(Expected { messages: callers, until: now + LONGEST_WAIT });
    }

    /// A message has been queued; the writer is not woken for it.
    pub(crate) fn hold(&mut self, was_empty: bool) {
        self.held |= was_empty;
    }

    /// Ends the hold. Returns whether there are held messages, for which the writer has to be woken.
    pub(crate) fn release(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// Whether everything that is expected is among this many queued messages, since the last one of them.
    pub(crate) fn becomes_whole(&self, queued: usize) -> bool {
        self.expected.is_some_and(|expected| queued == expected.messages)
    }

    /// How long the writer waits for more than this many queued messages.
    pub(crate) fn wait(&mut self, queued: usize, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let expected = self.expected.filter(|expected| queued > 0 && queued < expected.messages)?;
        let left = expected.until.saturating_duration_since(now());
        if left.is_zero() {
            self.expected = None;
            return None;
        }
        Some(left)
    }

    /// The writer has taken this many messages.
    pub(crate) fn taken(&mut self, messages: usize) {
        self.held = false;
        self.expected = self.expected.and_then(|expected| expected.without(messages));
    }
}

impl Expected {
    /// What is still to come after so many messages.
    fn without(self, messages: usize) -> Option<Self> {
        let messages = self.messages.saturating_sub(messages);
        (messages > 0).then_some(Self { messages, ..self })
    }
}

/// How long a function keeps its thread when it is first polled, in nanoseconds: an average in which the last calls
/// count most.
///
/// Calls that came together of quick functions are evaluated one after another in one task, since a task for each would cost
/// more than they do. What is not known to be quick has a task of its own: it would hold the others up.
pub(crate) struct Pace(AtomicU64);

impl Default for Pace {
    /// Not quick, until the first six calls or so have been.
    fn default() -> Self {
        Self(AtomicU64::new(5 * Self::QUICK))
    }
}

impl Pace {
    const QUICK: u64 = 20_000;

    pub(crate) fn is_quick(&self) -> bool {
        self.0.load(Ordering::Relaxed) <= Self::QUICK
    }

    /// Of two calls at once both are counted: a long one must not be lost.
    pub(crate) fn note(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, |average| average - average / 4 + nanos / 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_those_who_have_their_answers_are_waited_for() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        let waits = |gathering: &mut Gathering, queued, at| gathering.wait(queued, || at).is_some();
        assert!(!waits(&mut gathering, 1, now), "nothing more is expected");
        gathering.answered(3, now);
        assert!(!waits(&mut gathering, 0, now), "nothing is queued");
        assert_eq!(gathering.wait(2, || now), Some(LONGEST_WAIT));
        assert!(!gathering.becomes_whole(2) && gathering.becomes_whole(3));
        assert!(!waits(&mut gathering, 3, now), "all have called");
        gathering.taken(1);
        assert!(waits(&mut gathering, 1, now), "two more are to come");
        assert!(!waits(&mut gathering, 2, now));
        assert!(!waits(&mut gathering, 1, now + LONGEST_WAIT), "the time is over");
        assert!(!waits(&mut gathering, 1, now), "nothing is expected any more");
    }

    #[test]
    fn a_held_message_is_released_once() {
        let mut gathering = Gathering::default();
        gathering.hold(true);
        gathering.hold(false);
        assert!(gathering.release() && !gathering.release());
        gathering.hold(true);
        gathering.taken(1);
        assert!(!gathering.release(), "it has gone out with others");
    }

    #[test]
    fn a_function_is_quick_as_long_as_its_last_calls_are() {
        let pace = Pace::default();
        assert!(!pace.is_quick(), "nothing is known of it");
        let slow_after = |time| {
            (0..20).any(|_| {
                pace.note(time);
                !pace.is_quick()
            })
        };
        (0..20).for_each(|_| pace.note(Duration::from_micros(1)));
        assert!(pace.is_quick());
        assert!(!slow_after(Duration::from_micros(10)));
        assert!(slow_after(Duration::from_micros(200)));
    }
}
