//! When the writer is woken, and how long it waits for messages that are about to be sent.

use std::time::Duration;

use tokio::time::Instant;

/// What is known of the messages that are about to be queued. Messages that are written together cost one system call, and
/// the peer one wake-up.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// What is likely to be queued in a moment.
    expected: Option<Expected>,
    /// Whether those who were to send have done so: there is nobody to wait for.
    whole: bool,
    /// The writer has not been woken for the first message.
    held: bool,
}

/// Messages that have yet to be sent by those who got theirs a moment ago.
#[derive(Debug, Clone, Copy)]
struct Expected {
    messages: usize,
    until: Instant,
}

/// How many senders have sent for the last batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Senders {
    /// One, as far as is known.
    One,
    /// Several, so that more are likely to send in a moment.
    Several,
}

impl Gathering {
    /// The longest time that the first message waits for others that are expected: about as long as it takes to call
    /// the kernel a few times, and to answer as many messages as are [written together](Self::TOGETHER).
    pub(super) const LONGEST: Duration = Duration::from_micros(60);

    /// So many messages are written at once even if more are to come: the peer works on them while the others are
    /// made, and both ends have something to do all the time.
    pub(super) const TOGETHER: usize = 32;

    /// So many messages are likely to be sent in a moment.
    pub(super) fn expect(&mut self, messages: usize, now: Instant) {
        self.expected = Some(Expected { messages, until: now + Self::LONGEST });
        self.whole = false;
    }

    /// All have sent what was expected of them. Says whether something was.
    pub(super) fn expect_no_more(&mut self) -> bool {
        self.whole = true;
        self.expected.take().is_some()
    }

    /// A message has been queued; the writer is not woken for it.
    pub(super) fn hold(&mut self, was_empty: bool) {
        self.held |= was_empty;
    }

    /// Says whether messages are held back, for which the writer has to be woken now.
    pub(super) fn release(&mut self) -> bool {
        std::mem::take(&mut self.held)
    }

    /// Whether this many queued messages are as many as are worth a system call, with the last one of them.
    pub(super) fn becomes_whole(&self, queued: usize) -> bool {
        self.expected.is_some_and(|expected| queued == expected.worth_writing())
    }

    /// Whether the writer waits for more than this many queued messages.
    pub(super) fn waits(&mut self, queued: usize, senders: Senders, now: impl FnOnce() -> Instant) -> bool {
        match self.expected {
            _ if queued == 0 || self.whole => false,
            Some(expected) if queued >= expected.worth_writing() => false,
            Some(expected) if expected.until <= now() => {
                self.expected = None;
                false
            }
            Some(_) => true,
            None => senders == Senders::Several,
        }
    }

    /// The writer has taken this many messages.
    pub(super) fn taken(&mut self, messages: usize) {
        self.held = false;
        self.whole = false;
        self.expected = self.expected.and_then(|expected| expected.without(messages));
    }
}

impl Expected {
    fn worth_writing(self) -> usize {
        self.messages.min(Gathering::TOGETHER)
    }

    /// What is still to come after so many messages.
    fn without(self, messages: usize) -> Option<Self> {
        let messages = self.messages.saturating_sub(messages);
        (messages > 0).then_some(Self { messages, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_messages_are_waited_for_up_to_what_is_worth_a_write() {
        let (mut gathering, now) = (Gathering::default(), Instant::now());
        let waits = |gathering: &mut Gathering, queued, at| gathering.waits(queued, Senders::One, || at);
        assert!(!waits(&mut gathering, 1, now), "nothing more is expected");
        gathering.expect(Gathering::TOGETHER + 3, now);
        assert!(!waits(&mut gathering, 0, now), "nothing is queued");
        assert!(waits(&mut gathering, Gathering::TOGETHER - 1, now));
        assert!(gathering.becomes_whole(Gathering::TOGETHER));
        assert!(!waits(&mut gathering, Gathering::TOGETHER, now), "enough");
        gathering.taken(Gathering::TOGETHER);
        assert!(waits(&mut gathering, 1, now), "two more are to come");
        assert!(gathering.expect_no_more());
        assert!(!waits(&mut gathering, 1, now));
        gathering.expect(3, now);
        assert!(waits(&mut gathering, 1, now));
        assert!(!waits(&mut gathering, 1, now + Gathering::LONGEST), "the time is over");
        assert!(!gathering.expect_no_more(), "nothing is expected any more");
    }

    #[test]
    fn nobody_is_waited_for_when_all_have_sent() {
        let mut gathering = Gathering::default();
        let waits = |gathering: &mut Gathering| gathering.waits(1, Senders::Several, Instant::now);
        assert!(waits(&mut gathering), "there may be others");
        gathering.expect_no_more();
        assert!(!waits(&mut gathering));
        gathering.taken(1);
        assert!(waits(&mut gathering), "that was said of the last ones");
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
}
